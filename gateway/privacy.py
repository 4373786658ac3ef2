"""What one uplink may have: which events, what of them and of documents, its own references (contract, 3 and 10)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from gateway import taxonomy
from gateway.canonical import sha256_hex
from gateway.event import Credential, Lane, Severity, nothing
from gateway.profiles import BUILT_IN, Profile
from gateway.veil import Document, Veil

Kind = Literal["status", "state", "alarm", "dossier", "health"]
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
        return self._bad_enough(kind, severity) and (place is None or self.covers(place))

    def _bad_enough(self, kind: str, severity: str | None) -> bool:
        if self.least is Severity.INFO:
            return True
        level = taxonomy.severity(kind, False) if severity is None else severity
        return _LEVELS.index(Severity(level)) <= _LEVELS.index(self.least)

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
            data = self.veil.passing(data)
        if private is not None and private.startswith(_CREDENTIAL) and self.profile.credentials != "none":
            data["credential"] = self.veil.credential(json.loads(private))
        return data

    @cached_property
    def veil(self) -> Veil:
        """What passes."""
        return Veil(self.profile, self.key, self.labels)

    def reference(self, credential: Credential) -> str:
        """As `data.credential.ref` shows it to this uplink."""
        return self.veil.reference(credential)

    # documents

    def document(self, kind: Kind, document: Document) -> dict[str, Any]:
        """A document as this uplink gets it; status and health say nothing of a place or a person."""
        if kind == "dossier":
            return _dossier(self, document)
        if self.profile.plain or kind in ("status", "health"):
            return dict(document)
        return _state(self.profile, document) if kind == "state" else _alarm(self.veil, document)


def _state(profile: Profile, state: Document) -> dict[str, Any]:
    """Its values are there also when they are none."""
    values = profile.part_of("values", state["values"]) if profile.passes("values") else {}
    return {**state, "values": values}


def _alarm(veil: Veil, alarm: Document) -> dict[str, Any]:
    """What stands in it as in an event's `data` follows the same rules; each step of its history, too."""
    own = {name: alarm[name] for name in _AS_IN_DATA if name in alarm}
    shown = {name: value for name, value in alarm.items() if name not in own} | veil.passing(own)
    if "history" in shown:
        shown["history"] = [_step(veil, step) for step in shown["history"]]
    return shown


def _step(veil: Veil, step: Document) -> dict[str, Any]:
    passing = {name: value for name, value in step.items() if name != "note" or veil.profile.passes(name)}
    passing.pop("who", None)
    return passing | veil.who(step)


def _dossier(policy: Policy, dossier: Document) -> dict[str, Any]:
    """Places and devices that it covers, places as deep as it may know them."""
    if policy.profile.plain and not policy.places:
        return dict(dossier)
    places = {path: policy.veil.place(place) for place in dossier["places"] if policy.covers(path := place["path"])}
    devices = [device for device in dossier["devices"] if policy.covers(device["place"])]
    shown = {
        **dossier,
        "places": [place for path, place in places.items() if path == place["path"]],
        "devices": [{**device, "place": policy.veil.path(device["place"])} for device in devices],
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
    own = "incident" in data and "uplink" in data  # a department's case is nobody else's
    return str(data["uplink"]) if own or asks_to_forget({"type": kind, "data": data}) else None


def profile_named(name: str, own: Mapping[str, Profile]) -> Profile:
    """A site's own, or a built-in one. KeyError: there is none."""
    return own[name] if name in own else BUILT_IN[name]
