"""An alarm as the views show it: its place in words, its look, what is to be done, how far it got upstream. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway.measures import may_be_shelved
from gateway.site import Site
from gateway.web.show import between_s, hue, natural

Document = Mapping[str, Any]  # of `House.alarms`
COVERED = ("shelved", "suppressed", "out_of_service")  # states of one that something lies over
_ORDER = {"fire": 0, "alarm": 1, "fault": 2}
_CALLING = ("critical", "high", "medium")  # what is less grave waits in the list, and never in the banner
_MARKS = {"confirmed": "✓", "sending": "⇅", "late": "!", "failed": "✗"}


class Spot(NamedTuple):
    """A device in words; `known` is False for the gateway itself, and for what is configured no more."""

    label: str
    place: str = ""
    building: str = ""
    building_label: str = ""
    known: bool = False


class Sent(NamedTuple):
    """How far an alarm came on its way to one platform; `took_s` is None where that is not known."""

    uplink: str
    state: str  # sending, late, confirmed, failed
    mark: str
    at: str
    took_s: float | None


@dataclass(frozen=True)
class Look:
    """One alarm with what its document does not say."""

    doc: Document
    spot: Spot

    @property
    def id(self) -> str:
        """Of the event that opened it."""
        return str(self.doc["alarm"])

    @property
    def hue(self) -> str:
        """`fire`, `alarm` or `fault`."""
        return hue(self.doc["type"])

    @property
    def test(self) -> bool:
        """Of a test or a drill."""
        return bool(self.doc["test"])

    @property
    def covered(self) -> bool:
        """Something lies over it."""
        return self.doc["state"] in COVERED

    @property
    def acknowledged(self) -> bool:
        """Somebody has seen it."""
        return bool(self.doc["flags"]["acknowledged"])

    @property
    def silent(self) -> bool:
        """It does not sound (any more)."""
        return self.acknowledged or bool(self.doc["flags"]["silenced"])

    @property
    def calls(self) -> bool:
        """Does it stand in the banner? A fire until it is over and reset, another grave one until it is disposed of."""
        if self.covered or self.hue == "fault" or self.doc["severity"] not in _CALLING:
            return False
        open_ = self.doc["severity"] == "critical" and not self.doc["flags"]["confirmed"]
        return self.hue == "fire" or not self.acknowledged or open_

    @property
    def resettable(self) -> bool:
        """Is there a latch that somebody could let go?"""
        return bool(self.doc["flags"]["latched"])

    @property
    def shelvable(self) -> bool:
        """Never fire, panic and duress."""
        return may_be_shelved(self.doc["type"])

    @property
    def who(self) -> str:
        """Who acknowledged it, if somebody did since it last asked for it."""
        steps = self.doc["history"] if self.acknowledged else ()
        return next((step.get("who", "") for step in reversed(steps) if step["step"] in ("ack", "dispose")), "")

    @property
    def todo(self) -> str:
        """The next thing that a person here can do: a key of the catalogue."""
        flags = self.doc["flags"]
        if self.covered:
            return f"todo_{self.doc['state']}"
        if not flags["acknowledged"]:
            return "todo_repair" if self.hue == "fault" else "todo_acknowledge"
        if not flags["confirmed"] and (flags["latched"] or flags["active"]):
            return "todo_dispose"
        return "todo_wait"

    @property
    def sent(self) -> list[Sent]:
        """By platform."""
        return [_sent(name, proof, self.doc["first"]) for name, proof in sorted(self.doc.get("delivery", {}).items())]

    def age_s(self, now: str) -> float:
        """How long it has been there."""
        return between_s(self.doc["first"], now)

    @property
    def order(self) -> tuple[bool, int, bool, str]:
        """Real ones before tests, fire before all, the first fire first, then the oldest."""
        return self.test, _ORDER[self.hue], not self.doc.get("first_fire", False), self.id


def spot(site: Site, gateway: str, device: str) -> Spot:
    """Where a device is."""
    try:
        found = site.device(device)
    except KeyError:
        return Spot(device, site.config.site.name if device == gateway else "")
    building = site.place(found.place.partition("/")[0])
    return Spot(found.name or found.id, site.place(found.place).label, building.path, building.label, known=True)


def looks(site: Site, documents: Iterable[Document]) -> list[Look]:
    """In the order in which people should look at them."""
    gateway = site.config.gateway.id
    return sorted((Look(doc, spot(site, gateway, doc["device"])) for doc in documents), key=lambda look: look.order)


def buildings(found: Iterable[Look]) -> list[Spot]:
    """Those that alarms are in, once each, as they are counted."""
    known = {look.spot.building: look.spot for look in found if look.spot.building}
    return sorted(known.values(), key=lambda one: natural(one.building_label))


def _sent(uplink: str, proof: Document, first: str) -> Sent:
    state = "late" if proof["state"] == "sending" and proof.get("unconfirmed") else str(proof["state"])
    at = str(proof.get("at", ""))
    took_s = between_s(first, at) if at else None
    return Sent(uplink, state, _MARKS[state], at, took_s if took_s is not None and took_s >= 0 else None)
