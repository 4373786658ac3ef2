"""Somebody at the page: signed in by the real set-up and login, in a window of their own."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from playwright.async_api import Browser, Page, expect

from tests.browsers import DESKTOP, Screen, window
from tests.estates import Estate
from tests.houses import ask

PASSWORD = "门岗的那只橘猫叫豆包"
VIEWS = {  # every one, by the name of its picture; {alarm} is an open one
    "overview": "/",
    "alarms": "/alarms",
    "alarm": "/alarms/{alarm}",
    "alarm-missing": "/alarms/nothing",
    "alarms-past": "/alarms?tab=past",
    "devices": "/devices",
    "device": "/devices/smoke-1",
    "device-values": "/devices/climate-1",
    "plans": "/plans",
    "events": "/events",
    "uplink": "/uplink",
    "notices": "/notices",
    "reports": "/reports",
    "settings": "/settings",
    "people": "/settings/people",
    "tokens": "/settings/tokens",
    "history": "/settings/history",
    "audit": "/settings/audit",
    "settings-devices": "/settings/devices",
    "settings-places": "/settings/places",
    "machine": "/settings/machine",
    "backup": "/settings/backup",
    "account": "/account",
    "help": "/help",
    "public": "/public",
    "login": "/login",
}
SHOWN = {"installer": "李工", "manager": "陈经理", "duty": "王师傅", "auditor": "审计小周"}


@asynccontextmanager
async def at_desk(
    browser: Browser,
    here: Estate,
    role: str = "duty",
    *,
    screen: Screen = DESKTOP,
    language: str = "zh-CN",
    **more: Any,
) -> AsyncIterator[Page]:
    """A window of a person of this role; "" is nobody."""
    cookies = here.people[role] if role else ()
    async with window(browser, here.daemon.url, screen, language, cookies=cookies, **more) as page:
        yield page


async def settle_in(here: Estate) -> None:
    """The installer is made by the box's set-up code, and makes the others; each signs in once."""
    code = (here.daemon.state / "setup-code").read_text("ascii").strip()
    first = {"code": code, "shown": SHOWN["installer"], "name": "installer", "password": PASSWORD, "again": PASSWORD}
    async with _client(here) as http:
        await _post(http, "/setup", first)
        async with http.get("/settings/people") as answer:
            found = re.search(r'data-csrf="([^"]+)"', await answer.text())
        assert found, "the installer was not signed in"
        for role, shown in SHOWN.items():
            if role != "installer":
                person = {"name": role, "shown": shown, "role": role, "password": PASSWORD}
                await _post(http, "/settings/people", person, {"X-CSRF-Token": found[1]})
    for role in SHOWN:
        here.people[role] = await signed_in(here, role)


async def signed_in(here: Estate, name: str, password: str = PASSWORD) -> list[dict[str, str]]:
    """The cookies of one who has given their password."""
    async with _client(here) as http:
        await _post(http, "/login", {"name": name, "password": password, "next": "/"})
        return [{"name": cookie.key, "value": cookie.value} for cookie in http.cookie_jar]


def _client(here: Estate) -> aiohttp.ClientSession:
    """As a browser: from the page's own origin, with a jar; an address is no host name."""
    jar = aiohttp.CookieJar(unsafe=True)
    return aiohttp.ClientSession(here.daemon.url, headers={"Origin": here.daemon.url}, cookie_jar=jar)


async def _post(
    http: aiohttp.ClientSession, path: str, form: dict[str, str], headers: dict[str, str] | None = None
) -> None:
    async with http.post(path, data=form, headers=headers, allow_redirects=False) as answer:
        why = re.search(r'class="problem"[^>]*>(.*?)</p>', await answer.text(), re.DOTALL)
        assert answer.status in (204, 303), f"{path}: {answer.status} {why[1] if why else ''}"


async def begin_duty(page: Page) -> None:
    """The one tap that lets the page make a sound."""
    await page.locator("#duty").click()
    await expect(page.locator("body")).to_have_attribute("data-duty", "on")


async def calm(here: Estate) -> None:
    """Whatever a test has left: its causes end, somebody says what it was, and all is well."""
    alarms = await ask(here.daemon.state, "alarms")
    for alarm in alarms:  # first what it was: then each is over with its cause
        await ask(here.daemon.state, "ack", alarm=alarm["alarm"], who="王师傅", outcome="test")
    here.smoke(False)
    here.detectors.slaves[6].plug()
    for alarm in alarms:
        if alarm["flags"]["active"] and alarm["device"] in here.posters and alarm["type"] != "device.shielded":
            await here.post(alarm["device"], alarm["type"], "clear")
    for device in {alarm["device"] for alarm in alarms} - {"gw-0001"}:
        await here.until("normal", device)
