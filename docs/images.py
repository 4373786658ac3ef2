"""Makes docs/images: the page of `gateway demo` as a duty person sees it, in both languages, for the README.

`make pictures` runs it. Debian's chromium draws; pictures are WebP of 60 kB at most, so that the README stays light.
"""

import asyncio
import base64
import re
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

from gateway.demo.stage import DOOR_B3, DOOR_GATE, RESIDENT_BITS, SMOKE, Stage, stage

IMAGES = Path(__file__).parent / "images"
MOST_BYTES = 60_000
PASSWORD = "阳光花园演示时用的密码"  # noqa: S105  # of a community that lives for a minute
QUALITIES = (90, 80, 70, 60, 50)
WAIT_MS = 20_000
DESKTOP, PHONE = (1366, 768), (360, 740)


async def main() -> None:
    """All pictures."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gateway-pictures-") as folder:
        async with async_playwright() as play, stage(Path(folder), "zh-CN") as standing:
            path = shutil.which("chromium") or sys.exit("chromium is missing: `make test` installs it")
            browser = await play.chromium.launch(executable_path=path, args=["--no-sandbox"])
            kept = await set_up(browser, standing)
            await life(standing)
            for language in ("zh-CN", "en-GB"):
                await every(browser, standing, kept, language)
            await browser.close()


async def life(standing: Stage) -> None:
    """A few minutes of a quiet day: cards at both doors, somebody at the gate, a button that is well."""
    await standing.panic.say({"type": "telemetry.sample", "values": {"battery": {"value": 96, "unit": "%"}}})
    for door in (DOOR_B3, DOOR_GATE):
        standing.readers.readers[door].present(*RESIDENT_BITS)
    standing.camera.motion(True)
    await standing.panic.all_accepted()
    standing.camera.motion(False)


async def set_up(browser: Browser, standing: Stage) -> str:
    """The first account, as an installer makes it; returns the browser's state, as JSON for the next ones."""
    context = await browser.new_context(base_url=standing.page)
    page = await context.new_page()
    await page.goto("/setup")
    code = (standing.folder / "state" / "setup-code").read_text("ascii").strip()
    given = {"code": code, "shown": "王师傅", "name": "wang", "password": PASSWORD, "again": PASSWORD}
    for name, value in given.items():
        await page.locator(f"input[name={name}]").fill(value)
    await page.locator("form[action='/setup'] button").click()
    await page.wait_for_url("**/")
    path = standing.folder / "signed-in.json"
    await context.storage_state(path=path)
    await context.close()
    return str(path)


async def every(browser: Browser, standing: Stage, kept: str, language: str) -> None:
    """All well, then a fire, on the desk and on the phone."""
    short = language[:2]
    await shot(browser, standing, kept, language, DESKTOP, f"overview-{short}", well)
    standing.detectors.slaves[SMOKE].set_condition("fire.smoke", True)
    await shot(browser, standing, kept, language, DESKTOP, f"fire-{short}", called)
    await shot(browser, standing, kept, language, PHONE, f"phone-{short}", handled)
    standing.detectors.slaves[SMOKE].set_condition("fire.smoke", False)
    await shot(browser, standing, kept, language, DESKTOP, f"report-{short}", disposed)


async def well(page: Page) -> None:
    """The first screen, when it is green."""
    await page.goto("/")
    await page.locator("#top.normal").wait_for()


async def called(page: Page) -> None:
    """The first screen while it burns."""
    await page.goto("/")
    await page.locator("#banner-handle").wait_for()


async def handled(page: Page) -> None:
    """Where one says what it was."""
    await called(page)
    await page.locator("#banner-handle").click()
    await page.locator("#handle").wait_for()


async def disposed(page: Page) -> None:
    """It was a false alarm; then the report of the day."""
    await handled(page)
    await page.locator("#handle input[name=outcome][value=false]").check()
    await page.locator("#handle button[type=submit]").click()
    await page.locator("#top.normal").wait_for()
    await page.goto("/reports")


async def shot(
    browser: Browser,
    standing: Stage,
    kept: str,
    language: str,
    size: tuple[int, int],
    name: str,
    way: Callable[[Page], Awaitable[None]],
) -> None:
    """One picture, as fine as its size allows."""
    context = await browser.new_context(
        base_url=standing.page, locale=language, storage_state=kept, viewport={"width": size[0], "height": size[1]}
    )
    context.set_default_timeout(WAIT_MS)
    page = await context.new_page()
    await way(page)
    start = page.get_by_role("button", name=re.compile("开始值班|Start duty"))
    if await start.count():
        await start.click()
    await page.wait_for_load_state("load")
    (IMAGES / f"{name}.webp").write_bytes(await webp(page))
    await context.close()


async def webp(page: Page) -> bytes:
    """As chromium packs it."""
    session = await page.context.new_cdp_session(page)
    for quality in QUALITIES:
        told = await session.send("Page.captureScreenshot", {"format": "webp", "quality": quality})
        data = base64.b64decode(told["data"])
        if len(data) <= MOST_BYTES:
            return data
    raise SystemExit(f"{page.url}: more than {MOST_BYTES} bytes at quality {QUALITIES[-1]}")


if __name__ == "__main__":
    asyncio.run(main())
