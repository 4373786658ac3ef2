"""What one uplink may have of an event: which types, what of a credential, its own numbers (contract, section 3)."""

import base64
import hmac
import json
from dataclasses import dataclass
from typing import Any, Literal

from gateway import taxonomy
from gateway.event import Credential, Lane

Redaction = Literal["keyed", "strict", "clear"]
_CREDENTIAL = '{"kind":'  # how what is private begins where there is one (normalize.private)
DATA_LOST = "gateway.data_lost"  # passes every filter, and goes to the uplink whose stream it is about


@dataclass(frozen=True)
class Policy:
    """One uplink's share. `types` are patterns; `key` makes references that no other uplink can join."""

    uplink: str
    types: tuple[str, ...]
    redact: Redaction
    key: bytes

    def wants(self, kind: str) -> bool:
        """Is an event of this type meant for the uplink?"""
        return any(taxonomy.matches(pattern, kind) for pattern in self.types)

    def render(self, lane: Lane, sequence: int, body: str, private: str | None) -> str:
        """The payload as this uplink gets it: same bytes in every delivery of the same event (and the same `body`)."""
        if self.redact == "strict" or (private is not None and private.startswith(_CREDENTIAL)):
            body = self._redacted(body, private)
        return f'{{"stream":"{self.uplink}.{lane.value}","sequence":"{sequence:016d}",{body[1:]}'

    def document(self, document: dict[str, Any]) -> dict[str, Any]:
        """A retained document about something the uplink `wants`, as this uplink gets it."""
        return document

    def _redacted(self, body: str, private: str | None) -> str:
        event: dict[str, Any] = json.loads(body)
        if self.redact == "strict":
            event["data"].pop("raw", None)
        elif private is not None:
            event["data"]["credential"] = self._credential(json.loads(private))
        return json.dumps(event, ensure_ascii=False, separators=(",", ":"))

    def _credential(self, clear: dict[str, Any]) -> dict[str, Any]:
        credential = Credential(clear["format"], clear["facility"], clear["number"], clear["kind"])
        shown: dict[str, Any] = {"ref": self.reference(credential)}
        shown |= {"kind": credential.kind, "format": credential.format}
        if self.redact == "clear":
            shown |= {"facility": credential.facility, "number": credential.number}
        return shown

    def reference(self, credential: Credential) -> str:
        """`hmac-sha256:<base64url without padding>` over `{format}:{facility}:{number}`."""
        digest = hmac.digest(self.key, credential.text().encode(), "sha256")
        return "hmac-sha256:" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
