"""Bodies that devices post: our own shape, the event shape, mapped ones; and what is wrong with the others."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.webhook import DRIVER, MAX_BODY_BYTES, Config, decode
from gateway.clock import TimeQuality
from gateway.driver import Answer, Example, Line
from gateway.errors import BadInput
from gateway.event import Phase, Reading, Severity, Value
from gateway.normalize import Stamp, Subject, body
from tests.fakes import EPOCH, ManualClock, RecordingLink

TOKEN = "0123456789abcdef"
MAP = {
    "type": {"path": "alarm.kind", "table": {1: "fire.smoke", "hb": None, "true": "video.line_cross"}},
    "phase": {"path": "alarm.on", "table": {1: "raise", 0: "clear", "busy": None}},
    "values": {"temperature": {"path": "list.1.t", "unit": "°C", "scale": 0.1, "offset": -1}},
    "time": "at",
    "reason": {"path": "why", "table": {"x": "expired"}},
    "raw": ["serial"],
}


def config(**more: Any) -> Config:
    base = {"id": "example", "driver": "webhook", "place": "gate", "token": TOKEN}
    return Config.model_validate(base | more)


def read(given: Any, **more: Any) -> list[Reading]:
    return list(decode(config(**more), json.dumps(given).encode()))


@pytest.mark.parametrize("example", DRIVER.examples, ids=lambda e: e.title)
def test_golden_bodies(example: Example) -> None:
    assert tuple(decode(config(**example.config), example.wire)) == example.readings


def test_every_field_of_our_own_shape() -> None:
    (reading,) = read(
        {
            "type": "fire.smoke",
            "phase": "still",
            "values": {"a": 1, "b": {"value": True}, "c": {"value": "x", "unit": "y"}},
            "time": "2026-11-23T18:06:19+08:00",
            "test": True,
            "reason": "co",
            "part": {"address": "0A000200", "loop": 1},
            "raw": {"n": [1, {"m": None}]},
        }
    )
    assert reading == Reading(
        "example",
        "fire.smoke",
        Phase.STILL,
        values={"a": Value(1), "b": Value(True), "c": Value("x", "y")},
        part={"address": "0A000200", "loop": 1},
        device_time=datetime.fromisoformat("2026-11-23T18:06:19+08:00"),
        test=True,
        reason="co",
        raw={"n": [1, {"m": None}]},
    )


def test_a_happening_needs_no_phase() -> None:
    assert read({"type": "video.line_cross"})[0].phase is Phase.PULSE


def test_an_event_as_the_gateway_writes_it_is_taken() -> None:
    given = {
        "specversion": "1.0", "id": "1", "source": "/x", "subject": "y", "severity": "info", "stream": "s",
        "type": "door.open", "phase": "raise", "time": "2026-11-23T10:06:19Z",
        "data": {"place": {"path": "b3"}, "codes": {}, "values": {"v": 2}, "raw": {"r": 1}, "test": False},
    }  # fmt: skip
    (reading,) = read(given)
    assert (reading.type, reading.phase, reading.values, reading.raw) == (
        "door.open", Phase.RAISE, {"v": Value(2)}, {"r": 1},
    )  # fmt: skip


def test_a_list_is_taken_whole_or_not_at_all() -> None:
    assert len(read([{"type": "video.line_cross"}] * 100)) == 100
    with pytest.raises(BadInput, match=r"\[1\]\.type"):
        read([{"type": "video.line_cross"}, {"type": "x"}])


def test_a_clock_of_nonsense_is_left_out() -> None:
    for time in ("0000-00-00", "2026-11-23T10:06:19", "9999-12-31T23:59:59-23:59", ""):
        assert read({"type": "video.line_cross", "time": time})[0].device_time is None


HAPPENED = {"type": "video.line_cross"}


@pytest.mark.parametrize(
    ("given", "where", "says"),
    [
        ([], "body", "1 to 100"),
        ([HAPPENED] * 101, "body", "1 to 100"),
        ("x", "body", "object"),
        ([1], "[0]", "object"),
        ({}, "type", "null is no event type"),
        ({"type": "fire.smok"}, "type", "did you mean fire.smoke"),
        ({"type": "gateway.data_lost"}, "type", "no event type"),
        ({"type": "operator.ack"}, "type", "no event type"),
        ({"type": ["fire.smoke"]}, "type", "no event type"),
        ({"type": "fire.smoke"}, "phase", "raise, clear, still"),
        ({"type": "fire.smoke", "phase": "pulse"}, "phase", "raise, clear, still"),
        ({"type": "fire.smoke", "phase": {}}, "phase", "raise"),
        (HAPPENED | {"phase": "raise"}, "phase", "pulse"),
        (HAPPENED | {"value": 1}, "value", "did you mean values?"),
        (HAPPENED | {"values": 1}, "values", "object"),
        (HAPPENED | {"values": {"a": None}}, "values.a", "number"),
        (HAPPENED | {"values": {"a": {"value": 1, "unit": 2}}}, "values.a", "number"),
        (HAPPENED | {"values": {"a": 2**53 + 1}}, "values.a", "number"),
        (HAPPENED | {"values": {"": 1}}, "values.", "plain name"),
        (HAPPENED | {"values": {"a": "x" * 300}}, "values.a", "number"),
        (HAPPENED | {"values": {f"v{n}": n for n in range(65)}}, "values", "64"),
        (HAPPENED | {"time": 1}, "time", "text"),
        (HAPPENED | {"test": 1}, "test", "true or false"),
        (HAPPENED | {"reason": ""}, "reason", "text"),
        (HAPPENED | {"part": {"adress": "1"}}, "part.adress", "known: system"),
        (HAPPENED | {"part": {"system": 256}}, "part.system", "known"),
        (HAPPENED | {"part": {"loop": True}}, "part.loop", "known"),
        (HAPPENED | {"raw": []}, "raw", "object"),
        (HAPPENED | {"raw": {"x": "y" * 40_000}}, "raw", "32768 bytes"),
        (HAPPENED | {"raw": {"x": json.loads("[" * 40 + "]" * 40)}}, "raw", "16 levels"),
        ({"specversion": "1.0", "type": "fire.smoke"}, "phase", "raise"),
        (HAPPENED | {"data": {"values": 1}}, "values", "object"),
    ],
)
def test_what_is_wrong_is_said_with_its_field(given: Any, where: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        read(given)
    assert caught.value.where == where
    assert says in str(caught.value)
    assert caught.value.what.zh
    assert caught.value.do


@pytest.mark.parametrize(
    "wire", [b"", b"{", b"\xff", b"NaN", b'{"a": 1e999}', b'"\\ud800"', b"[" * 100_000, b"1" * 5000, b"x" * 300_000]
)
def test_what_is_no_json_is_bad_input(wire: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        decode(config(), wire)
    assert caught.value.where == "body"


# --- mapped ---------------------------------------------------------------------------------------------------------


def mapped(given: Any) -> list[Reading]:
    return read(given, map=MAP)


def test_a_mapped_body() -> None:
    (reading,) = mapped(
        {
            "alarm": {"kind": 1, "on": 0},
            "list": [0, {"t": "215"}],
            "at": "2026-11-23T18:06:19+08:00",
            "why": "x",
            "serial": "S",
        }
    )
    assert reading == Reading(
        "example",
        "fire.smoke",
        Phase.CLEAR,
        values={"temperature": Value(20.5, "°C")},
        device_time=datetime(2026, 11, 23, 10, 6, 19, tzinfo=UTC),
        reason="expired",
        raw={"serial": "S"},
    )


@pytest.mark.parametrize("given", [{"alarm": {"kind": "hb"}}, {"alarm": {"kind": 1, "on": "busy"}}])
def test_what_the_table_sets_to_nothing_is_ignored(given: Any) -> None:
    assert mapped(given) == []


def test_a_happening_is_mapped_without_a_phase() -> None:
    assert mapped({"alarm": {"kind": True}})[0].phase is Phase.PULSE


@pytest.mark.parametrize(
    ("given", "raw"),
    [
        ({"alarm": {"kind": 2, "on": 1}}, {"alarm.kind": 2, "alarm.on": 1}),
        ({"alarm": {"kind": 1, "on": 7}}, {"alarm.kind": 1, "alarm.on": 7}),
        ({"alarm": {"kind": "1 ", "on": 1}}, {"alarm.kind": "1 ", "alarm.on": 1}),
        ({"serial": {"a": "x" * 300}}, {"serial": '{"a": "' + "x" * 249}),
        ({}, {}),
    ],
)
def test_what_the_table_does_not_know_passes_as_unmapped(given: Any, raw: dict[str, Any]) -> None:
    (reading,) = mapped(given)
    assert (reading.type, reading.phase, reading.raw) == ("device.unmapped", Phase.PULSE, raw)


@pytest.mark.parametrize("at", [True, "warm", None, [], "nan", 10**400])
def test_a_measure_that_is_no_number_is_left_out(at: Any) -> None:
    (reading,) = read({"t": at}, map={"type": "telemetry.sample", "values": {"t": {"path": "t"}}})
    assert reading.values == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "fire.smok", "phase": "raise"},
        {"type": "fire.smoke"},
        {"type": "operator.ack"},
        {"type": "fire.smoke", "phase": "begin"},
        {"type": {"table": {}}},
        {"type": {"path": "a", "value": "fire.smoke"}, "phase": "raise"},
        {"type": {"path": "a..b"}},
        {"type": {"path": "a b"}},
        {"type": "telemetry.sample", "values": {"t": {"path": "t", "expression": "t*2"}}},
    ],
)
def test_a_map_that_cannot_work_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="validation error"):
        config(map=wrong)


def test_a_short_token_is_taken_with_advice_and_never_shown() -> None:
    ((key, text),) = config(token="short").advice()
    assert key == "token"
    assert "16" in text.en
    assert "16" in text.zh
    assert config().advice() == ()
    assert "short" not in repr(config(token="short"))
    with pytest.raises(ValueError, match="token"):
        config(token=" ")


# --- the intake -----------------------------------------------------------------------------------------------------


async def answered(wire: bytes, content_type: str = "application/json", **more: Any) -> tuple[Answer, RecordingLink]:
    link = RecordingLink()
    task = asyncio.ensure_future(DRIVER.run(Line("example", None, (config(**more),)), link))
    await link.until(lambda: link.intakes)
    try:
        return await link.post("example", TOKEN, wire, content_type), link
    finally:
        task.cancel()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["raise", "pulse"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
FIELDS = ("phase", "values", "time", "test", "reason", "part", "raw", "data", "specversion", "alarm", "list")
LIKELY = st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=5).flatmap(
    lambda more: st.sampled_from(["fire.smoke", "video.line_cross"]).map(lambda type: {"type": type} | more)
)


@given(JSON | LIKELY | st.lists(LIKELY, max_size=3), st.sampled_from([None, MAP]))
def test_random_json_is_taken_or_refused_and_what_is_taken_can_be_stored(given: Any, map: Any) -> None:
    answer, link = asyncio.run(answered(json.dumps(given).encode(), map=map))
    assert answer.status in (200, 400)
    subject, stamp = Subject("example", "/x"), Stamp("id", EPOCH, TimeQuality.SYNCED, Phase.PULSE, Severity.INFO, None)
    for reading in link.readings:
        json.loads(body(subject, reading, stamp))
    json.dumps(dict(answer.body), allow_nan=False).encode()


@given(st.binary(max_size=64))
def test_random_bytes_are_refused(wire: bytes) -> None:
    answer, _ = asyncio.run(answered(wire))
    assert answer.status == 400


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("", 200),
        ("application/json; charset=utf-8", 200),
        ("application/cloudevents+json", 200),
        ("application/cloudevents-batch+json", 200),
        ("text/plain", 200),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/xml", 415),
    ],
)
async def test_content_types(content_type: str, status: int) -> None:
    answer, _ = await answered(json.dumps(HAPPENED).encode(), content_type)
    assert answer.status == status


async def test_answers_count_and_name_what_was_accepted() -> None:
    one, _ = await answered(json.dumps(HAPPENED).encode())
    assert one == Answer(200, {"accepted": 1, "ids": ["id-1"], "id": "id-1"})
    two, _ = await answered(json.dumps([HAPPENED] * 2).encode())
    assert two == Answer(200, {"accepted": 2, "ids": ["id-1", "id-2"]})
    none, link = await answered(b'{"alarm": {"kind": "hb"}}', map=MAP)
    assert none == Answer(200, {"accepted": 0, "ids": []})
    assert link.seen_count == {"example": 1}


async def test_too_large_is_told_apart() -> None:
    answer, _ = await answered(b" " * (MAX_BODY_BYTES + 1))
    assert answer.status == 413


async def test_silence_is_told_once_and_ends_with_the_next_post() -> None:
    clock = ManualClock()
    link = RecordingLink(clock=clock)
    task = asyncio.ensure_future(DRIVER.run(Line("example", None, (config(offline_after="1m"),)), link))
    await link.until(lambda: link.intakes)
    clock.advance(50)
    await link.post("example", TOKEN, json.dumps(HAPPENED).encode())
    clock.advance(59)
    assert link.offline == {}
    clock.advance(1)
    await link.until(lambda: link.offline)
    assert link.offline == {"example": "silent"}
    clock.advance(600)
    await link.post("example", TOKEN, json.dumps(HAPPENED).encode())
    assert link.presence == [("example", "seen"), ("example", "silent"), ("example", "seen")]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert link.intakes == {}


async def test_fields_that_mean_nothing_here_are_named_in_the_answer() -> None:
    body = json.dumps([HAPPENED | {"id": "cam-17", "place": "gate"}, {"specversion": "1.0", "more": 1, **HAPPENED}])
    answer, link = await answered(body.encode())
    assert answer.status == 200
    assert answer.body["ignored"] == ["id", "place"]
    assert [reading.raw for reading in link.readings] == [{}, {}]
    answer, _ = await answered(json.dumps(HAPPENED).encode())
    assert "ignored" not in answer.body
