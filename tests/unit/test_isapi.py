"""ISAPI without sockets: the multipart cutter, notifications, and what of repetitions becomes an event."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers._alert import parse
from drivers._conditions import Conditions
from drivers._http import Site, Tls, tls_of
from drivers._isapi_sightings import decode, sightings
from drivers._multipart import MAX_DOCUMENT_BYTES, MAX_HEADER_BYTES, Document, Dropped, Parts
from drivers.isapi import DRIVER, Config
from gateway.driver import Example
from gateway.errors import BadInput, Misconfigured
from gateway.event import Phase, Reading
from tests.fakes import ManualClock


def config(**more: Any) -> Config:
    return Config.model_validate(
        {"id": "example", "driver": "isapi", "place": "gate", "url": "http://192.0.2.10", "password": "secret"} | more
    )


def alert(type: str, state: str = "active", **more: Any) -> bytes:
    return json.dumps({"eventType": type, "eventState": state, **more}).encode()


@pytest.mark.parametrize("example", DRIVER.examples, ids=lambda e: e.title)
def test_golden_notifications(example: Example) -> None:
    assert tuple(decode(config(**example.config), example.wire)) == example.readings


# --- the multipart stream -------------------------------------------------------------------------------------------

XML = b"<EventNotificationAlert><eventType>VMD</eventType></EventNotificationAlert>"


def part(body: bytes, kind: bytes = b"application/xml", length: int | None = None, boundary: bytes = b"b") -> bytes:
    counted = b"" if length is None else b"Content-Length: %d\r\n" % length
    return b"--" + boundary + b"\r\nContent-Type: " + kind + b"\r\n" + counted + b"\r\n" + body + b"\r\n"


def documents(stream: bytes, declared: str | None = "b") -> list[bytes]:
    return [p.body for p in Parts(declared).feed(stream) if isinstance(p, Document)]


def test_an_xml_document_is_told_before_the_next_boundary_comes() -> None:
    assert documents(part(XML)[: -len(b"\r\n")]) == [XML]


def test_a_json_document_is_told_before_the_next_boundary_comes() -> None:
    body = b'{"eventType": "VMD", "text": "}\\"{", "inner": {"a": 1}}'
    assert documents(part(body, b"application/json")[:-2]) == [body]


def test_a_document_that_never_closes_ends_at_the_boundary() -> None:
    assert documents(part(b"<EventNotificationAlert><eventType>") + part(XML)) == [
        b"<EventNotificationAlert><eventType>",
        XML,
    ]


@pytest.mark.parametrize("length", [None, 0, 3, len(XML), len(XML) + 200])
def test_a_wrong_length_of_a_document_does_no_harm(length: int | None) -> None:
    assert documents(part(XML, length=length) + part(XML, length=length)) == [XML, XML]


@pytest.mark.parametrize("declared", [None, "b", "--b", "another"])
def test_the_boundary_is_found_whatever_was_declared(declared: str | None) -> None:
    assert documents(b"\r\n" + part(XML) + part(XML), declared) == [XML, XML]


def test_lines_that_look_like_a_boundary_are_no_boundary_once_the_declared_one_was_seen() -> None:
    assert documents(part(XML) + part(XML, boundary=b"other") + part(XML)) == [XML, XML]


def test_pictures_are_skipped_by_length_even_with_a_boundary_inside() -> None:
    picture = b"\xff\xd8\r\n--b\r\n\r\n" + XML
    parts = Parts("b").feed(part(picture, b"image/jpeg", len(picture)) + part(XML))
    assert parts == [Dropped("picture"), Document(XML)]


@pytest.mark.parametrize("length", [None, 2**40, 999_999_999])
def test_pictures_without_a_believable_length_are_skipped_to_the_boundary(length: int | None) -> None:
    stream = part(b"\xff\xd8" + bytes(100_000), b"image/jpeg", length) + part(XML)
    assert Parts("b").feed(stream) == [Dropped("picture"), Document(XML)]


def test_what_is_too_large_is_dropped_and_the_next_part_is_read() -> None:
    parts = Parts("b").feed(part(b"<a>" + b"x" * MAX_DOCUMENT_BYTES) + part(XML))
    assert parts == [Dropped("too-large"), Document(XML)]


@pytest.mark.parametrize("noise", [b"x" * 100, b"x" * 200])
def test_a_boundary_in_the_middle_of_a_line_is_none(noise: bytes) -> None:
    """However much of the line has come, and gone, before."""
    parts = Parts("b")
    assert parts.feed(noise) + parts.feed(part(XML)) == []
    assert parts.feed(part(XML)) == [Document(XML)]


def test_a_large_document_in_small_chunks_costs_no_more_than_in_one() -> None:
    """Quadratic work would be some thousand times as much: minutes."""
    began_s = time.process_time()
    for begin in (b'{"', b"<a>"):
        parts = Parts("b")
        parts.feed(b"--b\r\n\r\n" + begin)
        for _ in range(MAX_DOCUMENT_BYTES // 8 - 1):
            assert parts.feed(b"x" * 7 + b"\\") == []
    assert time.process_time() - began_s < 5


def test_endless_headers_are_dropped() -> None:
    parts = Parts("b").feed(b"--b\r\nX: " + b"x" * MAX_HEADER_BYTES + b"\r\n" + part(XML))
    assert parts == [Dropped("bad-header"), Document(XML)]


PIECES = st.sampled_from(
    [
        part(XML),
        part(XML, length=len(XML)),
        part(b'{"eventType": "a}\\"", "x": {}}', b"application/json"),
        part(b"\xff\xd8--b\r\n", b"image/jpeg", 7),
        part(b"\xff\xd8\r\n", b"image/jpeg"),
        part(b"<open>"),
        part(b"{open"),
        b"--b--\r\n",
        b"\r\n",
        b"--",
        b"--c\r\n",
        b'"',
        b"x" * 200,
        b"\xef\xbb\xbf",
        b'{"a": "\\\\"}',
        b'{"a": "\\',
        b"</EventNotificationAlert>",
    ]
)
STREAMS = st.lists(st.one_of(PIECES, st.binary(max_size=12)), max_size=12).map(b"".join)


def fed(stream: bytes, cuts: list[int], declared: str | None) -> list[Document | Dropped]:
    parts, found, begin = Parts(declared), [], 0
    for end in [*sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]:
        found += parts.feed(stream[begin:end])
        begin = end
    return found


@settings(deadline=None)
@given(STREAMS, st.lists(st.integers(0, 10_000), max_size=20), st.sampled_from([None, "b", "other"]))
def test_the_same_parts_however_the_stream_is_cut(stream: bytes, cuts: list[int], declared: str | None) -> None:
    assert fed(stream, cuts, declared) == Parts(declared).feed(stream)


@settings(deadline=None)
@given(STREAMS)
def test_the_same_parts_byte_by_byte(stream: bytes) -> None:
    assert fed(stream, list(range(len(stream))), "b") == Parts("b").feed(stream)


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.one_of(PIECES, st.binary(max_size=64)), min_size=1, max_size=4).map(b"".join), st.integers(1, 70_000)
)
def test_garbage_never_takes_more_memory_than_the_cap(seed: bytes, size: int) -> None:
    parts = Parts("b")
    stream = seed * (600_000 // max(1, len(seed)) + 1)
    for begin in range(0, 600_000, max(4000, size)):
        parts.feed(stream[begin : begin + size])
        assert parts.held_bytes <= MAX_DOCUMENT_BYTES


# --- one notification -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type", "ours", "phase", "reason"),
    [
        ("VMD", "video.motion", Phase.RAISE, None),
        ("linedetection", "video.line_cross", Phase.PULSE, None),
        ("regionEntrance", "video.intrusion", Phase.RAISE, None),
        ("loitering", "video.loitering", Phase.RAISE, None),
        ("videoloss", "video.loss", Phase.RAISE, None),
        ("shelteralarm", "video.occluded", Phase.RAISE, None),
        ("diskfull", "device.fault", Phase.RAISE, "disk-full"),
        ("nicbroken", "device.fault", Phase.RAISE, "network-broken"),
        ("IO", "device.unmapped", Phase.PULSE, None),
        ("facedetection", "device.unmapped", Phase.PULSE, None),
    ],
)
def test_types(type: str, ours: str, phase: Phase, reason: str | None) -> None:
    (reading,) = decode(config(), alert(type, inputIOPortID=7))
    assert (reading.type, reading.phase, reading.reason) == (ours, phase, reason)


def test_a_happening_has_no_end() -> None:
    assert decode(config(), alert("linedetection", "inactive")) == []


def test_a_missing_state_means_active() -> None:
    (reading,) = decode(config(), b'{"eventType": "VMD"}')
    assert reading.phase is Phase.RAISE


def test_a_channel_of_a_recorder_is_a_part_or_a_device_of_its_own() -> None:
    wire = alert("VMD", channelID=34, channelName="车库")
    (reading,) = decode(config(), wire)
    assert reading.part == {"address": "channel-34", "point": 34, "text": "车库"}
    (own,) = decode(config(channel=34), wire)
    assert own.part is None
    assert own.raw["channelID"] == 34
    assert decode(config(channel=33), wire) == []


def test_gbk_names_bare_ampersands_and_control_characters_are_read() -> None:
    xml = (
        '<?xml version="1.0" encoding="GBK"?><EventNotificationAlert><eventType>VMD</eventType><channelID>2</channelID>'
    )
    xml += "<channelName>东门\x01A&B</channelName></EventNotificationAlert>"
    (reading,) = decode(config(), xml.encode("gb18030"))
    assert reading.part is not None
    assert reading.part["text"] == "东门A&B"


@pytest.mark.parametrize("time", ["0000-00-00T00:00:00", "2026-01-31T13:53:05", "1970-01-01T00:00:00+08:00", "x"])
def test_a_clock_of_nonsense_is_left_out(time: str) -> None:
    (reading,) = decode(config(), alert("VMD", dateTime=time))
    assert reading.device_time is None


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"hello",
        b"<a>",
        b"<a/>",
        b"{}",
        b"[1]",
        b'{"eventType": 1}',
        b"{" * 100_000,
        b'{"eventType":"a","b":' + b"[" * 50_000,
        b"<a>" * 40 + b"</a>" * 40,
        b'<!DOCTYPE a [<!ENTITY b "c">]><EventNotificationAlert><eventType>&b;</eventType></EventNotificationAlert>',
        b"<EventNotificationAlert><eventState>active</eventState></EventNotificationAlert>",
    ],
)
def test_what_is_no_notification_is_bad_input(wire: bytes) -> None:
    with pytest.raises(BadInput):
        decode(config(), wire)


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_decoding_garbage_ends_in_bad_input_or_readings(wire: bytes) -> None:
    try:
        readings = decode(config(), wire)
    except BadInput:
        return
    assert all(isinstance(reading, Reading) for reading in readings)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["eventState", "channelID", "relationEvent", "dateTime", "x"]), JSON))
def test_any_json_around_an_event_type_is_decoded(more: dict[str, Any]) -> None:
    (reading,) = decode(config(), alert("unheard-of")[:-1] + b', "m": ' + json.dumps(more).encode() + b"}")
    json.dumps(dict(reading.raw), allow_nan=False)


def test_unknown_numbers_pass_and_personal_fields_do_not() -> None:
    inner = {
        "majorEventType": 5, "subEventType": 75, "doorNo": 1, "cardReaderNo": 2, "serialNo": 9, "currentEvent": False,
        "name": "张三", "employeeNo": 17, "employeeNoString": "17", "cardNo": 12345678, "pictureURL": "http://x",
        "phoneNumber": 13800138000, "unknownLong": 310104199001011234, "FaceRect": {"x": 1}, "currTemperature": 36.6,
    }  # fmt: skip
    (reading,) = decode(config(), alert("AccessControllerEvent", AccessControllerEvent=inner))
    raw = dict(reading.raw)
    assert raw == {
        "majorEventType": 5, "subEventType": 75, "doorNo": 1, "cardReaderNo": 2, "serialNo": 9, "currentEvent": False,
    }  # fmt: skip


# --- what becomes an event ------------------------------------------------------------------------------------------


class Told:
    """Conditions of one device, fed with notifications at given seconds."""

    def __init__(self, **more: Any) -> None:
        self.config = config(clear_after="10s", **more)
        self.conditions = Conditions()

    def at(self, now_s: float, type: str, state: str = "active", **more: Any) -> list[Phase]:
        found = sightings(self.config, parse("told", alert(type, state, **more)))
        return [r.phase for s in found if (r := self.conditions.see(s, now_s)) is not None]


def test_raised_once_while_it_repeats_and_cleared_by_inactive() -> None:
    told = Told()
    assert [told.at(t, "VMD") for t in range(3)] == [[Phase.RAISE], [], []]
    assert told.at(3, "VMD", "inactive") == [Phase.CLEAR]
    assert told.at(4, "VMD", "inactive") == []


def test_cleared_by_silence_and_not_before() -> None:
    told = Told()
    told.at(0, "VMD")
    told.at(5, "VMD")
    assert told.conditions.due() == 15
    assert told.conditions.silent(14.9) == []
    (over,) = told.conditions.silent(15)
    assert (over.type, over.phase) == ("video.motion", Phase.CLEAR)
    assert told.conditions.due() is None


def test_a_happening_is_told_once_per_burst() -> None:
    told = Told()
    assert [told.at(t, "linedetection") for t in (0, 1, 9)] == [[Phase.PULSE], [], []]
    assert told.conditions.silent(19) == []
    assert told.at(20, "linedetection") == [Phase.PULSE]


def test_unknown_types_are_bursts_of_their_own() -> None:
    told = Told()
    assert [told.at(0, "a"), told.at(0, "b"), told.at(1, "a")] == [[Phase.PULSE], [Phase.PULSE], []]


def test_access_records_are_never_a_burst() -> None:
    told = Told()
    assert [told.at(0, "AccessControllerEvent"), told.at(0, "AccessControllerEvent")] == [[Phase.PULSE]] * 2


def test_two_detectors_of_one_intrusion_are_one_condition() -> None:
    told = Told()
    assert told.at(0, "fielddetection") == [Phase.RAISE]
    assert told.at(0, "regionEntrance") == []
    assert told.at(1, "fielddetection", "inactive") == []
    assert told.at(1, "regionEntrance", "inactive") == [Phase.CLEAR]


def test_a_second_fault_of_another_reason_is_told() -> None:
    told = Told()
    assert [told.at(0, "diskfull"), told.at(0, "nicbroken"), told.at(1, "nicbroken")] == [
        [Phase.RAISE],
        [Phase.RAISE],
        [],
    ]
    assert told.at(2, "diskfull", "inactive") == []
    assert told.at(2, "nicbroken", "inactive") == [Phase.CLEAR]


def test_the_heartbeat_is_nothing_new_but_ends_a_video_loss() -> None:
    told = Told()
    assert told.at(0, "videoloss", "inactive") == []
    assert told.at(1, "videoloss") == [Phase.RAISE]
    assert told.at(2, "videoloss", "inactive") == [Phase.CLEAR]


def test_what_was_open_before_the_restart_is_not_raised_again() -> None:
    told = Told()
    told.conditions.restore("example", [("video.motion", None), ("video.loss", "channel-2")], 10, 0)
    assert told.at(1, "VMD") == []
    (over,) = told.conditions.silent(10)
    assert (over.type, over.part) == ("video.loss", {"address": "channel-2"})
    assert told.at(11, "VMD", "inactive") == [Phase.CLEAR]


def test_what_was_open_before_the_restart_ends_with_its_first_source() -> None:
    told = Told()
    told.conditions.restore("example", [("video.intrusion", None)], 10, 0)
    assert told.at(1, "fielddetection") == []
    assert told.at(2, "fielddetection", "inactive") == [Phase.CLEAR]


def test_silence_counts_from_the_reconnect() -> None:
    told = Told()
    told.at(0, "VMD")
    told.conditions.resume(100)
    assert told.conditions.silent(109) == []
    assert len(told.conditions.silent(110)) == 1


def test_an_input_has_its_own_silence() -> None:
    told = Told(inputs={1: {"type": "door.open", "clear_after": "60s"}})
    assert told.at(0, "IO", inputIOPortID=1) == [Phase.RAISE]
    assert told.conditions.due() == 60


def test_a_replay_is_told_by_itself() -> None:
    told = Told()
    assert told.at(0, "VMD") == [Phase.RAISE]
    assert told.at(0, "VMD", "inactive", isDataRetransmission=True) == []


# --- configuration --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [
        {"url": "192.0.2.10"},
        {"url": "ftp://192.0.2.10"},
        {"url": "http://admin:x@192.0.2.10"},
        {"url": "http://192.0.2.10/ISAPI"},
        {"inputs": {1: {"type": "door.opened"}}},
        {"tls": {}},
        {"tls": {"ca": "a.pem", "fingerprint": "a" * 64}},
        {"tls": {"fingerprint": "abc"}},
        {"username": "a:b"},
    ],
)
def test_what_cannot_work_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        config(**more)


def test_an_authority_that_is_no_certificate_stops_this_line_only(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate", "ascii")
    tls = Tls.model_validate({"ca": "ca.pem"}, context={"base": tmp_path})
    site = Site("cam", "https://192.0.2.10", "admin", config().password, tls)
    with pytest.raises(Misconfigured, match=r"tls.ca .*ca.pem cannot be used"):
        tls_of(site, ManualClock())
