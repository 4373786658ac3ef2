"""Names and texts that would be programs: from devices, cards, the platform and people, on every view.

Nothing of them runs: no dialog opens, nothing is fetched, no policy is violated; and each is shown as it is.
"""

from collections.abc import AsyncIterator
from itertools import cycle

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browsers import DESKTOP, PHONE, Screen
from tests.daemons import RESIDENT_BITS
from tests.estates import NAMES, Estate, estate
from tests.houses import ask
from tests.web.desk import VIEWS, at_desk, settle_in

pytestmark = pytest.mark.asyncio(loop_scope="session")
MARKUP = (
    "<script>window.pwned=1;alert(1)</script>",
    "<img src=/x onerror='window.pwned=1;alert(1)'>",
    "\"'><svg onload=alert(1)>",
    "</script><script>window.pwned=1</script>",
    "{{ 7 * 191 }}${7*191}<%= 7*191 %>",
    "javascript:alert(1)//",
    "</title><iframe srcdoc='<script>parent.pwned=1</script>'>",
)
HOSTILE = {key: f"{name}{markup}" for (key, name), markup in zip(NAMES.items(), cycle(MARKUP), strict=False)}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hostile(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Estate]:
    """Everything is called so, and everything has happened; a person has written so, too."""
    async with estate(tmp_path_factory.mktemp("hostile"), HOSTILE) as made:
        await settle_in(made)
        await made.told_by_the_platform(MARKUP[0])
        made.readers.readers[1].present(*RESIDENT_BITS)
        made.smoke(True)
        await made.post("panic-1", "safety.panic", part={"text": MARKUP[1]}, raw={"note": MARKUP[0]})
        await made.post("hall-1", "device.fault", values={"text": {"value": MARKUP[0], "unit": MARKUP[4][:32]}})
        await made.until("alarm", "smoke-1")
        for alarm in await ask(made.daemon.state, "alarms"):
            await ask(made.daemon.state, "ack", alarm=alarm["alarm"], who=MARKUP[1], note=MARKUP[2])
        await ask(made.daemon.state, "shield", who=MARKUP[0], target="lift-1", seconds=600, reason=MARKUP[1])
        await ask(made.daemon.state, "handover", who=MARKUP[0], note=MARKUP[1])
        yield made


@pytest.mark.parametrize(("screen", "language"), [(DESKTOP, "zh-CN"), (PHONE, "en-GB")], ids=["desk zh", "phone en"])
async def test_no_text_becomes_a_program_on_any_view(
    browser: Browser, hostile: Estate, screen: Screen, language: str
) -> None:
    alarms = await ask(hostile.daemon.state, "alarms")
    fire = next(alarm["alarm"] for alarm in alarms if alarm["type"] == "fire.smoke")
    expected = ["404: GET .*/alarms/nothing"]
    async with at_desk(browser, hostile, "installer", screen=screen, language=language, expects=expected) as page:
        for path in [*VIEWS.values(), *(f"/devices/{name}" for name in ("panic-1", "hall-1", "door-1"))]:
            await page.goto(path.format(alarm=fire), wait_until="load")
            assert await page.evaluate("window.pwned") is None, path
            assert await page.locator("iframe, main script:not([type='application/json'])").count() == 0, path
            assert "1337" not in await page.locator("body").inner_text(), path


@pytest.mark.parametrize(
    ("path", "name"), [("/", "site"), ("/devices", "smoke-1"), ("/devices/door-1", "door-1"), ("/notices", None)]
)
async def test_each_is_shown_as_it_is(browser: Browser, hostile: Estate, path: str, name: str | None) -> None:
    async with at_desk(browser, hostile) as page:
        await page.goto(path)
        text = HOSTILE[name] if name else MARKUP[0]
        assert await page.get_by_text(text).count() > 0
