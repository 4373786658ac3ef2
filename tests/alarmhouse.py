"""A house with devices at named places, for the views of alarms and cases: what is hostile stands in their names."""

import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from gateway.config import Config
from gateway.house import House
from gateway.packets import Message
from tests.houses import PLACES, Puppets

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
TIME, PAST, FUTURE = "2026-11-23T10:08:02.000Z", "2020-01-01T00:00:00.000Z", "2099-01-01T00:00:00Z"


def estate(folder: Path, devices: Mapping[str, tuple[str, str, str]], **sections: Any) -> Config:
    """These devices (id → kind, place, name); `sections` of the configuration besides."""
    return Config.model_validate(
        {
            "gateway": {"id": "gw-0001", "state_dir": str(folder / "state"), "language": "en", "web": "off"},
            "site": {
                "name": "阳光花园",
                "area": {"district": "310104", "street": "013", "community": "002"},
                "places": PLACES,
            },
            "devices": [
                {"id": id, "driver": "puppet", "kind": kind, "place": place, "name": name}
                for id, (kind, place, name) in devices.items()
            ],
        }
        | sections
    )


SMALL = {
    "smoke-1": ("smoke", "b3/u2", "走廊烟感"),
    "smoke-2": ("smoke", "b3/u2", "厨房烟感"),
    "door-1": ("door", "gate", "大门门禁"),
    "panic-1": ("panic", "gate", "值班室按钮"),
}


async def raised(puppets: Puppets, *told: tuple[str, str]) -> list[str]:
    """One alarm after the other (device, type); their ids."""
    return [await puppets.emit(device, kind, "raise") for device, kind in told]


def plain(page: httpx.Response | str) -> str:
    """What a person reads of a page: no markup, one space between words."""
    text = page if isinstance(page, str) else page.text
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def harmless(page: httpx.Response) -> bool:
    """Nothing of EVIL has become markup, and it is there to be read."""
    return "<script>alert" not in page.text and "<img src=x" not in page.text and "&lt;script&gt;alert" in page.text


async def heard(house: House, what: str, payload: str) -> None:
    """The platform `district` sends a notice or an incident (`notice/n-1`, `gw-0001/incident/case-1`)."""
    book = house.notices if what.startswith("notice/") else house.incidents.casebook
    await book.hearing("district")(Message(f"sc/v1/310104/013/002/{what}", payload.encode(), retained=True))
