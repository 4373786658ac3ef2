"""What of a thing passes to one uplink, by its profile and with its own key: fields, places, people, cards."""

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.event import Credential
from gateway.profiles import Profile

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Veil:
    """`key` makes references that no other uplink can join; `labels` gives each place as it is told."""

    profile: Profile
    key: bytes
    labels: Mapping[str, Mapping[str, str]]

    def passing(self, data: Document) -> dict[str, Any]:
        """What passes of an event's `data`, but for the credential, which is kept apart."""
        profile = self.profile
        if isinstance(data.get("place"), dict):
            data = {**data, "place": self.place(data["place"])}
        shown = {name: profile.part_of(name, value) for name, value in data.items() if profile.passes(name)}
        shown.pop("who", None)
        return shown | self.who(data)

    def who(self, told: Document) -> dict[str, str]:
        """`who` acts, or nothing."""
        if "who" not in told or self.profile.operators == "none":
            return {}
        who = str(told["who"])
        return {"who": who if self.profile.operators == "clear" else self._keyed(f"operator:{who}")}

    def place(self, place: Document) -> dict[str, Any]:
        """A place as deep as the uplink may know it, with that one's label."""
        path = self.path(str(place.get("path", "")))
        if path == place.get("path"):
            return dict(place)
        return {"path": path, "label": path} | dict(self.labels.get(path, {}))

    def path(self, path: str) -> str:
        """Of a place, as deep as the uplink may know it."""
        return "/".join(path.split("/")[: self.profile.levels])

    def credential(self, clear: dict[str, Any]) -> dict[str, Any]:
        """`data.credential` of what is kept apart."""
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
