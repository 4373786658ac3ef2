"""ZKTeco without sockets: lines and numbers, what codes mean, which commands are made, what of it is news."""

import asyncio
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from drivers import _zkteco_orders as orders
from drivers._zkteco_config import Config
from drivers._zkteco_desk import BURST, RATE_PER_S, Desk, family, fresh
from drivers._zkteco_doors import Doors
from drivers._zkteco_events import CODES, Told, part_of, states, told_in
from drivers._zkteco_records import (
    card_number,
    credential,
    decode_seconds,
    encode_seconds,
    fields,
    kind_of,
    lines,
    options,
    record,
    stamp,
    text_of,
    whole,
)
from drivers._zkteco_settings import access_settings, attendance_settings, registry_code
from drivers._zone import local_time
from drivers.zkteco import DRIVER, decode
from gateway.driver import Command, Example
from gateway.errors import BadInput, StorageError
from gateway.event import Credential, Phase, Reading
from gateway.taxonomy import DENIALS, TYPES
from tests.fakes import ManualClock, RecordingLink

NOW = "2026-11-23 18:06:19"
FIRST, LAST = datetime.fromisoformat("2000-01-01"), datetime.fromisoformat("2099-12-31")


def config(**more: Any) -> Config:
    base = {"id": "example", "driver": "zkteco", "place": "gate", "listen": "127.0.0.1:8081", "address": "CKJ1"}
    return Config.model_validate(base | more)


def log(event: object, door: object = 1, **more: object) -> str:
    named = {"time": NOW, "eventaddr": door, "event": event, "index": 5} | more
    return "\t".join(f"{name}={value}" for name, value in named.items())


def seen(text: str, table: str = "rtlog", **more: Any) -> list[Reading]:
    return [reading for told in told_in(config(**more), table, text.encode()) for reading in told.readings]


def brief(found: list[Reading]) -> list[tuple[str, str, str | None, object]]:
    return [(r.type, r.phase.value, r.reason, r.part and r.part["address"]) for r in found]


@pytest.mark.parametrize("example", DRIVER.examples, ids=lambda e: e.title)
def test_golden_requests(example: Example) -> None:
    assert tuple(decode(config(**example.config), example.wire)) == example.readings


@pytest.mark.parametrize("wire", [b"", b"GET / HTTP/1.1", b"\x00\xff\r\n\r\n", b"GET / SPDY/1\r\n\r\n"])
def test_what_is_no_request_is_bad_input(wire: bytes) -> None:
    with pytest.raises(BadInput, match="not an HTTP request"):
        decode(config(), wire)


# --- lines and numbers


def test_fields_come_in_any_order_and_with_a_table_in_front() -> None:
    assert fields("transaction cardno=7\tPin=2\t\tx") == {"cardno": "7", "pin": "2"}
    one, other = record(log(3, pin=9)), record("\t".join(reversed(log(3, pin=9).split("\t"))))
    assert one == other is not None


def test_an_option_may_hold_a_comma() -> None:
    told = options("~DeviceName=F20/M,~OEMVendor=ZKTECO CO., LTD.,LockCount=4\r\n")
    assert told == {"DeviceName": "F20/M", "OEMVendor": "ZKTECO CO., LTD.", "LockCount": "4"}


def test_texts_are_utf_8_or_gb_18030_whatever_rubbish_stands_in_them() -> None:
    assert text_of("大门".encode()) == text_of("大门".encode("gb18030")) == "大门"
    assert text_of(b"\xb4\xf3\x00\xff\xff") == "大��"
    assert list(lines(b"a\r\n\r\n b \nc")) == ["a", "b", "c"]


@given(st.datetimes(FIRST, LAST))
def test_the_vendors_seconds_go_there_and_back(moment: datetime) -> None:
    assert decode_seconds(encode_seconds(moment)) == moment.strftime("%Y-%m-%d %H:%M:%S")


def test_the_vendors_seconds_are_those_of_its_document() -> None:
    assert decode_seconds(583512660) == "2018-02-27 14:51:00"  # the document's own example
    assert local_time(decode_seconds(30 * 86400 + 31 * 86400 * 1), ["%Y-%m-%d %H:%M:%S"], "+08:00") is None  # 31 Feb


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("123456789", 123456789),
        ("75BCD15", 123456789),
        ("[15CD5B07]", 123456789),
        ("", None),
        ("x", None),
        ("[]", None),
    ],
)
def test_card_numbers(text: str, number: int | None) -> None:
    assert card_number(text) == number


@pytest.mark.parametrize(
    ("verify", "kind"),
    [
        ("15", "face"),
        ("1", "fingerprint"),
        ("3", "pin"),
        ("4", "card"),
        ("21", "vein"),
        ("25", "palm"),
        ("0000000000000010", "face"),
        ("0000000000010000", "fingerprint"),
        ("0000100000000000", "card"),
        ("0000000000000000", "card"),
        ("", "card"),
        ("999", "card"),
    ],
)
def test_how_somebody_proved_who_they_are(verify: str, kind: str) -> None:
    assert kind_of(verify) == kind


def test_whom_a_record_is_about() -> None:
    assert credential("0", "0", "200") is None
    assert credential("7", "0", "15") == Credential("zkteco-user", 0, 7, "face")
    assert credential("7", "99", "4", "12") == Credential("zkteco-card", 12, 99)
    text = credential("A-17", "0", "1")
    assert text is not None
    assert (text.format, text.number) == ("zkteco-user-text", int.from_bytes(b"A-17"))


@pytest.mark.parametrize(("text", "number"), [("7", 7), ("", None), ("-1", None), ("７", None), ("9" * 30, None)])
def test_whole_numbers(text: str, number: int | None) -> None:
    assert whole(text) == number


# --- what codes mean


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_of_the_table_is_an_event_that_may_be_told(code: int) -> None:
    row = CODES[code]
    assert row.phase in TYPES[row.type].phases
    assert row.type != "access.denied" or row.reason in DENIALS
    assert brief(seen(log(code)))[0][:3] == (row.type, row.phase.value, row.reason)


def test_a_closed_door_ends_three_conditions() -> None:
    assert brief(seen(log(201, door=2), doors=4)) == [
        (type, "clear", None, "door-2") for type in ("door.held", "door.forced", "door.open")
    ]


def test_the_only_door_of_a_terminal_is_the_terminal() -> None:
    assert part_of(config(), "door", 1) is None
    assert part_of(config(), "door", 2) == {"address": "door-2", "point": 2}
    assert part_of(config(doors=2), "door", 1) == {"address": "door-1", "point": 1}


def test_who_leaves_is_told_so() -> None:
    assert brief(seen(log(0, inoutstatus=1)))[0][2] == "egress"
    assert brief(seen(log(27, inoutstatus=1)))[0][2] == "unknown_credential"


def test_a_cancelled_alarm_ends_what_a_person_can_end() -> None:
    found = brief(seen(log(7, door=0), doors=2))
    assert ("door.forced", "clear", None, "door-2") in found
    assert ("device.fault", "clear", None, "line-1") in found
    assert found[-1][:3] == ("device.unmapped", "pulse", "alarms-cancelled")
    assert not any(type == "door.open" for type, *_ in found)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (221, [("safety.panic", "raise")]),
        (220, [("safety.panic", "clear")]),
        (226, [("safety.panic", "raise")]),
        (225, [("device.fault", "clear"), ("safety.panic", "clear")]),
    ],
)
def test_an_input_means_what_the_configuration_says(code: int, expected: list[tuple[str, str]]) -> None:
    found = seen(log(code, door=3), inputs={"3": {"type": "safety.panic", "name": "值班室"}})
    assert [(r.type, r.phase.value) for r in found] == expected
    assert found[-1].part == {"address": "input-3", "point": 3, "text": "值班室"}


def test_an_input_may_be_wired_the_other_way_or_be_a_happening() -> None:
    fail_safe = {"1": {"type": "device.fault", "active": "open"}}
    assert [r.phase for r in seen(log(220), inputs=fail_safe)] == [Phase.RAISE]
    assert [r.phase for r in seen(log(221), inputs=fail_safe)] == [Phase.CLEAR]
    button = {"1": {"type": "access.granted"}}
    assert [r.type for r in seen(log(221) + "\n" + log(220), inputs=button)] == ["access.granted"]


def test_an_input_that_nobody_has_described_is_told() -> None:
    assert brief(seen(log(221, door=2))) == [("device.unmapped", "pulse", "input-short", "input-2")]


def test_the_operators_meaning_of_a_code_counts() -> None:
    mine = {"26": "access.granted", "244": {"type": "fire.supervisory", "phase": "raise", "reason": "input"}}
    assert brief(seen(log(26), events=mine)) == [("access.granted", "pulse", None, None)]
    assert brief(seen(log(244), events=mine)) == [("fire.supervisory", "raise", "input", None)]


def test_unknown_numbers_go_through_and_noise_does_not() -> None:
    assert seen(log(99))[0].raw == {"event": 99, "door": 1, "index": 5}
    assert brief(seen(log("x"))) == [("device.unmapped", "pulse", None, None)]
    assert seen(log(255)) == []


def test_what_cannot_be_read_is_told_without_a_word_of_it() -> None:
    (found,) = seen("张三 13800138000")
    assert (found.type, found.reason) == ("device.unmapped", "unreadable")
    assert "张三" not in json.dumps(dict(found.raw), ensure_ascii=False)
    (short,) = seen("12\t" + NOW, "ATTLOG")
    assert short.reason == "unreadable"


def test_no_name_no_number_and_no_temperature_leaves_in_clear() -> None:
    (found,) = seen(log(0, pin=4711, cardno=123456, temperature="36.6", name="x"))
    assert set(found.raw) == {"event", "door", "index"}


STATE = "time=x\tsensor={}\trelay=00\talarm={}"


def test_two_bits_a_door_are_its_sensor() -> None:
    found = states(config(doors=6), fields(STATE.format("9804", "")))  # none, open, closed, open; none, closed
    expected = [(2, "raise"), (3, "clear"), (4, "raise"), (6, "clear")]
    assert [(r.part and r.part["point"], r.phase.value) for r in found] == expected


def test_eight_bits_a_door_are_its_alarms() -> None:
    found = brief(list(states(config(), fields(STATE.format("01", "b300000000000000")))))
    assert found == [
        ("door.open", "clear", None, None),
        ("door.forced", "raise", None, None),
        ("device.tamper", "raise", None, None),
        ("door.held", "raise", None, None),
        ("device.tamper", "raise", None, "reader-1"),
        ("device.power_fault", "raise", "mains", None),
    ]


@pytest.mark.parametrize("text", ["", "sensor=", "sensor=zz\talarm=zz", "sensor=0", "alarm=0"])
def test_a_state_that_says_nothing_says_nothing(text: str) -> None:
    assert list(states(config(), fields(text))) == []


def test_fifteen_digits_of_alarms_are_what_one_firmware_sends() -> None:
    assert ("device.tamper", "raise", None, None) in brief(seen(STATE.format("00", "020000000000000"), "rtstate"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("OPLOG 3\t0\t" + NOW + "\t54\t0\t0\t0", ("door.forced", "raise")),
        ("OPLOG 3\t0\t" + NOW + "\t0\t55\t0\t0", ("device.tamper", "raise")),
        ("OPLOG 32\t0\t" + NOW + "\t7\t0", ("access.duress", "pulse")),
        ("OPLOG 3\t0\t" + NOW + "\t77\t0", ("device.unmapped", "pulse")),
        ("OPLOG 4\t14\t" + NOW + "\t0\t0", None),
        ("OPLOG 3", None),
        ("USER PIN=7\tName=张三", None),
    ],
)
def test_the_operation_log_tells_alarms(line: str, expected: tuple[str, str] | None) -> None:
    found = seen(line, "OPERLOG")
    assert [(r.type, r.phase.value) for r in found] == ([expected] if expected else [])


@given(st.binary(max_size=300), st.sampled_from(["rtlog", "rtstate", "ATTLOG", "OPERLOG", "transaction", "user"]))
def test_whatever_comes_is_read(body: bytes, table: str) -> None:
    for told in told_in(config(doors=4), table, body):
        for reading in told.readings:
            assert reading.phase in TYPES[reading.type].phases
            json.dumps(dict(reading.raw))


@given(st.lists(st.sampled_from([f"{n}={v}" for n in ("event", "time", "index", "sensor") for v in ("", "1", NOW)])))
def test_a_record_is_one_record_however_it_is_put_together(items: list[str]) -> None:
    found = record("\t".join(items))
    assert found is None or (found.event, found.time) == (fields("\t".join(items))["event"], found.time)


def test_a_stamp_needs_four_fields() -> None:
    assert stamp("7\t" + NOW + "\t0\t1\tx") is not None
    assert stamp("\t\t\t") is None


# --- what is news


def test_ends_without_a_beginning_are_no_news_and_order_counts() -> None:
    opened, closed = (Reading("d", "door.open", phase) for phase in (Phase.RAISE, Phase.CLEAR))
    assert fresh([closed], set(), state=False) == []
    assert fresh([opened, closed, closed], set(), state=False) == [opened, closed]
    held: set[tuple[str, str | None]] = {("door.open", None)}
    assert fresh([opened], held, state=True) == []
    assert fresh([opened], held, state=False) == [opened]


def test_doors_that_are_devices_of_their_own() -> None:
    own, parts = family([config(), config(id="door-b3", part="door-3")])
    assert (own.id, own.doors, parts) == ("example", 3, {"door-3": "door-b3"})


def told(code: int, index: int = 1, **more: Any) -> list[Told]:
    return list(told_in(config(**more), "rtlog", log(code, index=index).encode()))


async def test_a_record_is_told_once_also_after_a_restart() -> None:
    link = RecordingLink()
    await Desk([config()], link).take(told(27) + told(27))
    await Desk([config()], link).take(told(27))
    assert [r.type for r in link.readings] == ["access.denied"]
    await Desk([config()], link).take(told(27, index=2))
    assert len(link.readings) == 2


async def test_what_was_not_stored_comes_again() -> None:
    link = RecordingLink(failing=1)
    desk = Desk([config()], link)
    with pytest.raises(StorageError):
        await desk.take(told(102))
    await desk.take(told(102))
    assert [r.type for r in link.readings] == ["door.forced"]


@pytest.mark.parametrize("kept", [b"\xff no JSON", b"[]", b'{"records": 7}'])
async def test_a_damaged_memory_costs_no_event(kept: bytes) -> None:
    link = RecordingLink(secrets={"zkteco-example": kept})
    await Desk([config()], link).take(told(27))
    assert len(link.readings) == 1


async def test_a_repeated_state_is_told_once() -> None:
    link = RecordingLink()
    desk = Desk([config()], link)
    for _ in range(3):
        await desk.take(told_in(config(), "rtstate", STATE.format("02", "00" * 8).encode()))
    assert brief(link.readings) == [("door.open", "raise", None, None)]


async def test_a_door_of_its_own_gets_its_own_events() -> None:
    link = RecordingLink()
    desk = Desk([config(), config(id="door-b3", part="door-2")], link)
    await desk.take(told_in(desk.config, "rtlog", (log(200, door=2) + "\n" + log(200, door=1)).encode()))
    assert [(r.device, r.part) for r in link.readings] == [
        ("door-b3", {"address": "door-2", "point": 2}),
        ("example", {"address": "door-1", "point": 1}),
    ]


async def test_who_asks_too_often_waits() -> None:
    clock = ManualClock()
    desk = Desk([config()], RecordingLink(clock=clock))
    for _ in range(int(BURST)):
        await desk.pace()
    waiting = asyncio.ensure_future(desk.pace())
    done, _ = await asyncio.wait({waiting}, timeout=0.01)
    assert not done
    clock.advance(1 / RATE_PER_S)
    await waiting


async def test_a_sentence_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    link = RecordingLink(failing=2)
    desk = Desk([config()], link)
    desk.keep()
    desk.keep()
    assert [record.getMessage() for record in caplog.records] == ["example: the disk is full"]


# --- commands


def order(action: str, door: int = 1, down: bool = False, **args: Any) -> str:
    return orders.door_order(action, args, door, 5.0, down)


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (order("unlock"), "01010105"),
        (order("unlock", door=12, seconds=30), "010C011E"),
        (order("release"), "010101FF"),
        (order("lock"), "01010100"),
        (order("lockdown", door=2), "06020100"),
        (order("lock", door=2, down=True), "06020000"),
        (orders.output_order({"number": 2, "state": True, "seconds": 3}), "01020203"),
        (orders.output_order({"number": 2, "state": "on"}), "010202FF"),
        (orders.output_order({"number": 2, "state": False}), "01020200"),
    ],
)
def test_commands_are_four_bytes(made: str, text: str) -> None:
    assert made == f"CONTROL DEVICE {text}"


@pytest.mark.parametrize(
    ("action", "args", "said"),
    [
        ("unlock", {"seconds": 0}, "seconds is 1 to 254"),
        ("unlock", {"seconds": 255}, "seconds is 1 to 254"),
        ("unlock", {"seconds": True}, "seconds is 1 to 254"),
        ("lock", {"seconds": 1}, "lock takes no seconds"),
        ("output", {"state": True}, "output takes number"),
        ("output", {"number": 17, "state": True}, "output takes number"),
        ("output", {"number": 1, "state": "open"}, "state is true"),
        ("output", {"number": 1, "state": False, "seconds": 1}, "seconds goes with"),
    ],
)
def test_arguments_that_do_not_fit(action: str, args: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        orders.output_order(args) if action == "output" else order(action, **args)


@pytest.mark.parametrize(("action", "args"), [("lock", {}), ("unlock", {"seconds": 3})])
def test_an_attendance_terminal_can_only_open(action: str, args: dict[str, Any]) -> None:
    assert orders.attendance_order("unlock", {}) == "AC_UNLOCK"
    with pytest.raises(ValueError, match="attendance terminal"):
        orders.attendance_order(action, args)


def test_results_come_one_a_line() -> None:
    text = "ID=7&Return=0&CMD=CONTROL DEVICE\nID=8&return=-13&CMD=DATA\nID=x&Return=0\nID=9&Return=no\nrubbish"
    assert orders.results(text) == [(7, 0), (8, -13)]


@given(st.text(max_size=100))
def test_any_result_is_read(text: str) -> None:
    assert all(isinstance(number, int) for number, _ in orders.results(text))


def test_the_form_for_main_controllers() -> None:
    made = orders.described_form("CKJ1")(295, "CONTROL DEVICE 01010105")
    assert made == "DataType=1,SN=CKJ1,Priority=0,CmdID=295,CmdDesc=C:295:CONTROL DEVICE 01010105"


async def answered(queue: orders.Orders, returned: int) -> Any:
    asked = asyncio.ensure_future(queue.carry_out("CONTROL DEVICE 01010105", 10.0))
    while (fetched := queue.fetch()) is None:
        await asyncio.wait({asked}, timeout=0.001)
    queue.done(fetched[0], orders.WAITS)
    queue.done(fetched[0], returned)
    return await asked


async def test_a_command_is_handed_out_once_and_answered() -> None:
    queue = orders.Orders(ManualClock())
    assert (await answered(queue, 0)).code == "ok"
    refused = await answered(queue, -13)
    assert (refused.code, refused.message) == ("device-refused", "it does not know this command")
    assert (await answered(queue, -999)).message == "it answers -999"
    assert queue.fetch() is None
    queue.done(1, 0)  # nobody waits for it


async def test_a_command_that_is_not_fetched_in_time_is_withdrawn() -> None:
    clock = ManualClock()
    queue = orders.Orders(clock)
    waiting = [asyncio.ensure_future(queue.carry_out(str(n), 10.0)) for n in range(orders.MOST_WAITING + 1)]
    busy = await waiting[-1]
    assert busy.code == "busy"
    assert (queue.fetch() or (0, ""))[1] == "0"
    clock.advance(10.0)
    outcomes = await asyncio.gather(*waiting[:-1])
    assert {outcome.code for outcome in outcomes} == {"timeout"}
    assert ["has fetched" in outcome.message for outcome in outcomes] == [True] + [False] * 7
    assert queue.fetch() is None


async def test_a_controller_with_many_doors_is_asked_which() -> None:
    link = RecordingLink()
    outcome = await Doors(Desk([config(doors=4)], link), link).command(None, Command("c-1", "example", "unlock"))
    assert outcome.code == "bad-arguments"
    assert "part: door-1" in outcome.message


async def test_a_device_that_has_gone_takes_no_command() -> None:
    clock = ManualClock()
    link = RecordingLink(clock=clock)
    doors = Doors(Desk([config()], link), link)
    clock.advance(200.0)
    assert (await doors.command(1, Command("c-1", "example", "unlock"))).code == "device-offline"


# --- the configuration


@pytest.mark.parametrize(
    ("allow", "peer", "allowed"),
    [
        ((), "192.0.2.7", True),
        (("192.0.2.7",), "192.0.2.7", True),
        (("192.0.2.7",), "192.0.2.8", False),
        (("192.0.2.0/24", "2001:db8::/32"), "2001:db8::1", True),
        (("192.0.2.0/24",), "::ffff:192.0.2.9", True),
        (("192.0.2.0/24",), "", False),
    ],
)
def test_where_a_device_may_come_from(allow: tuple[str, ...], peer: str, allowed: bool) -> None:
    assert config(allow=allow).allows(peer) is allowed


def test_without_an_address_it_is_said_that_anybody_can_pass_for_it() -> None:
    ((key, text),) = config().advice()
    assert key == "address"
    assert "allow:" in text.zh
    assert config(allow=["192.0.2.7"]).advice() == ()


def test_the_guide_shows_devices_that_are_right() -> None:
    page = (Path(__file__).parents[2] / "docs" / "drivers" / "zkteco.md").read_text("utf-8")
    (shown,) = (YAML(typ="safe", pure=True).load(block) for block in re.findall("```yaml\n(.*?)```", page, re.DOTALL))
    made = [Config.model_validate(device) for device in shown["devices"]]
    assert family(made[1:])[1] == {"door-1": "door-b3-u1"}
    assert [device.allows("192.0.2.50") for device in made] == [True, False, True]


# --- what a device is told at first


def settings(text: str) -> dict[str, str]:
    """`name=value` lines."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


@pytest.mark.parametrize(("zone", "told"), [("+08:00", "8"), ("-03:00", "-3"), ("+05:30", "330"), ("+00:00", "0")])
def test_zones_are_hours_or_minutes(zone: str, told: str) -> None:
    assert settings(attendance_settings(config(zone=zone)))["TimeZone"] == told


def test_only_events_are_asked_for() -> None:
    attendance, access = settings(attendance_settings(config())), settings(access_settings(config(), registered=False))
    assert attendance["TransFlag"] == "1100000000"  # attendance and operation log; photos and people are 0
    assert (access["TransTables"], access["BioPhotoFun"], access["BioDataFun"]) == ("Transaction", "0", "0")
    assert (attendance["Realtime"], access["Realtime"]) == ("1", "1")


def test_a_registered_device_keeps_its_code_over_a_restart() -> None:
    first, second = (access_settings(config(), registered=True) for _ in range(2))
    assert first == second
    assert settings(first)["RegistryCode"] == registry_code(config()) != registry_code(config(address="CKJ2"))
    assert "registry" not in settings(access_settings(config(), registered=False))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"address": "has space"}, "address"),
        ({"address": ""}, "address"),
        ({"allow": ["gate"]}, "an address or a network is needed"),
        ({"part": "window-1"}, "part"),
        ({"doors": 17}, "doors"),
        ({"open_for": "500ms"}, "open_for is 1s to 254s"),
        ({"zone": "Asia/Shanghai"}, "an offset from UTC"),
        ({"inputs": {"1": {"type": "gateway.action"}}}, "is the gateway's to tell"),
        ({"events": {"26": "door.open"}}, "door.open needs phase"),
        ({"events": {"26": {"type": "door.open", "phase": "pulse"}}}, "door.open needs phase"),
        ({"events": {"26": "dor.open"}}, "did you mean door.open?"),
    ],
)
def test_configurations_that_do_not_fit(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        config(**more)
