"""A real browser for tests of the page: Debian's chromium by Playwright. Whatever it complains of fails the test.

    async with chromium() as browser, window(browser, daemon.url, PHONE) as page:
        await page.goto("/")

A complaint is an error of a script, a line of the console that is one (what the Content-Security-Policy refuses is
told there), an answer of 400 and more, a request that fails, one to any other host, and a dialog that opens.
"""

import os
import re
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    Response,
    WebError,
    async_playwright,
)

WAIT_MS = 10_000.0  # longest wait for anything that must happen
_LEFT = "net::ERR_ABORTED"  # the page went on to another, or closed its stream
_SOUND = "--autoplay-policy=document-user-activation-required"  # as on a desk: no sound before somebody tapped
Scheme = Literal["light", "dark"]


@dataclass(frozen=True)
class Screen:
    """What somebody looks at."""

    name: str
    width_px: int
    height_px: int
    touch: bool = False


DESKTOP = Screen("desktop", 1366, 768)
PHONE = Screen("phone", 360, 740, touch=True)
ZOOMED = Screen("zoomed", 683, 384)  # the desktop at 200 %
NARROW = Screen("narrow", 320, 640, touch=True)  # WCAG 2.2, 1.4.10


@dataclass
class Complaints:
    """What a browser complained of. `ours` is the page's origin; what matches one of `expected` is none."""

    ours: str
    expected: tuple[str, ...] = ()
    heard: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)  # every address asked for

    def listen(self, context: BrowserContext) -> None:
        """To all of its pages."""
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("dialog", self._dialog)
        context.on("request", self._request)
        context.on("requestfailed", self._failed)
        context.on("response", self._response)

    def _say(self, text: str) -> None:
        if not any(re.search(pattern, text) for pattern in self.expected):
            self.heard.append(text)

    def _console(self, message: ConsoleMessage) -> None:
        refused = message.text.startswith("Failed to load resource")  # told as its response, with its address
        if message.type in ("error", "warning") and not refused:
            self._say(f"console: {message.text}")

    def _error(self, error: WebError) -> None:
        self._say(f"script: {error.error}")

    async def _dialog(self, dialog: Dialog) -> None:
        self._say(f"dialog: {dialog.message}")
        await dialog.dismiss()

    def _request(self, request: Request) -> None:
        self.requests.append(request.url)
        if not request.url.startswith((self.ours + "/", "data:", "blob:" + self.ours)):
            self._say(f"foreign: {request.url}")

    def _failed(self, request: Request) -> None:
        if request.failure != _LEFT:
            self._say(f"failed: {request.method} {request.url} {request.failure}")

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self._say(f"{response.status}: {response.request.method} {response.url}")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """One for many tests. AssertionError where there is none."""
    path = shutil.which("chromium")
    assert path, "there is no chromium on this machine: `make test` installs it"
    sandbox = [] if os.geteuid() else ["--no-sandbox"]  # it refuses to run as root with one
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=path, args=[_SOUND, *sandbox])
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def window(
    browser: Browser,
    url: str,
    screen: Screen = DESKTOP,
    language: str = "zh-CN",
    *,
    scheme: Scheme = "light",
    still: bool = False,
    expects: Iterable[str] = (),
    cookies: Iterable[dict[str, str]] = (),
) -> AsyncIterator[Page]:
    """A page of somebody who has never been here, or who is signed in by `cookies`; it complains when it closes.

    `expects` are complaints that the test is about; `still`: they asked for less motion.
    """
    complaints = Complaints(url.rstrip("/"), tuple(expects))
    context = await browser.new_context(
        base_url=url, locale=language, color_scheme=scheme, has_touch=screen.touch, is_mobile=screen.touch,
        viewport={"width": screen.width_px, "height": screen.height_px},
        reduced_motion="reduce" if still else "no-preference",
    )  # fmt: skip
    context.set_default_timeout(WAIT_MS)
    complaints.listen(context)
    await context.add_cookies([{"name": c["name"], "value": c["value"], "url": url} for c in cookies])
    page = await context.new_page()
    try:
        yield page
    finally:
        await context.close()
    assert not complaints.heard, "the page complained:\n  " + "\n  ".join(complaints.heard)


async def settled(page: Page) -> None:
    """Until fonts and pictures are there and nothing moves; the stream stays open, so the network is never idle."""
    await page.wait_for_load_state("load")
    await page.evaluate("document.fonts.ready.then(() => Promise.all(document.getAnimations().map(a => a.finish)))")


async def texts(page: Page, selector: str) -> list[str]:
    """What stands in each of these elements, tidied."""
    found = await page.locator(selector).all_inner_texts()
    return [" ".join(text.split()) for text in found]
