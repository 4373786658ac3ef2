"""ONVIF without sockets: topics, notifications, what of states becomes an event, addresses, the device's clock."""

import re
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from drivers._onvif_library import Login, message
from drivers._onvif_notes import MOST_NOTES, Channels, Note, Sighting, decode, notes, raw, sightings
from drivers._onvif_soap import DeviceClock, first, moment, origin_of, parse, path_of, place_of
from drivers._onvif_states import MOST, SETTLE_S, States
from drivers._onvif_topics import BY_ITEM, BY_TOPIC, noise, normal
from drivers.onvif import DRIVER, Config, quiet_s
from gateway.driver import Example, Line
from gateway.errors import BadInput
from gateway.event import Phase, Reading
from gateway.taxonomy import TYPES
from tests.fakes import ManualClock
from tests.unit.configs import ROOT


def config(**more: Any) -> Config:
    given = {"id": "example", "driver": "onvif", "place": "gate", "url": "http://192.0.2.64:8000", "password": "x"}
    return Config.model_validate(given | more)


@pytest.mark.parametrize("example", DRIVER.examples, ids=lambda e: e.title)
def test_golden_notifications(example: Example) -> None:
    assert tuple(decode(config(**example.config), example.wire)) == example.readings


# --- notifications --------------------------------------------------------------------------------------------------


def envelope(*inner: str) -> bytes:
    return f"<Envelope><Body><PullMessagesResponse>{''.join(inner)}</PullMessagesResponse></Body></Envelope>".encode()


def xml(topic: str, source: dict[str, str], data: dict[str, str], operation: str = "Changed") -> str:
    held = {
        holder: "".join(f"<SimpleItem Name={quoteattr(n)} Value={quoteattr(v)}/>" for n, v in items.items())
        for holder, items in (("Source", source), ("Data", data))
    }
    return (
        f"<NotificationMessage><Topic>{topic}</Topic><Message><Message UtcTime='2026-01-02T03:04:05' "
        f"PropertyOperation='{operation}'><Source>{held['Source']}</Source><Data>{held['Data']}</Data></Message>"
        "</Message></NotificationMessage>"
    )


@pytest.mark.parametrize(
    ("topic", "plain"),
    [
        ("tns1:RuleEngine/CellMotionDetector/Motion", "RuleEngine/CellMotionDetector/Motion"),
        (" tnsn:Device/tnsx:Trigger/Relay/. ", "Device/Trigger/Relay"),
        ("VideoSource/MotionAlarm//.", "VideoSource/MotionAlarm"),
        ("", ""),
        ("x" * 999, "x" * 128),
    ],
)
def test_topics_lose_their_prefixes_and_what_hangs_on_them(topic: str, plain: str) -> None:
    assert normal(topic) == plain


def test_the_table_knows_the_taxonomy_and_no_noise() -> None:
    for topic, row in BY_TOPIC.items():
        assert row.type in TYPES
        assert not noise(topic)
    assert {row.type for row in BY_ITEM.values()} <= set(TYPES)
    assert all(map(noise, ("Monitoring/ProcessorUsage", "MediaControl/VideoSourceConfiguration", "Monitoring")))
    assert not noise("MonitoringX/Y")


MEANINGS = [
    ("VideoSource/MotionAlarm", {"State": "1"}, "video.motion", None),
    ("RuleEngine/FieldDetector/ObjectsInside", {"IsInside": "true"}, "video.intrusion", None),
    ("RuleEngine/CellMotionDetector/People", {"IsPeople": "true"}, "video.motion", "people"),
    ("RuleEngine/PeopleDetector/People", {"IsPeople": "true"}, "video.motion", "people"),
    ("RuleEngine/TamperDetector/Tamper", {"IsTamper": "true"}, "video.occluded", None),
    ("RuleEngine/MyRuleDetector/Visitor", {"State": "true"}, "device.unmapped", "doorbell"),
    ("VideoSource/GlobalSceneChange/AnalyticsService", {"State": "true"}, "video.occluded", "scene-changed"),
    ("Device/HardwareFailure/PowerSupplyFailure", {"Failed": "true"}, "device.power_fault", None),
    ("Some/Vendor/Thing", {"Value": "17"}, "device.unmapped", "topic"),
    ("Device/Trigger/DigitalInput", {"LogicalState": "true"}, "device.unmapped", "input"),
]


@pytest.mark.parametrize(("topic", "data", "type", "reason"), MEANINGS, ids=[row[0] for row in MEANINGS])
def test_what_topics_mean(topic: str, data: dict[str, str], type: str, reason: str | None) -> None:
    (told,) = decode(config(), envelope(xml(topic, {}, data)))
    assert (told.type, told.reason, told.device_time) == (type, reason, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert config().id == told.device


def test_several_items_of_one_message_are_several_states() -> None:
    wire = envelope(xml("RuleEngine/X/Y", {"Rule": "r"}, {"IsPeople": "true", "IsLineCross": "true", "IsPet": "false"}))
    assert [(r.type, r.phase, r.reason) for r in decode(config(), wire)] == [
        ("video.motion", Phase.RAISE, "people"),
        ("video.line_cross", Phase.PULSE, None),
        ("video.motion", Phase.CLEAR, None),
    ]


def test_topics_that_are_not_wanted_are_left_out() -> None:
    wire = envelope(xml("tns1:VideoSource/MotionAlarm", {}, {"State": "true"}))
    assert decode(config(ignore=["VideoSource/MotionAlarm"]), wire) == []


def test_pictures_of_a_recorder_are_parts_and_unknown_ones_are_the_device() -> None:
    channels = Channels({"V0": "V0", "C0": "V0", "V1": "V1", "C1": "V1"}, "V0")

    def place(tokens: dict[str, str], **more: Any) -> list[Any]:
        note = Note("VideoSource/MotionAlarm", "Changed", None, tokens, {"State": "true"})
        return [sighting.reading.part for sighting in sightings(config(**more), note, channels)]

    assert place({"VideoSourceConfigurationToken": "C0"}) == [None]
    assert place({"VideoSourceConfigurationToken": "C1"}) == place({"Source": "V1"}) == [{"address": "source-V1"}]
    assert place({"Source": "nobody"}) == [None]
    assert place({"VideoSourceConfigurationToken": "C1"}, source="V1") == [None]
    assert place({"Source": "V0"}, source="V1") == []


WORDS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=80)
ITEMS = st.dictionaries(WORDS, WORDS, max_size=20)


@given(WORDS, ITEMS, ITEMS, st.sampled_from(["Initialized", "Changed", "Deleted", "", "?"]))
def test_any_notification_is_understood_or_goes_through_with_numbers_only(
    topic: str, source: dict[str, str], data: dict[str, str], operation: str
) -> None:
    note = Note(normal(topic), operation, None, source, data)
    for sighting in sightings(config(), note, Channels()):
        assert sighting.reading.type in TYPES
        assert sighting.reading.phase in TYPES[sighting.reading.type].phases
    texts = {name for name, value in raw(note).items() if isinstance(value, str)}
    assert texts <= {
        "topic",
        "operation",
        "Source",
        "VideoSource",
        "Rule",
        *(name for name in source if "Token" in name),
    }


@given(ITEMS, ITEMS)
def test_items_come_back_as_they_were_sent(source: dict[str, str], data: dict[str, str]) -> None:
    (note,) = notes("x", envelope(xml("a/b", source, data)))
    for sent, got in ((source, note.source), (data, note.data)):
        for name, value in got.items():
            assert any(name == n[:64] and value == v.strip()[:64] for n, v in sent.items())
        assert len(got) <= 16


@given(st.binary(max_size=400))
def test_no_bytes_do_harm(wire: bytes) -> None:
    with suppress(BadInput):
        assert decode(config(), wire) == []


@pytest.mark.parametrize(
    "wire",
    [b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', b'<!DOCTYPE a SYSTEM "http://192.0.2.1/x"><a/>', b"<a>", b"{}"],
)
def test_document_types_and_entities_are_refused(wire: bytes) -> None:
    with pytest.raises(BadInput):
        parse("x", wire)


NESTED = [
    b"<E><Body>" + b"<NotificationMessage>" * 20_000 + b"</NotificationMessage>" * 20_000 + b"</Body></E>",
    b"<E><Body><R>"
    + b"<NotificationMessage><Topic>a</Topic><Message/></NotificationMessage>" * 15_000
    + b"</R></Body></E>",
    b"<E><Body><R>" + (b"<NotificationMessage>" * 20 + b"</NotificationMessage>" * 20) * 1000 + b"</R></Body></E>",
    b"<E><Body>" + b"<a>" * 120_000 + b"</a>" * 120_000 + b"</Body></E>",
]


@pytest.mark.parametrize("wire", NESTED, ids=["in each other", "many", "bushes", "deep"])
def test_a_megabyte_of_anything_takes_no_time(wire: bytes) -> None:
    began_s = time.perf_counter()
    with suppress(BadInput):
        assert len(decode(config(), wire)) <= MOST_NOTES
    assert time.perf_counter() - began_s < 5.0  # each is some 50 ms; walks in walks would take minutes


# --- states ---------------------------------------------------------------------------------------------------------


def sighting(
    active: bool | None, identity: str = "a", type: str = "video.motion", *, initial: bool = False
) -> Sighting:
    phase = Phase.PULSE if TYPES[type].returns == "pulse" else Phase.RAISE
    return Sighting(Reading("cam", type, phase), identity, active, initial)


def phase(reading: Reading | None) -> Phase | None:
    return None if reading is None else reading.phase


def test_two_states_of_one_condition_are_raised_once_and_cleared_by_the_last() -> None:
    states = States(30.0)
    told = [states.see(sighting(on, who), 0.0) for on, who in ((True, "a"), (True, "b"), (False, "a"), (False, "b"))]
    assert list(map(phase, told)) == [Phase.RAISE, None, None, Phase.CLEAR]


def test_silence_ends_what_is_repeated_but_not_what_has_told_an_end() -> None:
    states = States(30.0)
    states.see(sighting(True), 0.0)
    assert states.silent(1e6) == []
    states.see(sighting(True), 10.0)
    assert states.due_s() == 40.0
    assert [r.phase for r in states.silent(40.0)] == [Phase.CLEAR]
    for active in (True, False, True, True):
        states.see(sighting(active), 50.0)
    assert states.silent(1e6) == []


def test_never_false_and_what_has_no_truth_end_by_silence() -> None:
    never, unsure = States(30.0, never_false=True), States(30.0)
    assert phase(never.see(sighting(True), 0.0)) is phase(unsure.see(sighting(None), 0.0)) is Phase.RAISE
    assert [r.phase for r in (*never.silent(30.0), *unsure.silent(30.0))] == [Phase.CLEAR, Phase.CLEAR]


def test_present_states_after_a_restart() -> None:
    states = States(30.0)
    states.restore("cam", [("video.motion", None), ("safety.panic", "input-1")])
    states.doubt(0.0, told=False)
    assert states.see(sighting(True, initial=True), 1.0) is None
    assert states.silent(1e6) == []  # the one is confirmed, of the other a device that says nothing proves nothing
    states.doubt(100.0, told=True)
    assert states.see(sighting(True, initial=True), 101.0) is None
    assert [(r.type, r.part) for r in states.silent(130.0)] == [("safety.panic", {"address": "input-1"})]


def test_a_first_false_waits_for_the_other_states_of_the_same_condition() -> None:
    states = States(30.0)
    states.restore("cam", [("video.motion", None)])
    states.doubt(0.0, told=True)
    assert states.see(sighting(False, "a", initial=True), 0.0) is None
    assert states.see(sighting(True, "b", initial=True), 0.5) is None
    assert states.silent(1e6) == []
    states.restore("cam", [("video.motion", None)])
    assert states.see(sighting(False, "a", initial=True), 0.0) is None
    assert [r.phase for r in states.silent(SETTLE_S)] == [Phase.CLEAR]


def test_happenings_are_told_once_a_burst_and_never_as_a_present_state() -> None:
    states, cross = States(30.0), "video.line_cross"
    told = [states.see(sighting(None, "a", cross), at) for at in (0.0, 10.0, 39.0, 70.0)]
    assert list(map(phase, told)) == [Phase.PULSE, None, None, Phase.PULSE]
    assert states.see(sighting(True, "b", cross, initial=True), 0.0) is None
    assert states.see(sighting(False, "a", cross), 70.0) is None
    assert phase(states.see(sighting(True, "a", cross), 71.0)) is Phase.PULSE


STEPS = st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.booleans(), st.floats(0, 60)), max_size=60)


@given(STEPS)
def test_raise_and_clear_take_turns_and_nothing_stays_open_that_all_have_ended(
    steps: list[tuple[bool, str, bool, float]],
) -> None:
    states, now_s, told = States(30.0), 0.0, list[Reading]()
    for active, who, initial, gap_s in steps:
        now_s += gap_s
        told += states.silent(now_s)
        news = states.see(sighting(active, who, initial=initial), now_s)
        told += [news] if news else []
    for who in "abc":
        news = states.see(sighting(False, who), now_s)
        told += [news] if news else []
    assert [r.phase for r in told] == [Phase.RAISE, Phase.CLEAR] * (len(told) // 2)
    assert states.due_s() == float("inf")


def test_memory_is_bounded_and_finds_room_again() -> None:
    states = States(30.0)
    told = [states.see(sighting(None, str(n), "video.line_cross"), 0.0) for n in range(MOST + 10)]
    assert sum(reading is not None for reading in told) == MOST
    assert states.crowded
    states.silent(31.0)
    assert states.see(sighting(None, "x", "video.line_cross"), 31.0) is not None


def test_a_copy_changes_nothing_of_the_first() -> None:
    states = States(30.0)
    copy = states.copy()
    assert phase(copy.see(sighting(True), 0.0)) is phase(states.see(sighting(True), 0.0)) is Phase.RAISE


# --- addresses, times, requests -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("http://10.0.0.1/onvif/events?x=1", "/onvif/events?x=1"),
        ("http://192.0.2.9:8106:8106/onvif/sub", "/onvif/sub"),
        ("https://[fe80::1]:443/a", "/a"),
        ("/relative", "/relative"),
        ("relative", "/relative"),
        ("//evil.example/x", "/evil.example/x"),
        ("http:////evil.example/x", "/evil.example/x"),
        ("", "/"),
        ("http://10.0.0.1", "/"),
    ],
)
def test_only_path_and_query_of_an_address_count(address: str, path: str) -> None:
    assert path_of(address) == path


@given(st.text(max_size=200))
def test_no_address_leads_to_another_host(address: str) -> None:
    assert path_of(address).startswith("/")
    assert not path_of(address).startswith("//")


@pytest.mark.parametrize(
    ("uri", "origin"),
    [
        ("http://10.0.0.1:80/x", "http://192.0.2.64"),
        ("http://10.0.0.1/x", "http://192.0.2.64"),
        ("http://10.0.0.1:8080:8080/x", "http://192.0.2.64:8080"),
        ("https://10.0.0.1/x", "http://192.0.2.64:8000"),
        ("http://10.0.0.1:99999/x", "http://192.0.2.64:8000"),
        ("/x", "http://192.0.2.64:8000"),
    ],
)
def test_a_picture_is_fetched_from_the_configured_host(uri: str, origin: str) -> None:
    assert origin_of(uri, "http://192.0.2.64:8000") == origin


def test_reference_parameters_are_sent_back_and_bounded() -> None:
    wire = b"<E><Body><R><Address>http://h/p</Address><ReferenceParameters>%s</ReferenceParameters></R></Body></E>"
    place = place_of(first(parse("x", wire % (b'<i:Id xmlns:i="urn:i">7</i:Id>' * 20)), "R"))
    assert (place.path, len(place.references)) == ("/p", 8)
    assert place_of(first(parse("x", wire % (b"<Id>" + b"7" * 5000 + b"</Id>")), "R")).references == ()
    sent = message("Renew", "http://192.0.2.64/p", None, place.references[:1], TerminationTime="PT60S").body
    assert b"7</" in sent
    assert b'IsReferenceParameter="true"' in sent
    assert b"http://192.0.2.64/p</wsa:To>" in sent


@pytest.mark.parametrize("text", ["", "0000-00-00T00:00:00Z", "1970-01-01T00:00:00Z", "yesterday", "Z"])
def test_times_that_make_no_sense(text: str) -> None:
    assert moment(text) is None


def test_the_token_is_dated_by_the_device_s_clock() -> None:
    clock = ManualClock()
    theirs = DeviceClock(clock)
    assert (theirs.known, theirs.now()) == (False, clock.utc())
    theirs.learn(clock.utc() + timedelta(days=3))
    theirs.learn(None)
    clock.now_s += 7.0
    assert theirs.now() == clock.utc() + timedelta(days=3)
    sent = message("GetRelayOutputs", "http://h/", Login("a", "b", theirs.now()))
    assert b"2026-11-26T10:06:26Z</wsu:Created>" in sent.body


def test_the_guide_s_examples_are_right_and_name_what_there_is() -> None:
    guide = (ROOT / "docs" / "drivers" / "onvif.md").read_text("utf-8")
    yaml = YAML(typ="safe", pure=True)
    yaml.constructor.add_constructor("!file", lambda *_: "secret")
    entries = [e for block in re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL) for e in yaml.load(block)["devices"]]
    assert len(entries) == 4
    for entry in entries:
        assert config(**entry).driver == "onvif"
    for topic, row in BY_TOPIC.items():
        assert topic.rpartition("/")[2] in guide or row.type == "video.motion", topic


def test_the_watchdog_waits_longer_than_the_longest_question() -> None:
    given = config(pull="60s", retry="10s")
    assert quiet_s(Line("example", None, (given,))) > 60 + given.answer_within
    assert config(lifetime="10m").advice()[0][0] == "lifetime"
    assert config().advice() == ()
