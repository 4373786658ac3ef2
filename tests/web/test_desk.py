"""What a desk chooses for itself under Settings holds at once, in every tab of that browser, and for ever."""

import pytest
from playwright.async_api import Browser, Page, expect

from tests.estates import Estate
from tests.web.desk import at_desk, begin_duty

pytestmark = pytest.mark.asyncio(loop_scope="session")
NORMALLY = {"sound": True, "speech": False, "keys": True}


async def plays(page: Page, tone: str) -> None:
    await expect(page.locator("body")).to_have_attribute("data-playing", tone)


async def test_choices_are_kept_by_the_browser(browser: Browser, here: Estate) -> None:
    async with at_desk(browser, here) as page:
        await page.goto("/settings")
        for name, on in NORMALLY.items():
            box = page.locator(f"[data-desk={name}]")
            await expect(box).to_be_checked(checked=on)
            await box.set_checked(not on)
        await page.goto("/settings")
        for name, on in NORMALLY.items():
            await expect(page.locator(f"[data-desk={name}]")).to_be_checked(checked=not on)


async def test_sound_ends_and_begins_in_every_open_tab(browser: Browser, here: Estate) -> None:
    async with at_desk(browser, here) as page:
        await page.goto("/")
        await begin_duty(page)
        settings = await page.context.new_page()
        await settings.goto("/settings")
        await begin_duty(settings)
        here.smoke(True)
        await plays(page, "fire")
        await plays(settings, "fire")
        box = settings.get_by_label("报警时发声")
        await box.uncheck()
        await plays(settings, "none")
        await plays(page, "none")
        await expect(page.locator("#banner")).to_be_visible()  # it is still there to be seen
        await box.check()
        await plays(settings, "fire")
        await plays(page, "fire")


async def test_where_keys_are_off_no_key_silences(browser: Browser, here: Estate) -> None:
    async with at_desk(browser, here) as page:
        await page.goto("/settings")
        await page.locator("[data-desk=keys]").uncheck()
        await page.goto("/")
        await begin_duty(page)
        here.smoke(True)
        await plays(page, "fire")
        await page.keyboard.press("s")
        await page.keyboard.press("3")
        await plays(page, "fire")
        await expect(page.locator("#banner-silence")).to_be_enabled()
        assert page.url == here.daemon.url + "/"
