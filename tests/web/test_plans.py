"""A floor plan by hand, on the real daemon: a large photograph is made small, pins by tap, by drag and by keys."""

import base64
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from gateway.drawings import MOST_BYTES
from tests.browsers import PHONE
from tests.drawn import png
from tests.estates import Estate
from tests.web.desk import at_desk

pytestmark = pytest.mark.asyncio(loop_scope="session")
PLACE = "/plans?place=b2"
PHOTOGRAPH = """async () => {
  const canvas = new OffscreenCanvas(4500, 3000);
  const brush = canvas.getContext("2d");
  for (let n = 0; n < 40000; n++) {
    brush.fillStyle = `rgb(${(n * 7919) % 256}, ${n % 255}, 9)`;
    brush.fillRect((n * 104729) % 4500, (n * 1299709) % 3000, 29, 29);
  }
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 1 });
  const reader = new FileReader();
  await new Promise((done) => { reader.onload = done; reader.readAsDataURL(blob); });
  return reader.result.split(",")[1];
}"""


async def bring(page: Page, name: str, kind: str, body: bytes) -> None:
    await page.goto(PLACE)
    if not await page.locator("#plan-file").is_visible():
        await page.locator(".plan-bring > summary").click()
    await page.locator("#plan-file").set_input_files({"name": name, "mimeType": kind, "buffer": body})


async def sent(page: Page, there: str) -> None:
    async with page.expect_navigation(url=f"**{there}*"):
        await page.locator(".plan-bring button.main").click()


async def place_of(pin: Locator) -> list[str]:
    found: list[str] = await pin.evaluate("pin => [pin.dataset.x, pin.dataset.y]")
    return found


async def test_too_large_a_photograph_is_made_small_and_kept(here: Estate, browser: Browser) -> None:
    async with at_desk(browser, here, "manager") as page:
        await page.goto(PLACE)
        photograph = base64.b64decode(await page.evaluate(PHOTOGRAPH))
        assert len(photograph) > MOST_BYTES
        await bring(page, "IMG_1.jpg", "image/jpeg", photograph)
        await page.wait_for_function(f"() => document.getElementById('plan-file').files[0].size < {MOST_BYTES}")
        await sent(page, "arrange=true")
        picture = page.locator("#plan-sheet img")
        await expect(picture).to_have_attribute("width", "3000")
        assert await picture.evaluate("img => img.decode().then(() => img.naturalWidth)") == 3000


async def pins_of(page: Page) -> dict[str, Any]:
    pins = await page.locator("[data-device]").all()
    return {str(await pin.get_attribute("data-device")): await place_of(pin) for pin in pins}


async def test_pins_by_tap_by_drag_and_by_keys(here: Estate, browser: Browser) -> None:
    async with at_desk(browser, here, "manager") as page:
        await bring(page, "plan.png", "image/png", png(100, 50))
        await sent(page, "arrange=true")
        chosen = await page.locator("#pin-form select").input_value()
        sheet = await page.locator("#plan-sheet").bounding_box()
        assert sheet
        async with page.expect_navigation():
            await page.mouse.click(sheet["x"] + sheet["width"] / 4, sheet["y"] + sheet["height"] / 4)
        await expect(page.locator("[data-device]")).to_have_attribute("data-device", chosen)
        assert (await place_of(page.locator("[data-device]")))[0] in ("24.9", "25.0", "25.1")

        pin = page.locator(f'[data-device="{chosen}"]')
        box = await pin.locator(".touch").bounding_box()
        assert box
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        await page.mouse.move(x, y)
        await page.mouse.down()
        await page.mouse.move(x + sheet["width"] / 8, y, steps=4)
        async with page.expect_response("**/pin"):
            await page.mouse.up()
        await pin.focus()
        async with page.expect_response("**/pin"):
            await page.keyboard.press("ArrowDown")
            await page.keyboard.press("Shift+ArrowDown")
        moved = await place_of(pin)
        assert 36 < float(moved[0]) < 39
        assert 29 < float(moved[1]) < 32
        await page.reload()
        assert await pins_of(page) == {chosen: moved}

    async with at_desk(browser, here, "duty", screen=PHONE) as page:
        await page.goto(f"/plans?device={chosen}")
        await expect(page.locator(".pin.here")).to_have_attribute("href", f"/devices/{chosen}")
        await page.locator('[data-zoom="1"]').click()
        await page.locator(".pin.here").click()
        await page.wait_for_url(f"**/devices/{chosen}")


async def test_what_is_no_picture_is_told_in_words(here: Estate, browser: Browser) -> None:
    async with at_desk(browser, here, "manager", expects=(r"^409: POST ",)) as page:
        await bring(page, "plan.svg", "image/svg+xml", b"<svg onload='alert(1)'/>")
        await page.locator(".plan-bring button.main").click()
        await expect(page.locator("#said .wrong")).to_contain_text("不是 PNG、JPEG 或 WebP 图片")
