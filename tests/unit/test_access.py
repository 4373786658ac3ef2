"""Who may open which door: hashes, reasons and their order, days and hours in local time."""

import base64
import hashlib
import hmac
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers._osdp_door import judged
from gateway.access import GRANTED, GRANTED_UNSURE, Access, hash_card
from gateway.credentials import CredentialEntry, CredentialsConfig
from gateway.driver import Decision
from gateway.event import Credential, Phase, Reading

KEY = "a key of the site, long enough"
CARD = Credential("wiegand-26", 90, 324)
SHANGHAI = ZoneInfo("Asia/Shanghai")
MONDAY_NOON = datetime(2026, 11, 23, 12, 0, tzinfo=SHANGHAI)


def access(*entries: dict[str, Any]) -> Access:
    common = {"card": hash_card(KEY, CARD), "doors": ["gate"]}
    return Access(CredentialsConfig.model_validate({"key": KEY, "list": [common | entry for entry in entries]}))


def decide(book: Access, door: str = "gate", now: datetime = MONDAY_NOON, card: Credential = CARD) -> Decision:
    return book.decide(door, card, now, SHANGHAI)


def test_hash_is_hmac_over_format_facility_number() -> None:
    digest = hmac.new(KEY.encode(), b"wiegand-26:90:324", hashlib.sha256).digest()
    assert hash_card(KEY, CARD) == "hmac-sha256:" + base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert hash_card(KEY.encode(), CARD) == hash_card(KEY, CARD) != hash_card("another key, also long", CARD)
    assert CredentialEntry.model_validate({"card": hash_card(KEY, CARD), "doors": "gate"}).card == hash_card(KEY, CARD)


def test_without_a_list_every_card_is_unknown() -> None:
    assert decide(Access(None)) == Decision(False, "unknown_credential")
    assert decide(access()) == Decision(False, "unknown_credential")


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({}, None),
        ({"doors": ["*"]}, None),
        ({"disabled": True, "valid_from": "2027-01-01"}, "disabled"),
        ({"valid_from": "2026-11-24", "doors": ["b3"]}, "not_yet_valid"),
        ({"valid_until": "2026-11-22", "doors": ["b3"]}, "expired"),
        ({"doors": ["b3"], "hours": {"tue": "00:00-24:00"}}, "no_right"),
        ({"hours": {"tue": "00:00-24:00"}}, "out_of_time"),
        ({"valid_from": "2026-11-23", "valid_until": "2026-11-23", "hours": {"mon": "12:00-12:01"}}, None),
        ({"hours": {"mon": "11:00-12:00"}}, "out_of_time"),
    ],
)
def test_reasons_in_their_order(entry: dict[str, Any], reason: str | None) -> None:
    assert decide(access(entry)) == Decision(reason is None, reason)


def test_another_card_is_unknown() -> None:
    assert decide(access({}), card=Credential("wiegand-26", 90, 325)).reason == "unknown_credential"


def test_several_entries_of_one_card() -> None:
    assert decide(access({"doors": ["b3"]}, {})).granted
    assert decide(access({"doors": ["b3"]}, {"hours": {"tue": "09:00-10:00"}})).reason == "out_of_time"
    assert decide(access({}, {"doors": ["b3"], "disabled": True})).reason == "disabled"


def test_days_are_local_not_utc() -> None:
    before_midnight_utc = datetime(2026, 11, 22, 17, 30, tzinfo=UTC)  # 01:30 on the 23rd in Shanghai
    assert decide(access({"valid_from": "2026-11-23"}), now=before_midnight_utc).granted
    assert decide(access({"valid_from": "2026-11-23"}), now=before_midnight_utc - timedelta(hours=2)).reason


DAYS = st.dates(date(2026, 1, 1), date(2027, 12, 31))
MINUTES = st.builds(datetime.combine, DAYS, st.builds(time, st.integers(0, 23), st.integers(0, 59)))


@given(MINUTES, st.integers(0, 23), st.integers(0, 23))
def test_hours_that_cross_midnight_end_the_next_morning(now: datetime, start: int, end: int) -> None:
    if start == end:
        end = start + 1
    book = access({"hours": {"mon": f"{start:02d}:00-{end:02d}:00"}})
    monday = date(2025, 12, 29)
    since = now - datetime.combine(monday, datetime.min.time())
    minute = int(since.total_seconds() // 60) % (7 * 24 * 60)  # of a week that begins on Monday
    long = (end - start) % 24 * 60 or 24 * 60
    inside = (minute - start * 60) % (7 * 24 * 60) < long
    assert decide(book, now=now.replace(tzinfo=SHANGHAI)).granted == inside


@given(MINUTES, st.sampled_from(["UTC", "Asia/Shanghai", "America/New_York"]))
def test_the_same_moment_in_any_zone_is_decided_alike(moment: datetime, zone: str) -> None:
    book = access({"hours": {"mon-fri": "07:00-22:00"}})
    here = moment.replace(tzinfo=UTC)
    assert decide(book, now=here) == decide(book, now=here.astimezone(ZoneInfo(zone)))


@given(MINUTES, DAYS, st.integers(0, 400))
def test_validity_holds_from_the_first_day_to_the_last(now: datetime, first: date, days: int) -> None:
    last = first + timedelta(days=days)
    decision = decide(access({"valid_from": first, "valid_until": last}), now=now.replace(tzinfo=SHANGHAI))
    expected = "not_yet_valid" if now.date() < first else "expired" if now.date() > last else None
    assert decision.reason == expected


# --- while the clock is not set: `certain` has passed

CERTAIN = datetime(2026, 11, 20, 12, 0, tzinfo=SHANGHAI)
IN_1970 = datetime(1970, 1, 1, 8, 0, tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, GRANTED),
        ({"hours": {"fri": "12:00-13:00"}}, GRANTED),  # as it happens
        ({"hours": {"mon": "07:00-22:00"}}, GRANTED_UNSURE),
        ({"valid_from": "2026-12-01"}, GRANTED_UNSURE),
        ({"valid_until": "2026-11-20"}, GRANTED),
        ({"valid_until": "2026-11-19"}, Decision(False, "expired")),  # over for certain
        ({"valid_from": "2026-11-01", "valid_until": "2026-11-19"}, Decision(False, "expired")),
        ({"disabled": True, "hours": {"mon": "07:00-22:00"}}, Decision(False, "disabled")),
        ({"doors": ["b3"], "hours": {"mon": "07:00-22:00"}}, Decision(False, "no_right")),
    ],
)
def test_a_clock_in_1970_locks_no_resident_out(entry: dict[str, Any], expected: Decision) -> None:
    assert access(entry).decide("gate", CARD, IN_1970, SHANGHAI, certain=CERTAIN) == expected


def test_a_grant_that_rests_on_an_unset_clock_says_so() -> None:
    reading = Reading("gate", "access.denied", Phase.PULSE, reason="unknown_credential", data={"direction": "in"})
    granted = judged(reading, GRANTED_UNSURE)
    assert (granted.type, granted.reason) == ("access.granted", None)
    assert granted.data == {"direction": "in", "clock": "unsynced"}
    assert judged(reading, GRANTED).data == {"direction": "in"}


@given(MINUTES, st.integers(-400, 400), st.integers(0, 400), st.booleans())
def test_what_is_unsure_opens_no_more_than_the_right_time_would_some_day(
    now: datetime, first: int, days: int, disabled: bool
) -> None:
    """Denied for sure is denied at any later time, too; granted is what some later time would grant."""
    start = now.date() + timedelta(days=first)
    book = access({"valid_from": start, "valid_until": start + timedelta(days=days), "disabled": disabled})
    certain = now.replace(tzinfo=SHANGHAI)
    decision = book.decide("gate", CARD, IN_1970, SHANGHAI, certain=certain)
    later = [certain + timedelta(days=n) for n in range(max(1, first + days + 1))]
    assert decision.granted == any(decide(book, now=moment).granted for moment in later)
