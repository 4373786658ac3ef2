"""Is it a Hikvision device, and which: by what it answers when asked for its deviceInfo. (An underscore: no driver.)

Signs are what such devices' web servers say (`Server:`, the realm of the login, a ResponseStatus). No public edition of
ISAPI lists them; they are as many devices' owners saw them, so a device without any of them is told as uncertain.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drivers._alert import read, whole
from drivers._mqtt_found import cleaned
from gateway.errors import BadInput

_SERVERS = ("app-webs", "dnvrs-webs", "dvrdvs-webs", "dvrnvrdvs-webs", "hikvision-webs")
_REALM = re.compile(r"ip (camera|dome|zoom)|embedded net dvr|dvrnvrdvs|i?ds-|hikvision|access contr", re.IGNORECASE)
_CHALLENGE = re.compile(r'^(digest|basic)\b.*?\brealm="?([^",]*)', re.IGNORECASE)
_INACTIVE = b"notactivated"  # <subStatusCode>: nobody has given it a password yet
_DOORS = ("ACS", "VIS")  # deviceType: access control, video intercom
_DOOR_MODELS = re.compile(r"(DS-)?K[1-9DV]", re.IGNORECASE)  # DS-K1T671, DS-K2604, DS-KD8003, DS-KV8113
_RECORDERS = ("NVR", "DVR")


@dataclass(frozen=True)
class Answer:
    """To a GET without login."""

    status: int
    server: str
    challenges: tuple[str, ...]  # WWW-Authenticate
    body: bytes

    @property
    def logins(self) -> Mapping[str, str]:
        """`digest`, `basic` → the realm."""
        found = [match for match in map(_CHALLENGE.match, self.challenges) if match]
        return {match[1].lower(): cleaned(match[2]) for match in found}

    @property
    def realm(self) -> str:
        """Of the better login."""
        return self.logins.get("digest") or self.logins.get("basic") or ""

    @property
    def inactive(self) -> bool:
        """It waits for its first password."""
        return self.status in (401, 403) and _INACTIVE in self.body.lower()

    @property
    def speaks(self) -> bool:
        """It answers as ISAPI has it."""
        return b"<ResponseStatus" in self.body or b"<DeviceInfo" in self.body

    @property
    def certain(self) -> bool:
        """It is one of that family."""
        known = self.server.lower().startswith(_SERVERS) or bool(_REALM.match(self.realm))
        return self.speaks or (self.status == 401 and known)

    @property
    def possible(self) -> bool:
        """It may be one, where the rest of its web page asks for no login."""
        return self.certain or (self.status == 401 and bool(self.logins))


@dataclass(frozen=True)
class Identity:
    """What a device says of itself. Empty where it says nothing."""

    model: str
    serial: str
    firmware: str
    type: str  # IPCamera, NVR, ACS, …
    doors: int | None

    @property
    def is_door(self) -> bool:
        """A door controller, face terminal or door station."""
        return self.type.upper() in _DOORS or bool(_DOOR_MODELS.match(self.model))

    @property
    def is_recorder(self) -> bool:
        """Its cameras are channels of it."""
        return self.type.upper().endswith(_RECORDERS)


def identity(body: bytes) -> Identity | None:
    """Of DeviceInfo; None: it is none."""
    try:
        tree = read("deviceInfo", body, "DeviceInfo")
    except BadInput:
        return None
    said = {name: cleaned(tree.get(name)) for name in ("model", "serialNumber", "deviceType", "firmwareVersion")}
    if not said["model"] and not said["serialNumber"]:
        return None
    firmware = f"{said['firmwareVersion']} {cleaned(tree.get('firmwareReleasedDate'))}".strip()
    doors = _count(tree.get("electroLockNum"))
    return Identity(said["model"], said["serialNumber"], firmware, said["deviceType"], doors)


def _count(value: Any) -> int | None:
    number = None if value is None else whole(value)
    return number if number is not None and number > 0 else None
