"""What an uplink may see: references no other uplink can join, nothing personal where it is strict."""

import base64
import hashlib
import hmac
import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import normalize
from gateway.clock import TimeQuality
from gateway.event import Credential, Lane
from gateway.privacy import Policy
from gateway.profiles import BUILT_IN
from tests.fakes import ManualClock

CARD = Credential("wiegand-26", 12, 3456)
BODY = '{"specversion":"1.0","id":"1","type":"access.granted","data":{"test":false,"raw":{"reader":1}}}'
KEY = bytes(range(32))
cards = st.builds(
    Credential,
    st.sampled_from(["wiegand-26", "wiegand-34", "wiegand-37"]),
    st.integers(0, 2**16),
    st.integers(0, 2**35),
    st.sampled_from(["card", "pin", "face"]),
)
keys = st.binary(min_size=32, max_size=32)


def policy(redact: str = "keyed", *types: str, key: bytes = KEY, uplink: str = "district") -> Policy:
    """One uplink's share."""
    return Policy(uplink, types or ("*",), BUILT_IN[redact], key)


def rendered(redact: str, card: Credential | None = CARD, body: str = BODY) -> dict[str, Any]:
    """An event as this uplink gets it."""
    payload = policy(redact).render(Lane.EVENT, 42, body, normalize.private(card))
    return dict(json.loads(payload))


@given(cards, keys)
def test_a_reference_is_what_the_contract_says(card: Credential, key: bytes) -> None:
    said = f"{card.format}:{card.facility}:{card.number}".encode()
    digest = hmac.new(key, said, hashlib.sha256).digest()
    name, _, text = policy(key=key).reference(card).partition(":")
    assert name == "hmac-sha256"
    assert "=" not in text
    assert base64.urlsafe_b64decode(text + "=") == digest


@given(cards, keys, keys)
def test_two_departments_cannot_join_their_data(card: Credential, mine: bytes, yours: bytes) -> None:
    assert (policy(key=mine).reference(card) == policy(key=yours).reference(card)) == (mine == yours)


@given(cards, cards)
def test_one_department_knows_a_card_again(card: Credential, other: Credential) -> None:
    assert (policy().reference(card) == policy().reference(other)) == (card.text() == other.text())


def test_keyed_shows_the_reference_and_no_number() -> None:
    data = rendered("keyed")["data"]
    assert data["credential"] == {"ref": policy().reference(CARD), "kind": "card", "format": "wiegand-26"}
    assert data["raw"] == {"reader": 1}


def test_clear_numbers_only_where_the_policy_says_so() -> None:
    data = rendered("clear")["data"]
    assert data["credential"] == {
        "ref": policy().reference(CARD), "kind": "card", "format": "wiegand-26", "facility": 12, "number": 3456,
    }  # fmt: skip


@pytest.mark.parametrize("card", [CARD, None])
def test_strict_has_neither_credential_nor_raw(card: Credential | None) -> None:
    assert rendered("strict", card)["data"] == {"test": False}


@given(st.sampled_from(["keyed", "strict", "clear"]), st.none() | cards, st.integers(1, 10**15), st.sampled_from(Lane))
def test_every_delivery_is_the_same(redact: str, card: Credential | None, number: int, lane: Lane) -> None:
    private = normalize.private(card)
    payload = policy(redact).render(lane, number, BODY, private)
    assert payload == policy(redact).render(lane, number, BODY, private)
    event = json.loads(payload)
    assert event["stream"] == f"district.{lane.value}"
    assert (event["sequence"], len(event["sequence"])) == (f"{number:016d}", 16)
    assert card is None or redact == "clear" or f'"number":{card.number}' not in payload
    assert event["id"] == "1"


def test_without_a_credential_nothing_is_written_anew() -> None:
    body = BODY.replace("1.0", "1.0烟")
    assert policy().render(Lane.ALARM, 1, body, None).endswith(body[1:])


BY_HAND = {
    "specversion": "1.0",
    "id": "1",
    "type": "access.granted",
    "time": "1970-01-01T00:00:07.000Z",
    "timequality": "unsynced",
}
TRICKY = json.dumps(
    {**BY_HAND, "data": {"test": False, "raw": {"time": "x", "timequality": "unsynced"}, "text": '"time":"烟'}},
    separators=(",", ":"),
    ensure_ascii=False,
)


@given(st.none() | cards, st.sampled_from(["keyed", "strict", "clear"]), st.floats(0, 10**7))
def test_putting_the_time_right_changes_time_and_quality_only(
    card: Credential | None, redact: str, at_s: float
) -> None:
    clock = ManualClock()
    clock.advance(10**7)
    private = normalize.private(card, (clock.boot, at_s))
    body = normalize.corrected(TRICKY, private, clock)
    before, after = (json.loads(policy(redact).render(Lane.EVENT, 1, text, private)) for text in (TRICKY, body))
    moment = datetime.fromisoformat(after["time"])
    assert abs((clock.utc() - moment).total_seconds() - (10**7 - at_s)) < 0.002
    assert after == before | {"time": after["time"], "timequality": "corrected"}
    assert ("credential" in after["data"]) == (card is not None and redact != "strict")


@pytest.mark.parametrize(
    ("private", "quality"),
    [
        (None, TimeQuality.SYNCED),
        (normalize.private(CARD), TimeQuality.SYNCED),
        (normalize.private(CARD, ("another boot", 1.0)), TimeQuality.SYNCED),
        (normalize.private(None, ("another boot", 1.0)), TimeQuality.HOLDOVER),
        (normalize.private(None, (ManualClock().boot, 1.0)), TimeQuality.UNSYNCED),
    ],
)
def test_nothing_is_put_right_that_is_right_or_cannot_be_known(private: str | None, quality: TimeQuality) -> None:
    assert normalize.corrected(TRICKY, private, ManualClock(quality=quality)) is TRICKY


def test_what_is_kept_for_the_time_is_no_credential_and_leaves_nothing_anew() -> None:
    private = normalize.private(None, ("b0070001", 12.5))
    assert private == '{"boot":"b0070001","at":12.5}'
    assert policy().render(Lane.ALARM, 1, BODY, private).endswith(BODY[1:])


@pytest.mark.parametrize(
    ("pattern", "wanted", "unwanted"),
    [
        ("*", "access.granted", None),
        ("fire.*", "fire.smoke", "device.fault"),
        ("device.fault", "device.fault", "device.fault2"),
        ("fire.*", "fire.prealarm", "firearm.x"),
    ],
)
def test_patterns(pattern: str, wanted: str, unwanted: str | None) -> None:
    assert policy("keyed", pattern).wants(wanted)
    assert unwanted is None or not policy("keyed", pattern).wants(unwanted)
