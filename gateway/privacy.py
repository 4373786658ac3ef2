"""What one uplink may have: which events, what of them and of documents, its own references (contract, 3 and 10)."""

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from gateway import taxonomy
from gateway.canonical import sha256_hex
from gateway.event import Credential, Lane, Severity, nothing
from gateway.profiles import BUILT_IN, Profile

Kind = Literal["status", "state", "alarm", "dossier", "health"]
Document = Mapping[str, Any]
DATA_LOST = "gateway.data_lost"  # passes every filter, and goes to the uplink whose stream it is about
ACTION = "gateway.action"
FORGET = "forget"  # an action: a reference is to be deleted by the uplink it was given to, and goes to that one only
ACCESS = tuple(name for name in taxonomy.TYPES if name.startswith("access."))  # events that may have a credential
_CREDENTIAL = '{"kind":'  # how what is private begins where there is one (normalize.private)
_LEVELS = tuple(Severity)  # the worst first
_UNHASHED = ("revision", "sha256", "time")  # of a dossier (contract, section 2)


@dataclass(frozen=True)
class Policy:
    """One uplink's share. `types` are patterns; `key` makes references that no other uplink can join.

    `places` are paths with all that is inside them, none for everywhere; `labels` gives each place as it is told.
    """

    uplink: str
    types: tuple[str, ...]
    profile: Profile
    key: bytes
    places: tuple[str, ...] = ()
    least: Severity = Severity.INFO
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=nothing, hash=False)

    def wants(self, kind: str, severity: str | None = None, place: str | None = None) -> bool:
        """Is it meant for the uplink? Without a severity the type's own counts; the gateway itself has no place."""
        if not any(taxonomy.matches(pattern, kind) for pattern in self.types):
            return False
        level = taxonomy.severity(kind, False) if severity is None else severity
        bad_enough = _LEVELS.index(Severity(level)) <= _LEVELS.index(self.least)
        return bad_enough and (place is None or self.covers(place))

    def wants_kept(self, event: Document) -> bool:
        """The same of an event as it stands on disk; what was told to one uplink is no other's."""
        if addressee(event["type"], event["data"]) is not None:
            return False
        return self.wants(event["type"], event["severity"], event["data"].get("place", {}).get("path"))

    def covers(self, place: str) -> bool:
        """Is what stands there the uplink's to know of?"""
        return not self.places or any(place == own or place.startswith(f"{own}/") for own in self.places)

    @cached_property
    def holds_references(self) -> bool:
        """May it have been given references to cards?"""
        return self.profile.credentials != "none" and any(self.wants(kind) for kind in ACCESS)

    # events

    def render(self, lane: Lane, sequence: int, body: str, private: str | None) -> str:
        """The payload as this uplink gets it: same bytes in every delivery of the same event (and the same `body`)."""
        if not self.profile.plain or (private is not None and private.startswith(_CREDENTIAL)):
            event = json.loads(body)
            event["data"] = self.data(event, private)
            body = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        return f'{{"stream":"{self.uplink}.{lane.value}","sequence":"{sequence:016d}",{body[1:]}'

    def data(self, event: Document, private: str | None) -> dict[str, Any]:
        """What the uplink gets of an event's `data`."""
        data = dict(event["data"])
        if not self.profile.plain and event.get("type") != DATA_LOST and not asks_to_forget(event):
            data = self._passing(data)
        if private is not None and private.startswith(_CREDENTIAL) and self.profile.credentials != "none":
            data["credential"] = self._credential(json.loads(private))
        return data

    def _passing(self, data: Document) -> dict[str, Any]:
        profile = self.profile
        if isinstance(data.get("place"), dict):
            data = {**data, "place": self._place(data["place"])}
        shown = {name: profile.part_of(name, value) for name, value in data.items() if profile.passes(name)}
        shown.pop("who", None)
        return shown | self._who(data)

    def _who(self, told: Document) -> dict[str, str]:
        if "who" not in told or self.profile.operators == "none":
            return {}
        who = str(told["who"])
        return {"who": who if self.profile.operators == "clear" else self._keyed(f"operator:{who}")}

    def _place(self, place: Document) -> dict[str, Any]:
        """A place as deep as the uplink may know it, with that one's label."""
        path = self._path(str(place.get("path", "")))
        if path == place.get("path"):
            return dict(place)
        return {"path": path, "label": path} | dict(self.labels.get(path, {}))

    def _path(self, path: str) -> str:
        return "/".join(path.split("/")[: self.profile.levels])

    def _credential(self, clear: dict[str, Any]) -> dict[str, Any]:
        credential = Credential(clear["format"], clear["facility"], clear["number"], clear["kind"])
        shown: dict[str, Any] = {"ref": self.reference(credential)}
        shown |= {"kind": credential.kind, "format": credential.format}
        if self.profile.credentials == "clear":
            shown |= {"facility": credential.facility, "number": credential.number}
        return shown

    def reference(self, credential: Credential) -> str:
        """`hmac-sha256:<base64url without padding>` over `{format}:{facility}:{number}`."""
        return self._keyed(credential.text())

    def _keyed(self, text: str) -> str:
        digest = hmac.digest(self.key, text.encode(), "sha256")
        return "hmac-sha256:" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    # documents

    def document(self, kind: Kind, document: Document) -> dict[str, Any]:
        """A document as this uplink gets it; status and health say nothing of a place or a person."""
        if kind == "dossier":
            return self._dossier(document)
        if self.profile.plain or kind in ("status", "health"):
            return dict(document)
        return self._state(document) if kind == "state" else self._alarm(document)

    def _state(self, state: Document) -> dict[str, Any]:
        """Its values are there also when they are none."""
        values = self.profile.part_of("values", state["values"]) if self.profile.passes("values") else {}
        return {**state, "values": values}

    def _alarm(self, alarm: Document) -> dict[str, Any]:
        """What stands in it as in an event's `data` follows the same rules; each step of its history, too."""
        own = {name: alarm[name] for name in _AS_IN_DATA if name in alarm}
        shown = {name: value for name, value in alarm.items() if name not in own} | self._passing(own)
        if "history" in shown:
            shown["history"] = [self._step(step) for step in shown["history"]]
        return shown

    def _step(self, step: Document) -> dict[str, Any]:
        passing = {name: value for name, value in step.items() if name != "note" or self.profile.passes(name)}
        passing.pop("who", None)
        return passing | self._who(step)

    def _dossier(self, dossier: Document) -> dict[str, Any]:
        """Places and devices that it covers, places as deep as it may know them."""
        if self.profile.plain and not self.places:
            return dict(dossier)
        places = {path: self._place(place) for place in dossier["places"] if self.covers(path := place["path"])}
        devices = [device for device in dossier["devices"] if self.covers(device["place"])]
        shown = {
            **dossier,
            "places": [place for path, place in places.items() if path == place["path"]],
            "devices": [{**device, "place": self._path(device["place"])} for device in devices],
        }
        return shown | {"sha256": sha256_hex({k: v for k, v in shown.items() if k not in _UNHASHED})}


_AS_IN_DATA = ("place", "part", "values", "raw", "codes", "reason", "credential", "note", "outcome", "cause", "who")


def asks_to_forget(event: Document) -> bool:
    """Is it the order to delete a reference?"""
    return bool(event.get("type") == ACTION and event["data"].get("action") == FORGET)


def addressee(kind: str, data: Mapping[str, Any]) -> str | None:
    """The one uplink that such an event goes to, past every filter; None where the filters decide."""
    if kind == DATA_LOST:
        return str(data["stream"]).partition(".")[0]
    return str(data["uplink"]) if asks_to_forget({"type": kind, "data": data}) else None


def profile_named(name: str, own: Mapping[str, Profile]) -> Profile:
    """A site's own, or a built-in one. KeyError: there is none."""
    return own[name] if name in own else BUILT_IN[name]
