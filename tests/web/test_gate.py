"""Who gets in: the first start, signing in, what each role sees and may, locks, and requests that are forged."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browsers import PHONE, window
from tests.estates import Estate, estate
from tests.houses import ask
from tests.visitors import PASSWORD
from tests.web.desk import at_desk, entered

pytestmark = pytest.mark.asyncio(loop_scope="session")
WRONG = "这不是那只猫的名字"
TRIES = 5
_POST = """([path, headers]) => fetch(path, {method: "POST", headers}).then(answer => answer.status)"""


async def enter(page: Page, name: str, password: str) -> None:
    """As a person fills in the form."""
    await page.locator("input[name=name]").fill(name)
    await page.locator("input[name=password]").fill(password)
    await page.locator("form[action='/login'] button").click()


@pytest_asyncio.fixture(loop_scope="session")
async def fresh(tmp_path: Path) -> AsyncIterator[Estate]:
    """An estate where nobody has an account yet."""
    async with estate(tmp_path) as made:
        yield made


async def test_the_first_start_takes_the_box_s_code_and_no_other(browser: Browser, fresh: Estate) -> None:
    async with window(browser, fresh.daemon.url, PHONE, expects=["403: POST .*/setup"]) as page:
        code = (fresh.daemon.state / "setup-code").read_text("ascii").strip()
        await page.goto("/login")  # nobody has an account
        await page.wait_for_url("**/setup")
        given = {"code": "2222-2222", "shown": "李工", "name": "li", "password": PASSWORD, "again": PASSWORD}
        for name, value in given.items():
            await page.locator(f"input[name={name}]").fill(value)
        await page.locator("form[action='/setup'] button").click()
        await expect(page.locator(".problem")).to_be_visible()
        await page.locator("input[name=code]").fill(code.lower())
        await page.locator("input[name=password]").fill(PASSWORD)  # never sent back
        await page.locator("input[name=again]").fill(PASSWORD)
        await page.locator("form[action='/setup'] button").click()
        await page.wait_for_url("**/")
        assert not (fresh.daemon.state / "setup-code").exists()
        await page.goto("/setup")
        await page.wait_for_url("**/login**")


async def test_one_who_is_not_signed_in_is_led_to_the_door_and_on_to_where_they_wanted(
    browser: Browser, here: Estate
) -> None:
    async with at_desk(browser, here, "", expects=["403: POST .*/login"]) as page:
        await page.goto("/alarms?tab=past")
        await page.wait_for_url("**/login?next=**")
        await enter(page, "duty", WRONG)
        await expect(page.locator(".problem")).to_be_visible()
        assert await page.locator("input[name=name]").input_value() == "duty"
        await enter(page, "duty", PASSWORD)
        await page.wait_for_url("**/alarms?tab=past")
        (cookie,) = [c for c in await page.context.cookies() if c["name"] == "session"]
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
        assert await page.evaluate("document.cookie.includes('session')") is False
        await page.locator("[hx-post='/logout']").click()
        await page.wait_for_url("**/login**")
        await page.goto("/")
        await page.wait_for_url("**/login**")


@pytest.mark.parametrize("to", ["//evil.example/", "https://evil.example/", "/\\evil.example"])
async def test_the_door_leads_nowhere_else(browser: Browser, here: Estate, to: str) -> None:
    async with at_desk(browser, here, "") as page:
        await page.goto("/login")
        await page.goto(f"/login?next={to}")
        await enter(page, "duty", PASSWORD)
        await page.wait_for_url(f"{here.daemon.url}/")


@pytest.mark.parametrize(
    ("role", "path", "allowed"),
    [
        ("duty", "/settings/people", False),
        ("duty", "/settings/audit", False),
        ("auditor", "/settings/audit", True),
        ("auditor", "/settings/people", False),
        ("manager", "/settings/people", True),
        ("installer", "/settings/people", True),
        ("duty", "/alarms", True),
        ("auditor", "/alarms", True),
    ],
)
async def test_what_a_role_may_not_is_not_shown_and_is_refused(
    browser: Browser, here: Estate, role: str, path: str, allowed: bool
) -> None:
    async with at_desk(browser, here, role, expects=[f"403: GET .*{path}"]) as page:
        await page.goto("/settings" if path.startswith("/settings/") else "/")
        assert await page.locator(f"a[href='{path}']").count() == (1 if allowed else 0)
        told = await page.goto(path)
        assert told is not None
        assert told.status == (200 if allowed else 403)


async def test_who_only_reads_sees_the_alarm_and_no_buttons(browser: Browser, here: Estate) -> None:
    await here.post("panic-1", "safety.panic")
    (alarm,) = await ask(here.daemon.state, "alarms")
    async with at_desk(browser, here, "auditor", expects=["403: POST"]) as page:
        await page.goto("/")
        await expect(page.locator("#banner")).to_contain_text("紧急求助")
        assert await page.locator("#banner button, #banner-handle").count() == 0
        csrf = await page.locator("body").get_attribute("data-csrf")
        path = f"/alarms/{alarm['alarm']}/acknowledge"
        assert await page.evaluate(_POST, [path, {"X-CSRF-Token": csrf}]) == 403
        await page.goto(f"/alarms/{alarm['alarm']}")
        assert await page.locator("main form, main [hx-post]").count() == 0
    (alarm,) = await ask(here.daemon.state, "alarms")
    assert not alarm["flags"]["acknowledged"]


async def test_five_wrong_passwords_lock_the_account_for_a_minute_and_the_right_one_too(
    browser: Browser, here: Estate
) -> None:
    async with at_desk(browser, here, "", expects=["40[03]: POST .*/login", "429: POST .*/login"]) as page:
        await page.goto("/login")
        for _ in range(TRIES):
            await enter(page, "auditor", WRONG)
            await expect(page.locator(".problem")).to_be_visible()
        await enter(page, "auditor", PASSWORD)
        await expect(page.locator(".problem")).to_contain_text(re.compile("秒|分"))
        assert "/login" in page.url
    told = await here.city_events("access.lockout")
    assert [event["phase"] for event in told] == ["raise"]


async def test_a_door_asks_for_the_password_once_more_when_it_was_long_ago(browser: Browser, here: Estate) -> None:
    await here.daemon.stop()
    await here.daemon.start()  # who is signed in stays so; that the password was just given is forgotten
    async with at_desk(browser, here, expects=["403: POST .*/devices/door-1/do", "403: POST .*/step-up"]) as page:
        await page.goto("/devices/door-1")
        await page.get_by_role("button", name=re.compile("开门")).click()
        dialog = page.locator("dialog[open]")
        await dialog.locator("input[type=password]").fill(WRONG)
        await dialog.locator("button[type=submit], button.main").click()
        await expect(dialog).to_be_visible()
        await dialog.locator("input[type=password]").fill(PASSWORD)
        await dialog.locator("button[type=submit], button.main").click()
        await expect(dialog).to_be_hidden()
        await here.readers.ledger.wait("output", 1)  # the lock was released, on the wire


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),  # no token
        ({"X-CSRF-Token": "x" * 43}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "evil.example"}, 421),
    ],
    ids=["no token", "another token", "another origin", "another site", "another host"],
)
async def test_a_forged_step_is_refused(here: Estate, headers: dict[str, str], status: int) -> None:
    cookies = {cookie["name"]: cookie["value"] for cookie in await entered(here, "duty")}
    async with aiohttp.ClientSession(here.daemon.url, cookies=cookies) as http:
        async with http.get("/") as answer:
            found = re.search(r'data-csrf="([^"]+)"', await answer.text())
        assert found
        right = {"Origin": here.daemon.url, "X-CSRF-Token": found[1]}
        sent = {name: value for name, value in (right | headers).items() if headers or name != "X-CSRF-Token"}
        async with http.post("/alarms/silence", headers=sent) as answer:
            assert answer.status == status
        async with http.post("/alarms/silence", headers=right) as answer:
            assert answer.status == 204  # it was for that, and nothing else
