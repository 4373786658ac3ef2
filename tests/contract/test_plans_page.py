"""Floor plans as people see and bring them: of a whole gateway, in both languages; what is no picture is refused."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from gateway.drawings import MOST_BYTES
from gateway.house import House
from gateway.web.visitor import Role
from tests.drawn import JPG, png
from tests.houses import Puppets, living
from tests.visitors import known, visiting
from tests.walls import EVIL, FLOOR, community, device

HOUSE = (
    device("smoke-5", name="5层烟感"),
    device("smoke-2", "b3/u2/f2", name="2层烟感"),
    device("evil", name=EVIL),
    device("cam-1", "gate", name="大门摄像机"),
)


@asynccontextmanager
async def at(
    folder: Path, role: Role = "manager", *, language: str = "zh", fresh: bool = True
) -> AsyncIterator[tuple[House, httpx.AsyncClient, Puppets]]:
    puppets = Puppets()
    async with (
        living(community(folder, HOUSE), puppets) as house,
        visiting(house, known(role, fresh=fresh), language=language) as client,
    ):
        yield house, client, puppets


async def bring(client: httpx.AsyncClient, body: bytes, place: str = FLOOR, **more: Any) -> httpx.Response:
    """As a browser's form does."""
    return await client.post(f"/plans/{place}/picture", files={"picture": ("plan.png", body, "image/png")}, **more)


async def pin(client: httpx.AsyncClient, device: str = "smoke-5", place: str = FLOOR, **form: str) -> httpx.Response:
    return await client.post(f"/plans/{place}/pin", data={"device": device, "x": "37.5", "y": "20"} | form)


def kept(folder: Path) -> list[str]:
    plans = folder / "state" / "plans"
    return sorted(path.name for path in plans.iterdir()) if plans.exists() else []


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("zh", ("平面图: 3号楼2单元5层", "还没有平面图", "此处设备", "未知", "大门")),
        ("en", ("Floor plans: 3号楼2单元5层", "no picture of this place yet", "Devices here", "unknown")),
    ],
)
async def test_without_a_picture_there_is_a_list(tmp_path: Path, language: str, told: tuple[str, ...]) -> None:
    async with at(tmp_path, language=language) as (_, client, _puppets):
        text = (await client.get(f"/plans?place={FLOOR}")).text
    assert [word for word in told if word not in text] == []
    assert 'href="/devices/smoke-5"' in text
    assert 'href="/devices/smoke-2"' not in text
    assert "plan-pins" not in text
    assert "<script>alert" not in text


async def test_the_plan_opens_where_it_burns(tmp_path: Path) -> None:
    async with at(tmp_path) as (_, client, puppets):
        calm = (await client.get("/plans")).text
        await puppets.emit("smoke-5", "fire.smoke", "raise")
        burning = (await client.get("/plans")).text
        asked = (await client.get("/plans?place=b3")).text
    assert "<h1>平面图: 3号楼2单元5层</h1>" not in calm
    assert "<h1>平面图: 3号楼2单元5层</h1>" in burning
    assert "<h1>平面图: 3号楼2单元5层</h1>" not in asked


async def test_a_house_without_places_with_anything_in_them(tmp_path: Path) -> None:
    async with living(community(tmp_path, []), Puppets()) as house, visiting(house, known("duty")) as client:
        answer = await client.get("/plans")
    assert answer.status_code == 200
    assert "尚未配置位置" in answer.text


async def test_a_picture_is_brought_shown_and_removed(tmp_path: Path) -> None:
    async with at(tmp_path) as (house, client, _):
        answer = await bring(client, png(300, 200))
        assert (answer.status_code, unquote(answer.headers["x-said"])) == (204, "平面图已保存。")
        assert answer.headers["hx-redirect"] == "/plans?place=b3%2Fu2%2Ff5&arrange=true"
        text = (await client.get("/plans")).text  # the first that has a picture
        assert 'width="300" height="200"' in text
        (source,) = re.findall(r'<img src="([^"]+)"', text)
        picture = await client.get(source)
        assert picture.content == png(300, 200)
        assert picture.headers["content-type"] == "image/png"
        assert picture.headers["x-content-type-options"] == "nosniff"
        same = await client.get(source, headers={"If-None-Match": picture.headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")
        await bring(client, JPG)
        changed = await client.get(source, headers={"If-None-Match": picture.headers["etag"]})
        assert (changed.content, changed.headers["content-type"]) == (JPG, "image/jpeg")
        gone = await client.post(f"/plans/{FLOOR}/remove")
        assert unquote(gone.headers["x-said"]) == "平面图已删除。"
        assert (await client.get(source)).status_code == 404
        lines = await house.store.read(lambda c: c.execute("SELECT entry FROM audit ORDER BY n").fetchall())
    steps = [json.loads(line) for (line,) in lines]
    assert [step["what"] for step in steps] == ["plan.picture", "plan.picture", "plan.remove"]
    assert {step["who"] for step in steps} == {"王师傅"}
    assert kept(tmp_path) == ["plans.json"]


async def test_a_picture_as_the_body_itself(tmp_path: Path) -> None:
    async with at(tmp_path) as (_, client, _puppets):
        answer = await client.post("/plans/gate/picture", content=JPG, headers={"Content-Type": "image/jpeg"})
        assert answer.status_code == 204
        assert (await client.get("/plans/gate/picture")).content == JPG


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (SVG, "不是 PNG、JPEG 或 WebP"),
        (b"", "不是 PNG"),
        (png() + b"<script>alert(1)</script>", "附带了其他内容"),
        (png()[:-20], "已损坏"),
        (png(60_000, 60_000), "像素"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * MOST_BYTES, "4 MiB"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 10_000_000, "4 MiB"),
    ],
    ids=["svg", "nothing", "two in one", "cut", "bomb", "large", "very large"],
)
async def test_what_is_no_plan_is_refused_and_nothing_of_it_kept(tmp_path: Path, body: bytes, why: str) -> None:
    async with at(tmp_path) as (_, client, _puppets):
        answer = await bring(client, body)
        assert answer.status_code == 409
        error = answer.json()["error"]
        assert why in error["what"]["zh"]
        assert error["do"]["en"]
        assert "还没有平面图" in (await client.get(f"/plans?place={FLOOR}")).text
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nno file\r\n--x--"),
        ("multipart/form-data; boundary=x", b"--y"),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data", b""),
    ],
)
async def test_a_form_without_a_file(tmp_path: Path, content_type: str, body: bytes) -> None:
    async with at(tmp_path) as (_, client, _puppets):
        answer = await client.post(f"/plans/{FLOOR}/picture", content=body, headers={"Content-Type": content_type})
    assert answer.status_code == 409
    assert kept(tmp_path) == []


async def test_places_that_are_not_there(tmp_path: Path) -> None:
    async with at(tmp_path) as (_, client, _puppets):
        answers = [
            await bring(client, png(), "b9"),
            await bring(client, png(), "b3/u2/../../../x"),
            await bring(client, png(), "..%2F..%2Fx"),
            await pin(client, place="b9"),
            await client.post("/plans/b9/remove"),
            await client.get("/plans?place=b9"),
            await client.get("/plans/b9/picture"),
            await client.get("/plans/..%2Fevents.db/picture"),
        ]
    assert {answer.status_code for answer in answers} == {404}
    assert kept(tmp_path) == []


async def test_devices_are_placed_shown_and_taken_off(tmp_path: Path) -> None:
    async with at(tmp_path, language="en") as (house, client, puppets):
        await bring(client, png())
        answer = await pin(client)
        assert unquote(answer.headers["x-said"]) == "Its place is kept."
        assert "hx-redirect" in answer.headers
        assert "hx-redirect" not in (await pin(client, "evil", dragged="1", x="0", y="100")).headers
        await puppets.emit("smoke-5", "fire.smoke", "raise")
        text = (await client.get(f"/plans?place={FLOOR}&device=smoke-5")).text
        assert re.findall(r'<svg x="([\d.]+)%" y="([\d.]+)%"', text) == [("0.0", "100.0"), ("37.5", "20.0")]
        assert 'class="pin fire here" href="/devices/smoke-5" aria-label="fire alarm 5层烟感"' in text
        assert ">▲</tspan> fire alarm</text>" in text
        assert "<script>alert" not in text
        off = await pin(client, step="remove")
        assert unquote(off.headers["x-said"]) == "It is off the picture."
        assert list(await house.plans.pins(FLOOR)) == ["evil"]


async def test_a_device_opens_the_nearest_plan_around_it(tmp_path: Path) -> None:
    async with at(tmp_path) as (_, client, _puppets):
        assert "平面图: 3号楼2单元5层" in (await client.get("/plans?device=smoke-5")).text
        await bring(client, png(), "b3")
        assert "平面图: 3号楼</h1>" in (await client.get("/plans?device=smoke-5")).text
        await bring(client, png())
        assert "平面图: 3号楼2单元5层</h1>" in (await client.get("/plans?device=smoke-5")).text
        assert "平面图: 3号楼</h1>" in (await client.get("/plans?device=none")).text


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"device": "cam-1"}, 404),
        ({"device": "none"}, 404),
        ({"device": ""}, 404),
        ({"x": "101"}, 409),
        ({"y": "-1"}, 409),
        ({"x": "nan"}, 409),
        ({"x": "1e2"}, 409),
        ({"y": ""}, 409),
        ({"x": "100", "y": "0.05"}, 204),
    ],
)
async def test_where_a_pin_may_stand(tmp_path: Path, form: dict[str, str], status: int) -> None:
    async with at(tmp_path) as (_, client, _puppets):
        answer = await pin(client, **{"device": "smoke-5"} | form)
    assert answer.status_code == status
    assert (kept(tmp_path) == ["plans.json"]) is (status == 204)


async def test_pins_are_arranged_with_a_form_that_needs_no_dragging(tmp_path: Path) -> None:
    async with at(tmp_path) as (_, client, _puppets):
        assert "pin-form" not in (await client.get(f"/plans?place={FLOOR}&arrange=true")).text  # nothing to place on
        await bring(client, png())
        await pin(client)
        text = (await client.get(f"/plans?place={FLOOR}&arrange=true")).text
        assert 'name="x" type="number"' in text
        assert 'data-device="smoke-5" data-x="37.5" data-y="20.0"' in text
        assert 'value="smoke-5" data-x="37.5"' in text
        live = re.search(r'<svg id="plan-pins"[^>]*>', text)
        assert live is not None
        assert "data-live" not in live[0]  # it is not drawn anew under somebody's hand


@pytest.mark.parametrize(
    ("role", "fresh", "status"),
    [
        ("duty", True, 403),
        ("auditor", True, 403),
        ("manager", False, 403),
        ("manager", True, 204),
        ("installer", True, 204),
    ],
)
async def test_who_may_bring_pictures(tmp_path: Path, role: Role, fresh: bool, status: int) -> None:
    async with at(tmp_path, role, fresh=fresh) as (_, client, _puppets):
        answers = [await bring(client, png()), await client.post(f"/plans/{FLOOR}/remove")]
        assert [answer.status_code for answer in answers] == [status, status]
        assert (await pin(client)).status_code == (403 if role in ("duty", "auditor") else 204)
        text = (await client.get(f"/plans?place={FLOOR}&arrange=true")).text
    assert ("plan-file" in text) is (role in ("manager", "installer"))
    assert ("x-step-up" in answers[0].headers) is (role == "manager" and not fresh)


async def test_who_is_nobody_sees_no_plan(tmp_path: Path) -> None:
    async with at(tmp_path) as (house, client, _):
        await bring(client, png())
        async with visiting(house, None) as nobody:
            answers = [
                await nobody.get("/plans"),
                await nobody.get(f"/plans/{FLOOR}/picture"),
                await bring(nobody, png()),
            ]
    assert {answer.status_code for answer in answers} <= {303, 401, 403}
