"""What is asked of a view besides what it says: rules of accessibility, room to the side, bytes, the first paint."""

from pathlib import Path
from typing import Any

from playwright.async_api import Page

_AXE = Path(__file__).parent / "vendor" / "axe.min.js"
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_RUN = """async options => {
    const told = await axe.run(document, {...options, resultTypes: ["violations"]});
    const why = node => [node.any, node.all, node.none].flat().map(check => check.message)[0];
    const where = node => node.target.join(" ");
    return told.violations.flatMap(rule => rule.nodes.map(node => `${rule.id} at ${where(node)}: ${why(node)}`));
}"""
_WIDE = """() => {
    const most = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= most) return [];
    const wide = [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > most + 1);
    return wide.filter(e => !e.closest(".scroll")).slice(0, 3).map(e => `${e.tagName}.${e.className} ${e.id}`);
}"""
_UNREACHED = """() => [...document.querySelectorAll(
    "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]")]
    .filter(e => e.checkVisibility() && !e.disabled && (e.tabIndex < 0 || e.tabIndex > 0))
    .filter(e => !(e.id && document.querySelector(`[href$="#${e.id}"]`)) && e.id !== "main")
    .map(e => e.outerHTML.slice(0, 80))"""
CPU_SLOWED = 4


async def with_axe(page: Page) -> None:
    """Each view that it opens from now on can be judged."""
    await page.add_init_script(path=_AXE)


async def violations(page: Page, *rules: str) -> list[str]:
    """What axe-core finds against WCAG 2.2 AA; of these rules alone where they are named. `with_axe` came first."""
    only: dict[str, Any] = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": _TAGS}
    found: list[str] = await page.evaluate(_RUN, {"runOnly": only})
    return found


async def too_wide(page: Page) -> list[str]:
    """What makes the page scroll sideways (WCAG 2.2, 1.4.10)."""
    found: list[str] = await page.evaluate(_WIDE)
    return found


async def unreached(page: Page) -> list[str]:
    """What a pointer can use and a keyboard cannot, or out of its order (WCAG 2.2, 2.1.1 and 2.4.3)."""
    found: list[str] = await page.evaluate(_UNREACHED)
    return found


async def weight_bytes(page: Page, path: str) -> int:
    """What a browser that has nothing of it fetches for a view, headers and all."""
    sizes: list[int] = []
    session = await page.context.new_cdp_session(page)
    await session.send("Network.enable")
    session.on("Network.loadingFinished", lambda told: sizes.append(int(told["encodedDataLength"])))
    await page.goto(path, wait_until="load")
    await page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
    return sum(sizes)


async def first_paint_ms(page: Page, path: str) -> float:
    """Until something can be read, with the CPU slowed."""
    session = await page.context.new_cdp_session(page)
    await session.send("Emulation.setCPUThrottlingRate", {"rate": CPU_SLOWED})
    await page.goto(path, wait_until="load")
    await page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
    took_ms: float = await page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    return took_ms
