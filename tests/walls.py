"""A community with buildings, for tests of the wall, of devices' pages and of floor plans."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.config import Config
from tests.houses import config

EVIL = "<script>alert('x')</script>\" onload=\"alert(1)"
FLOOR = "b3/u2/f5"


def places(buildings: int = 3, floors: int = 12) -> dict[str, Any]:
    """Buildings of one unit with floors, and a gate."""
    storeys = {f"f{floor}": {"label": f"{floor}层"} for floor in range(1, floors + 1)}
    unit = {"u2": {"label": "2单元", "floors": storeys}}
    return {f"b{n}": {"label": f"{n}号楼", "units": unit} for n in range(1, buildings + 1)} | {
        "gate": {"label": "大门"}
    }


def device(identity: str, place: str = FLOOR, **more: Any) -> dict[str, Any]:
    """Of the puppets' driver."""
    return {"id": identity, "driver": "puppet", "place": place, "kind": "smoke"} | more


def community(folder: Path, devices: Sequence[dict[str, Any]], buildings: int = 3) -> Config:
    """As configured; no uplink."""
    document = config(folder, {}).model_dump(mode="json", include={"gateway", "site"}, exclude_unset=True)
    document["site"]["places"] = places(buildings)
    document["devices"] = list(devices)
    document["gateway"] |= {"web": "off"}
    return Config.model_validate(document)
