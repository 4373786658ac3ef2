"""An alarm from the wire to its end, by somebody with a keyboard, and by somebody with a thumb."""

import re

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browsers import PHONE
from tests.estates import Estate
from tests.houses import ask
from tests.web.desk import at_desk, begin_duty

pytestmark = pytest.mark.asyncio(loop_scope="session")
FIRST_FIRE = "走廊烟感"
SECOND_FIRE = "大堂烟感"


async def sounds(page: Page, tone: str) -> None:
    """What the page plays: `fire`, `alarm`, `none`."""
    await expect(page.locator("body")).to_have_attribute("data-playing", tone)


async def test_smoke_on_the_wire_is_seen_and_heard_and_told_in_title_and_icon(browser: Browser, here: Estate) -> None:
    async with at_desk(browser, here) as page:
        await page.goto("/events")  # on any view
        await expect(page.locator("#banner")).to_be_hidden()
        await begin_duty(page)
        here.smoke(True)
        banner = page.locator("#banner")
        await expect(banner).to_contain_text("火警")
        await expect(banner).to_contain_text(FIRST_FIRE)
        await expect(banner).to_contain_text("3号楼2单元5层")
        await expect(banner).to_contain_text("首警")
        await sounds(page, "fire")
        await expect(page).to_have_title(re.compile("^▲ 火警"))
        await expect(page.locator("#icon")).to_have_attribute("href", re.compile("sign-fire"))
        await expect(page.get_by_role("alert")).to_contain_text(FIRST_FIRE)
        await expect(banner).to_contain_text(re.compile("平台.*已确认"))


async def test_without_the_tap_the_page_says_that_it_is_silent(browser: Browser, here: Estate) -> None:
    async with at_desk(browser, here) as page:
        await page.goto("/")
        await expect(page.get_by_text("声音未开启")).to_be_visible()
        await begin_duty(page)
        await expect(page.get_by_text("声音未开启")).to_be_hidden()


async def test_silence_ends_this_tone_and_never_the_next(browser: Browser, here: Estate) -> None:
    async with at_desk(browser, here) as page:
        await page.goto("/")
        await begin_duty(page)
        here.smoke(True)
        await sounds(page, "fire")
        await page.locator("#banner-silence").click()
        await sounds(page, "none")
        await here.post("hall-1", "fire.smoke")
        await sounds(page, "fire")
        await expect(page.locator("#banner")).to_contain_text(FIRST_FIRE)  # the first stays pinned
        await expect(page.locator("#banner")).to_contain_text(re.compile(r"后续 ?\+?1"))
        await page.locator("#banner-silence").click()
        await sounds(page, "none")


async def test_by_keyboard_alone_from_raise_to_reset(browser: Browser, here: Estate) -> None:
    async with at_desk(browser, here) as page:
        await page.goto("/")
        await begin_duty(page)
        here.smoke(True)
        await sounds(page, "fire")
        await page.keyboard.press("s")
        await sounds(page, "none")
        await page.keyboard.press("a")
        await expect(page.locator("#banner-acknowledge")).to_be_disabled()
        await page.locator("#banner-handle").focus()
        await page.keyboard.press("Enter")
        await page.wait_for_url(re.compile("/alarms/"))
        await page.get_by_role("radio", name="误报").focus()
        await page.keyboard.press("Space")
        await page.keyboard.press("Tab")
        await page.keyboard.type("烹饪油烟")
        await page.keyboard.press("Escape")  # the list of usual causes
        await page.keyboard.press("Enter")
        await expect(page.locator("#history")).to_contain_text("烹饪油烟")
        here.smoke(False)
        await here.until("normal", "smoke-1")
        await expect(page.locator("#top .word")).to_have_text("✓ 正常")
        await expect(page.locator("#banner")).to_be_hidden()
        await expect(page.locator("#alarm-state")).to_contain_text("误报")


async def test_three_taps_on_the_phone_from_banner_to_disposed(browser: Browser, here: Estate) -> None:
    async with at_desk(browser, here, screen=PHONE) as page:
        await page.goto("/")
        here.smoke(True)
        handle = page.locator("#banner-handle")
        await expect(handle).to_be_in_viewport(ratio=1)
        for button in await page.locator("#banner button, #banner a.button").all():
            box = await button.bounding_box()
            assert box is not None
            assert box["height"] >= 48
        await handle.tap()  # one
        await page.wait_for_url(re.compile("/alarms/"))
        choice = page.locator("label", has=page.get_by_role("radio", name="真实火警"))
        await expect(choice).to_be_in_viewport()
        await choice.tap()  # two
        await page.locator("#handle button[type=submit]").tap()  # three
        await expect(page.locator("#history")).to_contain_text("真实火警")
        assert [alarm["outcome"] for alarm in await ask(here.daemon.state, "alarms")] == ["real"]


async def test_what_burns_cannot_be_reset_and_the_page_says_why(browser: Browser, here: Estate) -> None:
    async with at_desk(browser, here, expects=["409: POST"]) as page:
        here.smoke(True)
        await here.until("alarm", "smoke-1")
        (alarm,) = await ask(here.daemon.state, "alarms")
        await page.goto(f"/alarms/{alarm['alarm']}")
        await page.locator("#banner-acknowledge").click()
        await expect(page.locator("#banner-acknowledge")).to_be_disabled()
        await page.locator("#reset").click()
        await expect(page.locator("#said [role=alert], #said .wrong")).to_contain_text("复位")
        assert (await ask(here.daemon.state, "alarms"))[0]["flags"]["active"]


async def test_fire_is_never_acknowledged_with_the_rest(browser: Browser, here: Estate) -> None:
    async with at_desk(browser, here) as page:
        here.smoke(True)
        await here.until("alarm", "smoke-1")
        await here.post("lift-1", "video.intrusion")
        await here.post("panic-1", "safety.panic")
        await here.until("alarm", "panic-1")
        await page.goto("/alarms")
        rest = page.locator("[hx-post='/alarms/acknowledge-rest']")
        await rest.scroll_into_view_if_needed()
        below = "(rest, last) => rest.getBoundingClientRect().top > last.getBoundingClientRect().top"
        last = await page.locator("article.call").last.element_handle()
        assert await rest.evaluate(below, last)  # where all were seen
        await rest.click()
        await expect(page.locator("#said")).to_contain_text("1")
        seen = {a["device"]: a["flags"]["acknowledged"] for a in await ask(here.daemon.state, "alarms")}
        assert seen == {"smoke-1": False, "panic-1": False, "lift-1": True}
