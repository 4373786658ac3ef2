"""The three-second answer: one word, one shape, one colour, in a fixed order; unknown is never green."""

import pytest
from playwright.async_api import Browser, expect

from tests.browsers import window
from tests.estates import Estate

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_look(browser: Browser, here: Estate) -> None:
    async with window(browser, here.daemon.url) as page:
        await page.goto("/")
        await page.screenshot(path="/tmp/rig-look.png")
        await expect(page.locator("#top .word")).to_contain_text("正常")
