"""What the top of every view says now: the word, the tiles, what sounds; one look at the house serves all pages.

The tiles stand in the order of a fire control room's display (火警 启动 反馈 监管 屏蔽 故障 通讯), a zero one
too; other alarms stand apart. Alarms of tests and drills, and what a shield, a shelf or a suppression lies over, are
counted apart: they are no present danger, and never out of sight.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from gateway.database import read_newest
from gateway.event import Lane, Phase, part_key
from gateway.house import House
from gateway.pipeline import Taken
from gateway.taxonomy import FIRES
from gateway.web.show import hue

TILES = ("fire", "started", "feedback", "supervisory", "shielded", "fault", "link")
RELEASED, SUPERVISORY, OPEN = "door.released", "fire.supervisory", "door.open"
OF_LINKS = ("device.offline", "gateway.uplink_lost")
_NO_ALARM = ("device.shielded", "device.test")  # they have tiles and notes of their own
COVERED = ("shelved", "suppressed", "out_of_service")
_CALLING = ("critical", "high", "medium")
_SEED_ROWS = 500  # of the alarm lane, looked through once for feedback told before the page was


@dataclass(frozen=True)
class Glance:
    """One look: the house's documents, and what is counted of them."""

    verdict: Mapping[str, Any]
    alarms: list[dict[str, Any]]
    devices: list[dict[str, Any]]
    tiles: Mapping[str, int]
    apart: Mapping[str, int]  # alarm, and what lies over: test, shelved, suppressed, drilled
    uplinks: Mapping[str, tuple[bool, int]]  # connected, and what waits, by name
    sounds: Mapping[str, str] = field(default_factory=dict)  # of rules, by name: what they say

    @property
    def loud(self) -> list[dict[str, Any]]:
        """Alarms that nobody has silenced or acknowledged, and that call for somebody."""
        calling = [a for a in self.alarms if a["state"] not in COVERED and a["severity"] in _CALLING]
        silent = ("acknowledged", "silenced")
        return [a for a in calling if hue(a["type"]) != "fault" and not any(a["flags"][flag] for flag in silent)]

    @property
    def sounding(self) -> str:
        """Which sound: fire, alarm or none; a rule's is that of an alarm."""
        if any(a["type"] in FIRES for a in self.loud):
            return "fire"
        return "alarm" if self.loud or self.sounds else "none"

    @property
    def first_place(self) -> str:
        """Where the first of the alarms is that the word is about."""
        word = self.verdict["word"]
        mine = (a["device"] for a in self.alarms if hue(a["type"]) == word and a["state"] not in COVERED)
        places = {device["device"]: device["place_label"] for device in self.devices}
        return str(next((places[device] for device in mine if device in places), ""))

    @property
    def alarm_mark(self) -> str:
        """The same as long as a view of the alarms is."""
        return f"{crc32(str(self.alarm_marks).encode()):08x}"

    @property
    def alarm_marks(self) -> list[tuple[Any, ...]]:
        """What of the alarms a view shows: it is another when a view of alarms is."""
        return [(a["alarm"], a["state"], a["count"], len(a["history"]), str(a.get("delivery"))) for a in self.alarms]

    @property
    def device_marks(self) -> list[tuple[Any, ...]]:
        """What of the devices a wall shows."""
        return [(d["device"], d["state"], d["online"], tuple(d["alarms"])) for d in self.devices]


class Echoes:
    """Which outputs have told that they acted (反馈): a panel's feedback bit, which no alarm keeps, or an open door."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._told: set[tuple[str, str]] = set()  # device and part
        self._seeded = False
        house.pipeline.listeners.append(self._took)

    async def seed(self) -> None:
        """What was told before the page was there. StorageError."""
        if self._seeded:
            return
        self._seeded = True
        store = self._house.store
        rows = await store.read(lambda c: read_newest(c, Lane.ALARM, store.last[Lane.ALARM] + 1, _SEED_ROWS))
        for row in reversed(rows):
            if f'"{RELEASED}"' in row.body:
                event = json.loads(row.body)
                data = event["data"]
                key = event["subject"], part_key(data.get("part"))
                self._keep(key, event["phase"] == Phase.CLEAR, data.get("reason"))

    def among(self, alarms: list[dict[str, Any]]) -> int:
        """How many of these releases have been carried out."""
        book = self._house.pipeline.shown
        return sum(
            (a["device"], a.get("part", "")) in self._told
            or any(other.type == OPEN and other.active for other in book.of(a["device"]))
            for a in alarms
        )

    def _took(self, taken: Taken) -> None:
        reading = taken.reading
        if reading.type == RELEASED:
            self._keep((reading.device, part_key(reading.part)), taken.phase is Phase.CLEAR, reading.reason)

    def _keep(self, key: tuple[str, str], over: bool, reason: str | None) -> None:
        if over:
            self._told.discard(key)
        elif reason == "feedback":
            self._told.add(key)


def look(house: House, echoes: Echoes) -> Glance:
    """The house as it stands."""
    alarms, devices, health = house.alarms(), house.devices(), house.health()
    present = [a for a in alarms if not a["test"] and a["state"] not in COVERED]
    uplinks = {name: (bool(u["connected"]), _waiting(u)) for name, u in health["uplinks"].items()}
    kinds = Counter(map(_tile, present))
    released = [a for a in present if a["type"] == RELEASED and a["flags"]["active"]]
    silent = sum(device["online"] is not True for device in devices)
    tiles = {
        "fire": kinds["fire"],
        "started": len(released),
        "feedback": echoes.among(released),
        "supervisory": kinds["supervisory"],
        "shielded": sum(a.type == "device.shielded" and a.active for a in house.pipeline.shown),
        "fault": kinds["fault"] + ("failing" in health["disk"]),
        "link": silent + sum(not connected for connected, _ in uplinks.values()),
    }
    covered = Counter(a["state"] for a in alarms)
    apart = {
        "alarm": kinds["alarm"],
        "shelved": covered["shelved"],
        "suppressed": covered["suppressed"],
        "tested": sum(a["test"] for a in alarms),
        "drilled": health["drilled"],
    }
    sounds = {" ".join(map(str, name)): sound.text for name, sound in house.linkage.doings.sounds.items()}
    return Glance(house.verdict(), alarms, devices, tiles, apart, uplinks, sounds)


def _tile(alarm: Mapping[str, Any]) -> str:
    kind = str(alarm["type"])
    if kind in FIRES:
        return "fire"
    if kind in (RELEASED, *OF_LINKS, *_NO_ALARM):
        return "elsewhere"
    return "supervisory" if kind == SUPERVISORY else hue(kind)


def _waiting(uplink: Mapping[str, Any]) -> int:
    return sum(lane["backlog"] for lane in uplink["lanes"].values())
