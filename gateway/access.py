"""Who may open which door now: the site's own list, by the keyed hash of a card. Pure: time is an argument."""

import base64
import hmac
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, tzinfo

from gateway.credentials import EVERY_DOOR, CredentialEntry, CredentialsConfig
from gateway.driver import Decision
from gateway.event import Credential

PREFIX = "hmac-sha256:"
REASONS = (  # in the order in which they are looked at; domain's closed list of denial reasons has the rest
    "unknown_credential",
    "disabled",
    "not_yet_valid",
    "expired",
    "no_right",
    "out_of_time",
)
GRANTED = Decision(granted=True)
GRANTED_UNSURE = Decision(granted=True, data={"clock": "unsynced"})  # by the time shown it would have been denied


def hash_card(key: str | bytes, credential: Credential) -> str:
    """`hmac-sha256:<base64url without padding>` over `{format}:{facility}:{number}` (contract, section 3)."""
    secret = key.encode() if isinstance(key, str) else key
    digest = hmac.digest(secret, credential.text().encode(), "sha256")
    return PREFIX + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class Access:
    """The list, ready to be asked. Without one every card is unknown."""

    def __init__(self, credentials: CredentialsConfig | None) -> None:
        self._key = credentials.key.get_secret_value() if credentials else ""
        self._entries: defaultdict[str, list[CredentialEntry]] = defaultdict(list)
        for entry in credentials.list if credentials else ():
            self._entries[entry.card].append(entry)

    def decide(
        self,
        door: str,
        credential: Credential,
        now: datetime,
        zone: tzinfo | None = None,
        *,
        certain: datetime | None = None,
    ) -> Decision:
        """May it open `door` at `now` (aware)? Days and hours are local time: of `zone`, else of this machine.

        A card may stand in the list several times, say with other hours for another door: any entry that grants does,
        but one that is disabled disables the card. Denied, the reason is the last one met in the order of `REASONS`.

        `certain` is given while the clock is not set: a moment that has passed. Then hours and the first day do not
        deny, the last day only when it is over for certain, and a grant that rests on this says so.
        """
        entries = self._entries.get(hash_card(self._key, credential), ()) if self._entries else ()
        local = (now if certain is None else max(now, certain)).astimezone(zone)
        decision = _of([_reason(entry, door, local) for entry in entries])
        if decision.granted or certain is None:
            return decision
        sure = _of([_reason_for_sure(entry, door, certain.astimezone(zone)) for entry in entries])
        return GRANTED_UNSURE if sure.granted else sure


def _of(reasons: Sequence[str | None]) -> Decision:
    if "disabled" in reasons:
        return Decision(False, "disabled")
    if None in reasons:
        return GRANTED
    return Decision(False, max((r for r in reasons if r), key=REASONS.index, default="unknown_credential"))


def _reason(entry: CredentialEntry, door: str, local: datetime) -> str | None:
    if not entry.disabled and entry.valid_from is not None and local.date() < entry.valid_from:
        return "not_yet_valid"
    return _reason_for_sure(entry, door, local) or (None if _in_hours(entry, local) else "out_of_time")


def _reason_for_sure(entry: CredentialEntry, door: str, local: datetime) -> str | None:
    """What denies at `local` and ever after."""
    checks = (
        ("disabled", entry.disabled),
        ("expired", entry.valid_until is not None and local.date() > entry.valid_until),
        ("no_right", EVERY_DOOR not in entry.doors and door not in entry.doors),
    )
    return next((reason for reason, met in checks if met), None)


def _in_hours(entry: CredentialEntry, local: datetime) -> bool:
    if entry.hours is None:
        return True
    day, minute = local.weekday(), local.hour * 60 + local.minute
    return any(day in days and start <= minute < end for days, start, end in entry.hours)
