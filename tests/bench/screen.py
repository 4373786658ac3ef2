"""From a device's word to the screen of a real browser; the first view's bytes and first paint."""

import json
import statistics
from pathlib import Path

from playwright.async_api import Page

from gateway.web import bind, create, serve
from tests.bench.figures import Figure
from tests.browsers import chromium
from tests.houses import Puppets, config, living
from tests.visitors import Known, known
from tests.web.pace import first_paint_ms, weight_bytes

EVENTS = 100
FIGURES = (
    Figure("screen_p50_ms", "device to screen, half within", "{:.0f} ms"),
    Figure("screen_p99_ms", "99 of 100 within", "{:.0f} ms", "≤ 300 ms"),
    Figure("first_view_kb", "first view, over the wire", "{:.1f} kB", "≤ 100 kB"),
    Figure("first_paint_ms", "first paint, CPU four times slower", "{:.0f} ms", "≤ 1,000 ms"),
)
_WATCH = """() => {
  window.seen = {};
  const look = (row) => { seen[row.id] ??= Date.now(); };
  new MutationObserver(() => document.querySelectorAll('#rows li[id]').forEach(look))
    .observe(document.getElementById('rows'), {childList: true});
}"""


async def screen(folder: Path) -> dict[str, float]:
    """One browser, one page; the device's word is taken in, stored, streamed and shown."""
    puppets = Puppets()
    async with (
        living(config(folder, {"door-1": "door", "smoke-1": "smoke"}), puppets) as house,
        chromium() as browser,
    ):
        sockets = bind("127.0.0.1", 0)
        address = f"http://127.0.0.1:{sockets[0].getsockname()[1]}/"
        async with serve(create(house, Known(known("duty"))), sockets):
            async with await browser.new_page() as page:
                found = {"first_view_kb": await weight_bytes(page, address) / 1000}
            async with await browser.new_page() as page:
                found["first_paint_ms"] = await first_paint_ms(page, address)
            page = await browser.new_page()
            await page.goto(address, wait_until="load")
            waits_ms = await _waits_ms(page, puppets)
    return found | {
        "screen_p50_ms": statistics.median(waits_ms),
        "screen_p99_ms": statistics.quantiles(waits_ms, n=100)[98],
    }


async def _waits_ms(page: Page, puppets: Puppets) -> list[float]:
    await page.evaluate(_WATCH)
    waits_ms = []
    for number in range(EVENTS):
        began_ms = await page.evaluate("Date.now()")
        name = f"e-{await puppets.emit('door-1', 'access.granted' if number % 2 else 'access.denied')}"
        await page.locator(f"#{name}").wait_for(state="attached")
        waits_ms.append(float(await page.evaluate(f"window.seen[{json.dumps(name)}]")) - began_ms)
    return waits_ms
