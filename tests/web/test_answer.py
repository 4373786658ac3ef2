"""The three-second answer: one word, one shape, one colour, in a fixed order; unknown is never green.

Colours are what the browser painted, read back from the page's first line.
"""

from typing import NamedTuple

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browsers import DESKTOP, PHONE, Screen
from tests.estates import Estate
from tests.houses import ask
from tests.web.desk import at_desk

pytestmark = pytest.mark.asyncio(loop_scope="session")
GREEN = "rgb(27, 127, 59)"


class Answer(NamedTuple):
    """What the first line shows."""

    shape: str
    zh: str
    en: str
    ground: str  # its colour; "hatched" where it is drawn


ANSWERS = {
    "fire": Answer("▲", "火警", "Fire alarm", "rgb(176, 0, 32)"),
    "alarm": Answer("◆", "报警", "Alarm", "rgb(138, 75, 0)"),
    "unknown": Answer("?", "状态未知", "State unknown", "rgb(241, 243, 245)"),
    "fault": Answer("!", "故障", "Fault", "rgb(255, 193, 7)"),
    "disconnected": Answer("⇅", "与平台断开", "Platform not reachable", "rgb(255, 193, 7)"),
    "shielded": Answer("▨", "有屏蔽", "Something is shielded", "hatched"),
    "normal": Answer("✓", "正常", "Normal", GREEN),
}
_PAINTED = """top => {
    const look = getComputedStyle(top);
    return look.backgroundImage === "none" ? look.backgroundColor : "hatched";
}"""


async def shown(page: Page, word: str, language: str = "zh") -> None:
    """Until the page that is open says so, by itself: as a word, a shape and a colour."""
    answer = ANSWERS[word]
    top = page.locator("#top")
    await expect(top.locator(".word")).to_have_text(f"{answer.shape} {answer.zh if language == 'zh' else answer.en}")
    assert await top.evaluate(_PAINTED) == answer.ground
    assert await top.locator(".shape").get_attribute("aria-hidden") == "true"  # read aloud is the word


async def begin(here: Estate, word: str) -> None:
    """The condition behind a word begins, where it begins in life: on a wire, at the broker, by a person."""
    match word:
        case "shielded":
            await ask(here.daemon.state, "shield", who="王师傅", target="lift-1", seconds=600, reason="保养")
        case "disconnected":
            await here.broker.stop()
        case "fault":
            await here.post("hall-1", "device.fault")
        case "unknown":
            here.detectors.slaves[6].unplug()
        case "alarm":
            await here.post("panic-1", "safety.panic")
        case "fire":
            here.smoke(True)


async def end(here: Estate, word: str) -> None:
    """It ends, and what latched is handled."""
    match word:
        case "shielded":
            await ask(here.daemon.state, "unshield", who="王师傅", device="lift-1", reason="保养完成")
        case "disconnected":
            await here.broker.start()
        case "fault":
            await here.post("hall-1", "device.fault", "clear")
        case "unknown":
            here.detectors.slaves[6].plug()
        case "alarm":
            await here.post("panic-1", "safety.panic", "clear")
            await dispose(here, "panic-1")
        case "fire":
            here.smoke(False)
            await dispose(here, "smoke-1")


async def dispose(here: Estate, device: str) -> None:
    """Somebody says at the console what the device's alarms were."""
    for alarm in await ask(here.daemon.state, "alarms"):
        if alarm["device"] == device:
            await ask(here.daemon.state, "ack", alarm=alarm["alarm"], who="王师傅", outcome="test")


@pytest.mark.parametrize(("screen", "language"), [(DESKTOP, "zh-CN"), (PHONE, "en-GB")], ids=["desktop zh", "phone en"])
async def test_each_state_takes_the_first_line_from_the_one_below_it_and_gives_it_back(
    browser: Browser, here: Estate, screen: Screen, language: str
) -> None:
    rising = list(reversed(ANSWERS))  # from normal up to fire
    async with at_desk(browser, here, screen=screen, language=language) as page:
        await page.goto("/")
        for word in rising:
            await begin(here, word)
            await shown(page, word, language[:2])
        for above, word in zip(rising[:0:-1], rising[-2::-1], strict=True):
            await end(here, above)
            await shown(page, word, language[:2])


async def test_a_house_of_which_nothing_is_known_is_not_green(browser: Browser, here: Estate) -> None:
    here.detectors.slaves[6].unplug()
    async with at_desk(browser, here) as page:
        await page.goto("/")
        await shown(page, "unknown")
        for tile in await page.locator(".unknown, .offline").all():
            assert await tile.evaluate("e => getComputedStyle(e).backgroundColor") != GREEN
            assert await tile.inner_text() != ""
    here.detectors.slaves[6].plug()
    await here.until("normal", "climate-1")
