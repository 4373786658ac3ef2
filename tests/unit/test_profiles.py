"""Field by field: what leaves for a department stands in its profile, whatever stands in an event."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import normalize, taxonomy
from gateway.canonical import sha256_hex
from gateway.clock import TimeQuality
from gateway.event import Credential, Lane, Phase, Reading, Severity, Value
from gateway.normalize import Stamp, Subject
from gateway.privacy import DATA_LOST, Policy, addressee, profile_named
from gateway.profiles import BUILT_IN, DEPTHS, Profile
from tests.fakes import EPOCH

ID = "01a207de-e9f3-7c3e-9d1f-3a5b6c7d8e9f"
PATH = "b3/u2/f5/501"
LABELS = {
    "b3": {"path": "b3", "label": "3号楼"},
    "b3/u2": {"path": "b3/u2", "label": "3号楼2单元"},
    "b3/u2/f5": {"path": "b3/u2/f5", "label": "3号楼2单元5层"},
    PATH: {"path": PATH, "label": "3号楼2单元5层501室", "grid": "00000031010401300201"},
}
CARD = Credential("wiegand-26", 12, 3456789)
NAMES = (
    "place",
    "values",
    "part",
    "raw",
    "codes",
    "reason",
    "note",
    "test",
    "outcome",
    "device_time",
    "alarm",
    "speed",
)
NEVER = ("王师傅", "3456789")  # a person's name, a card's number

own = st.builds(
    Profile,
    fields=st.lists(st.sampled_from([*NAMES, "*", "part.text", "values.temperature"]), max_size=6).map(tuple),
    without=st.lists(st.sampled_from([*NAMES, "part.text"]), max_size=3).map(tuple),
    credentials=st.sampled_from(["none", "keyed"]),
    operators=st.sampled_from(["none", "keyed"]),
    place=st.sampled_from(DEPTHS),
)
every = st.sampled_from(sorted(BUILT_IN)).map(BUILT_IN.__getitem__) | own


def policy(profile: Profile, uplink: str = "district", key: bytes = b"k" * 32, **more: Any) -> Policy:
    """One uplink's share."""
    return Policy(uplink, more.pop("types", ("*",)), profile, key, labels=LABELS, **more)


@st.composite
def events(draw: st.DrawFn) -> tuple[str, str | None]:
    """(body, private) of an event of any type, with all that can stand in one."""
    name = draw(st.sampled_from(sorted(taxonomy.TYPES)))
    more: dict[str, Any] = {"who": "王师傅", "role": "duty", "from": "page", "note": "王师傅 said so"}
    more |= {"speed": 3, "outcome": "real"}
    reading = Reading(
        "dev-1",
        name,
        Phase.PULSE,
        values={"temperature": Value(draw(st.floats(-40, 90)), "°C"), "smoke_obscuration": Value(1)},
        part={"address": "0A000200", "text": "501 王师傅"},
        device_time=EPOCH,
        reason="expired",
        credential=draw(st.none() | st.just(CARD)),
        raw={"cardNo": "3456789", "name": "王师傅"},
        data=draw(st.just({}) | st.just(more)),
    )
    subject = Subject("dev-1", "/310104/013/002/gw-0001", "smoke", LABELS[PATH])
    stamp = Stamp(ID, EPOCH, TimeQuality.SYNCED, Phase.PULSE, Severity.INFO, ID)
    return normalize.body(subject, reading, stamp), normalize.private(reading.credential)


def sent(share: Policy, event: tuple[str, str | None]) -> dict[str, Any]:
    """The event as it leaves."""
    return dict(json.loads(share.render(Lane.EVENT, 1, *event)))


@given(every, events())
def test_every_field_that_leaves_stands_in_the_profile(profile: Profile, event: tuple[str, str | None]) -> None:
    before, after = json.loads(event[0]), sent(policy(profile), event)
    if before["type"] == DATA_LOST:
        return
    for name, value in after["data"].items():
        if name in ("credential", "who"):
            assert (profile.credentials if name == "credential" else profile.operators) != "none"
            continue
        paths = {path.partition(".")[0] for path in profile.fields}
        assert paths & {"*", name}
        assert name not in profile.without
        inner = {path.partition(".")[2] for path in profile.fields if path.startswith(f"{name}.")}
        if inner and not {"*", name} & set(profile.fields):
            assert set(value) <= inner
    for name in before["data"].keys() - after["data"].keys() - {"who"}:  # and nothing else is held back
        assert not {"*", name} & set(profile.fields) or name in profile.without
    assert {k: v for k, v in after.items() if k not in ("data", "stream", "sequence")} == {
        k: v for k, v in before.items() if k != "data"
    }


@given(st.sampled_from(["fire", "police", "street", "strict"]), events())
def test_no_person_and_no_number_leaves_for_other_departments(name: str, event: tuple[str, str | None]) -> None:
    if json.loads(event[0])["type"] == DATA_LOST:
        return
    profile = BUILT_IN[name]
    shown = policy(profile).render(Lane.EVENT, 1, *event)
    if name == "fire" or name == "strict":  # what a panel calls its zone is the fire service's to know
        shown = shown.replace("501 王师傅", "")
    assert not [word for word in NEVER if word in shown]


@given(every, events())
def test_a_place_is_told_as_deep_as_the_profile_says(profile: Profile, event: tuple[str, str | None]) -> None:
    if json.loads(event[0])["type"] == DATA_LOST or not profile.passes("place"):
        return
    place = sent(policy(profile), event)["data"]["place"]
    path = "/".join(PATH.split("/")[: profile.levels])
    assert place == profile.part_of("place", LABELS[path])


@given(events(), st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_two_uplinks_references_are_never_the_same(event: tuple[str, str | None], mine: bytes, yours: bytes) -> None:
    if json.loads(event[0])["type"] == DATA_LOST:  # passes as it is: nobody acts in it, and no card
        return
    share = Profile(fields=("*",), credentials="keyed", operators="keyed")
    one, other = (sent(policy(share, "a", key), event)["data"] for key in (mine, yours))
    for name in ("credential", "who"):
        if name in one:
            assert (one[name] == other[name]) == (mine == yours)


STATE = {
    "device": "dev-1", "online": True, "state": "alarm", "alarms": ["fire.smoke"],
    "values": {"temperature": {"value": 21.5, "unit": "°C"}},
}  # fmt: skip
ALARM = {
    "alarm": ID, "device": "dev-1", "type": "fire.smoke", "severity": "critical", "place": LABELS[PATH],
    "state": "active", "flags": {"active": True}, "count": 1, "test": False, "part": {"text": "501 王师傅"},
    "history": [{"time": "t", "step": "ack", "who": "王师傅", "from": "page", "note": "王师傅 looks"}],
}  # fmt: skip
DOSSIER: dict[str, Any] = {
    "revision": 3, "sha256": "", "time": "t", "area": {},
    "places": [LABELS["b3"], LABELS["b3/u2"], LABELS[PATH], {"path": "b4", "label": "4号楼"}],
    "devices": [{"id": "dev-1", "place": PATH}, {"id": "dev-4", "place": "b4"}],
}  # fmt: skip


@given(every)
def test_documents_follow_the_same_profile(profile: Profile) -> None:
    share = policy(profile)
    state, alarm = share.document("state", STATE), share.document("alarm", ALARM)
    assert state["values"] == (profile.part_of("values", STATE["values"]) if profile.passes("values") else {})
    assert ("place" in alarm, "part" in alarm) == (profile.passes("place"), profile.passes("part"))
    (step,) = alarm["history"]
    assert ("who" in step, "note" in step) == (profile.operators != "none", profile.passes("note"))
    assert (step.get("who") == "王师傅") == (profile.operators == "clear")
    assert {k: alarm[k] for k in ("alarm", "type", "state", "flags", "count")} == {
        k: ALARM[k] for k in ("alarm", "type", "state", "flags", "count")
    }
    assert share.document("health", {"a": 1}) == {"a": 1}


@given(every, st.sampled_from([(), ("b3",), ("b4",), ("b3/u2",)]))
def test_a_dossier_names_no_place_deeper_or_elsewhere(profile: Profile, places: tuple[str, ...]) -> None:
    share = policy(profile, places=places)
    shown = share.document("dossier", DOSSIER)
    told = [place["path"] for place in shown["places"]] + [device["place"] for device in shown["devices"]]
    assert all(len(path.split("/")) <= profile.levels for path in told)
    assert [d["id"] for d in shown["devices"]] == [d["id"] for d in DOSSIER["devices"] if share.covers(d["place"])]
    if shown != DOSSIER:
        assert shown["sha256"] == sha256_hex({k: shown[k] for k in ("area", "places", "devices")})


@pytest.mark.parametrize(
    ("place", "severity", "wanted"),
    [
        ("b3/u2", "critical", True),
        ("b3", "high", True),
        ("b31", "critical", False),
        ("b4", "critical", False),
        ("b3/u2", "medium", False),
        (None, "high", True),
    ],
)
def test_an_uplink_wants_places_with_all_in_them_and_what_is_bad_enough(
    place: str | None, severity: str, wanted: bool
) -> None:
    share = policy(BUILT_IN["keyed"], places=("b3",), least=Severity.HIGH)
    assert share.wants("fire.smoke", severity, place) == wanted
    told: Mapping[str, Any] = {"place": {"path": place}} if place else {}
    assert share.wants_kept({"type": "fire.smoke", "severity": severity, "data": told}) == wanted


def test_losses_and_orders_to_forget_go_to_their_uplink_alone_and_whole() -> None:
    asked = {"action": "forget", "uplink": "district", "credential": {"ref": "x"}}
    assert addressee("gateway.action", asked) == "district"
    assert addressee("gateway.action", {"action": "suppress"}) is None
    assert addressee("gateway.escalation", {"incident": "case-1", "uplink": "district", "to": "fire"}) == "district"
    assert addressee(DATA_LOST, {"stream": "fire.alarm"}) == "fire"
    body = json.dumps({"type": "gateway.action", "data": asked})
    assert sent(policy(Profile()), (body, None))["data"] == asked


def test_every_built_in_profile_says_why_and_own_ones_are_found_by_name() -> None:
    assert all(profile.why and profile.why.en and profile.why.zh for profile in BUILT_IN.values())
    assert {*BUILT_IN} == {"keyed", "clear", "strict", "fire", "police", "street", "property"}
    mine = Profile(fields=("place",))
    assert profile_named("mine", {"mine": mine}) is mine
    with pytest.raises(KeyError):
        profile_named("mine", {})
