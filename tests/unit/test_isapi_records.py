"""Records of door controllers without sockets: the table of codes, what a record says, the search for records."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers._alert import parse
from drivers._http import Reply
from drivers._isapi_access import Record, of_alert, of_memory
from drivers._isapi_codes import TABLE, UNKNOWN, meaning
from drivers._isapi_config import Config
from drivers._isapi_history import AHEAD, MARGIN, PAGE, NoMemory, page, search
from drivers.isapi import decode
from gateway.errors import BadInput
from gateway.event import Credential, Phase, Reading
from gateway.taxonomy import DENIALS, TYPES

TIME = "2026-04-12T16:09:53+08:00"


def config(**more: Any) -> Config:
    base = {"id": "door", "driver": "isapi", "place": "gate", "url": "http://192.0.2.20", "password": "secret"}
    return Config.model_validate(base | more)


def as_json(major: int, minor: int, **inner: Any) -> bytes:
    record = {"majorEventType": major, "subEventType": minor, **inner}
    head = {"eventType": "AccessControllerEvent", "eventState": "active", "dateTime": TIME}
    return json.dumps(head | {"AccessControllerEvent": record}).encode()


def as_xml(major: int, minor: int, **inner: Any) -> bytes:
    fields = {"majorEventType": major, "subEventType": minor, **inner}
    nested = "".join(f"<{name}>{_text(value)}</{name}>" for name, value in fields.items())
    return (
        '<EventNotificationAlert version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema">'
        f"<dateTime>{TIME}</dateTime><eventType>AccessControllerEvent</eventType><eventState>active</eventState>"
        f"<AccessControllerEvent>{nested}</AccessControllerEvent></EventNotificationAlert>"
    ).encode()


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def record(major: int, minor: int, *, configured: Config | None = None, **inner: Any) -> Record:
    found = of_alert(configured or config(), parse("door", as_json(major, minor, **inner)))
    assert found is not None
    return found


def said(readings: tuple[Reading, ...]) -> list[tuple[str, str, str | None]]:
    return [(r.type, r.phase.value, r.reason) for r in readings]


# --- the table


def rows() -> list[tuple[int, int]]:
    return [(major, minor) for major, codes in TABLE.items() for minor in codes]


@pytest.mark.parametrize(("major", "minor"), rows())
def test_every_row_is_of_a_type_there_is_in_a_phase_it_has(major: int, minor: int) -> None:
    row = meaning(major, minor)
    assert row.phase in TYPES[row.type].phases
    assert all(Phase.CLEAR in TYPES[type].phases for type in row.ends)
    assert row.type != "access.denied" or row.reason in DENIALS
    assert not row.once or row.phase is Phase.RAISE


def test_what_begins_has_an_end_or_is_told_as_begun_and_ended() -> None:
    """Else an alarm would stand for ever."""
    ends = {(row.type, row.where) for codes in TABLE.values() for row in codes.values() if row.phase is Phase.CLEAR}
    ends |= {(type, row.where) for codes in TABLE.values() for row in codes.values() for type in row.ends}
    for major, minor in rows():
        row = meaning(major, minor)
        assert row.phase is not Phase.RAISE or row.once or (row.type, row.where) in ends, (hex(minor), row)


@pytest.mark.parametrize(
    ("code", "type", "phase", "reason"),
    [
        ((5, 0x01), "access.granted", "pulse", None),
        ((5, 0x09), "access.denied", "pulse", "unknown_credential"),
        ((5, 0x0A), "access.denied", "pulse", "passback"),
        ((5, 0x17), "access.granted", "pulse", "egress"),
        ((5, 0x19), "door.open", "raise", None),
        ((5, 0x1B), "door.forced", "raise", None),
        ((5, 0x1C), "door.held", "raise", None),
        ((5, 0x34), "door.released", "raise", "fire"),
        ((5, 0x35), "door.released", "clear", None),
        ((5, 75), "access.granted", "pulse", None),
        ((5, 76), "access.denied", "pulse", "face_mismatch"),
        ((5, 0x85), "video.tailgating", "pulse", None),
        ((1, 0x40A), "access.duress", "pulse", None),
        ((1, 0x404), "device.tamper", "raise", None),
        ((1, 0x405), "device.tamper", "clear", None),
        ((1, 0x415), "device.fault", "raise", "fire-input-line-short"),
        ((1, 0x418), "fire.manual", "raise", None),
        ((1, 0x41C), "safety.panic", "raise", None),
        ((2, 0x405), "device.power_fault", "raise", "mains"),
        ((2, 0x406), "device.power_fault", "clear", None),
        ((2, 0x27), "device.fault", "raise", "network"),
        ((3, 0x400), "device.unmapped", "pulse", "remote-open"),
        ((5, 0x16), "device.unmapped", "pulse", "lock-closes"),
        ((9, 0x01), "device.unmapped", "pulse", None),
        ((5, 9999), "device.unmapped", "pulse", None),
    ],
)
def test_what_codes_mean(code: tuple[int, int], type: str, phase: str, reason: str | None) -> None:
    assert said(record(*code, serialNo=1).told)[:1] == [(type, phase, reason)]


def test_a_code_that_nobody_described_passes_with_its_numbers() -> None:
    assert meaning(5, 9999) is UNKNOWN
    (reading,) = record(5, 9999, serialNo=7, doorNo=3, name="张三").told
    assert reading.raw == {"majorEventType": 5, "subEventType": 9999, "serialNo": 7, "doorNo": 3}


# --- what a record says


def test_a_closed_door_ends_what_an_open_one_can_be() -> None:
    found = record(5, 0x1A, doorNo=1)
    assert said(found.told) == [("door.open", "clear", None)]
    assert said(found.ends) == [("door.forced", "clear", None), ("door.held", "clear", None)]


def test_what_no_number_ends_is_told_as_begun_and_ended() -> None:
    assert said(record(1, 0x40C).told) == [("access.lockout", "raise", None), ("access.lockout", "clear", None)]


@pytest.mark.parametrize(
    ("inner", "credential"),
    [
        ({"cardNo": "1234567890", "employeeNoString": "17"}, Credential("isapi-card", 0, 1234567890)),
        ({"cardNo": "", "employeeNoString": "17"}, Credential("isapi-user", 2, 17, "face")),
        ({"employeeNoString": "0017"}, Credential("isapi-user", 4, 17, "face")),
        ({"employeeNo": 17}, Credential("isapi-user", 2, 17, "face")),
        ({"employeeNoString": "A7"}, Credential("isapi-user-text", 0, int.from_bytes(b"A7"), "face")),
        ({"cardNo": "0", "employeeNoString": "0"}, None),
        ({"cardNo": "9" * 60}, None),
        ({}, None),
    ],
)
def test_credentials(inner: dict[str, Any], credential: Credential | None) -> None:
    (reading,) = record(5, 75, **inner).told
    assert reading.credential == credential


def test_leading_zeros_tell_people_apart() -> None:
    seven, other = (record(5, 75, employeeNoString=number).told[0].credential for number in ("7", "007"))
    assert seven != other


@pytest.mark.parametrize("minor", [0x69, 0x70, 0x71])
def test_identity_cards_leave_no_trace(minor: int) -> None:
    (reading,) = record(5, minor, cardNo="310104199001011234", employeeNoString="310104199001011234").told
    assert reading.credential is None
    assert "310104199001011234" not in repr(reading)


@pytest.mark.parametrize("minor", [0x15, 0x17, 0x19, 0x1B])
def test_only_who_wanted_to_pass_has_a_credential(minor: int) -> None:
    assert record(5, minor, cardNo="1", employeeNoString="1").told[0].credential is None


def test_what_is_personal_stays_here() -> None:
    inner = {
        "name": "张三", "employeeNoString": "17", "cardNo": "12345678", "pictureURL": "http://192.0.2.20/face.jpg",
        "FaceRect": {"x": 0.1}, "currTemperature": 36.6, "bodyMaxTemperatureValue": 36.9, "isAbnomalTemperature": False,
        "mask": "no", "label": "上班", "phoneNumber": 13800138000, "doorNo": 1, "serialNo": 3,
    }  # fmt: skip
    for wire in (as_json(5, 75, **inner), as_json(5, 4711, **inner)):
        (reading,) = decode(config(), wire)
        assert set(reading.raw) == {"majorEventType", "subEventType", "doorNo", "serialNo"}
        assert not any(word in repr(reading) for word in ("张三", "36.6", "13800138000", "face.jpg", "上班"))


def test_doors_above_the_first_are_parts() -> None:
    parts = [record(5, 0x19, doorNo=number).told[0].part for number in (1, 2)]
    assert parts == [None, {"address": "door-2", "point": 2}]


def test_a_door_that_is_a_device_of_its_own_hears_of_no_other() -> None:
    second = config(door=2)
    assert record(5, 0x19, doorNo=1, serialNo=5, configured=second).told == ()
    assert record(5, 0x19, doorNo=1, serialNo=5, configured=second).serial == 5
    assert record(5, 0x19, doorNo=2, configured=second).told[0].part is None
    assert record(1, 0x404, configured=second).told[0].type == "device.tamper"


@pytest.mark.parametrize(
    ("code", "inner", "address"),
    [
        ((1, 0x406), {"cardReaderNo": 2}, "reader-2"),
        ((2, 0x409), {"cardReaderNo": 1}, "reader-1"),
        ((5, 0x53), {"doorNo": 1}, "lock-1"),
        ((2, 0x27), {}, "network"),
        ((1, 0x418), {}, "fire-button"),
    ],
)
def test_parts(code: tuple[int, int], inner: dict[str, Any], address: str) -> None:
    part = record(*code, **inner).told[0].part
    assert part is not None
    assert part["address"] == address


def test_an_alarm_input_means_what_the_configuration_says() -> None:
    wired = config(inputs={3: {"type": "fire.smoke"}, 4: {"type": "video.tailgating"}})
    begin, end = (record(1, code, caseSensorNo=3, configured=wired).told for code in (0x408, 0x409))
    assert said((*begin, *end)) == [("fire.smoke", "raise", None), ("fire.smoke", "clear", None)]
    pulse, nothing = (record(1, code, caseSensorNo=4, configured=wired).told for code in (0x408, 0x409))
    assert said(pulse) == [("video.tailgating", "pulse", None)]
    assert said(nothing) == [("device.unmapped", "pulse", "input-ends")]
    assert said(record(1, 0x408, caseSensorNo=9, configured=wired).told) == [("device.unmapped", "pulse", "input")]


def test_what_is_told_late_is_marked() -> None:
    late, live, unsaid = (record(5, 0x19, currentEvent=mark) for mark in (False, True, None))
    assert [dict(found.told[0].data) for found in (late, live, unsaid)] == [{"historical": True}, {}, {}]
    assert [found.current for found in (late, live, unsaid)] == [False, True, None]


INNER = st.fixed_dictionaries(
    {},
    optional={
        "doorNo": st.integers(0, 9),
        "cardReaderNo": st.integers(0, 9),
        "serialNo": st.integers(0, 2**31),
        "frontSerialNo": st.integers(0, 2**31),
        "cardNo": st.integers(0, 10**10).map(str),
        "employeeNoString": st.from_regex(r"[0-9A-F]{1,8}", fullmatch=True),
        "currentEvent": st.booleans(),
        "currentVerifyMode": st.sampled_from(["cardOrFace", "invalid"]),
        "name": st.just("Somebody"),
    },
)


@settings(deadline=None)
@given(st.sampled_from([1, 2, 3, 5, 7]), st.integers(0, 0x500), INNER)
def test_xml_and_json_say_the_same(major: int, minor: int, inner: dict[str, Any]) -> None:
    assert decode(config(), as_xml(major, minor, **inner)) == decode(config(), as_json(major, minor, **inner))


@settings(deadline=None)
@given(st.sampled_from([1, 2, 3, 5]), st.integers(0, 0x450), INNER)
def test_the_memory_says_what_the_notification_said(major: int, minor: int, inner: dict[str, Any]) -> None:
    live = record(major, minor, **inner)
    names = {"majorEventType": "major", "subEventType": "minor"}
    fields = {"majorEventType": major, "subEventType": minor, **inner}
    stored = of_memory(config(), {names.get(name, name): value for name, value in fields.items()} | {"time": TIME})
    assert (stored.key, stored.told, stored.ends) == (live.key, live.told, live.ends)


RUBBISH = st.none() | st.booleans() | st.floats() | st.text(max_size=9) | st.lists(st.integers())
FIELDS = st.sampled_from(["doorNo", "serialNo", "cardNo", "employeeNoString", "currentEvent", "time"])


@settings(deadline=None)
@given(st.dictionaries(FIELDS, RUBBISH))
def test_any_entry_is_a_record(entry: Mapping[str, Any]) -> None:
    assert of_memory(config(), entry).told[0].type == "device.unmapped"


# --- the search


SINCE = datetime.fromisoformat(TIME)


def test_a_search_asks_by_serial_number_and_by_the_devices_own_time() -> None:
    made = search(273, SINCE, SINCE + timedelta(hours=3))
    wanted = json.loads(made.body(60))["AcsEventCond"]
    assert wanted | {"searchID": ""} == {
        "searchID": "",
        "searchResultPosition": 60,
        "maxResults": PAGE,
        "major": 0,
        "minor": 0,
        "startTime": (SINCE - MARGIN).isoformat(),
        "endTime": (SINCE + timedelta(hours=3) + AHEAD).isoformat(),
        "timeReverseOrder": False,
        "beginSerialNo": 273,
    }


def test_one_search_keeps_its_id_and_another_has_another() -> None:
    first, second = search(1, None, SINCE), search(1, None, SINCE)
    ids = [json.loads(made.body(at))["AcsEventCond"]["searchID"] for made, at in ((first, 0), (first, 30), (second, 0))]
    assert ids[0] == ids[1] != ids[2]


def test_a_box_whose_clock_stands_in_1970_searches_into_the_future_of_the_device() -> None:
    wanted = json.loads(search(1, SINCE, datetime(1970, 1, 1, tzinfo=UTC)).body(0))["AcsEventCond"]
    assert datetime.fromisoformat(wanted["endTime"]) > SINCE + timedelta(days=300)
    assert wanted["endTime"].endswith("+08:00")


def test_firmware_that_knows_no_serial_numbers_is_asked_by_time_alone() -> None:
    wanted = json.loads(search(5, SINCE, SINCE, by_serial=False).body(0))["AcsEventCond"]
    assert not {"beginSerialNo", "timeReverseOrder"} & set(wanted)


def answer(status: str, *entries: Mapping[str, Any], **more: Any) -> Reply:
    found: dict[str, Any] = {"responseStatusStrg": status, "numOfMatches": len(entries), "InfoList": list(entries)}
    return Reply(200, json.dumps({"AcsEvent": found | more}).encode())


def test_pages() -> None:
    one = page("door", answer("MORE", {"serialNo": 1}, {"serialNo": 2}, totalMatches=9))
    assert ([e["serialNo"] for e in one.entries], one.more, one.total) == ([1, 2], True, 9)
    assert page("door", answer("OK", {"serialNo": 3})).more is False
    assert page("door", answer("NO MATCH")).entries == []


def test_more_of_nothing_is_no_more() -> None:
    assert page("door", answer("MORE")).more is False


@pytest.mark.parametrize("entries", [1, 2])
def test_a_page_in_xml(entries: int) -> None:
    infos = "".join(
        f"<Info><serialNo>{n}</serialNo><major>5</major><minor>9</minor></Info>" for n in range(1, entries + 1)
    )
    body = f"<AcsEvent><responseStatusStrg>OK</responseStatusStrg><InfoList>{infos}</InfoList></AcsEvent>"
    found = [of_memory(config(), entry) for entry in page("door", Reply(200, body.encode())).entries]
    assert [(r.serial, r.told[0].reason) for r in found] == [(n, "unknown_credential") for n in range(1, entries + 1)]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(404, b""),
        Reply(403, b'{"statusCode": 4}'),
        Reply(200, b'{"statusCode": 4, "statusString": "Invalid Operation"}'),
        Reply(200, b"<ResponseStatus><statusCode>4</statusCode></ResponseStatus>"),
    ],
)
def test_a_device_without_a_memory(reply: Reply) -> None:
    with pytest.raises(NoMemory):
        page("door", reply)


@pytest.mark.parametrize(
    "body", [b"", b"hello", b"{}", b'{"AcsEvent": 3}', b'{"AcsEvent": {"responseStatusStrg": "FAILED"}}']
)
def test_an_answer_that_is_none(body: bytes) -> None:
    with pytest.raises(BadInput):
        page("door", Reply(200, body))


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_answer_is_a_page_or_refused(body: bytes) -> None:
    try:
        found = page("door", Reply(200, body))
    except (BadInput, NoMemory):
        return
    assert found.total >= 0
