"""OSDP without a line: packets, keys, what reports mean, and golden packets."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers import _osdp_wire as wire
from drivers import osdp
from drivers._osdp_config import Config, Door
from drivers._osdp_door import Conditions, Keypad, Repeats, Watch
from drivers._wiegand import encode
from gateway.driver import Example
from gateway.errors import BadInput
from gateway.event import Credential, Phase, Reading

CLEAR: dict[str, Any] = {"driver": "osdp", "place": "gate", "bus": "line", "address": 0, "insecure": True}
VECTORS = [  # SIA OSDP Annex E and traces of real readers
    "53 7F 0D 00 04 6E 00 80 25 00 00 6E 38",
    "53 00 09 00 04 61 00 C0 66",
    "53 00 08 00 00 61 00 44",
    "53 7F 0C 00 00 6E 00 80 25 00 00 0F",
    "53 80 14 00 04 45 16 42 68 00 0C 4C 8F BC F4 02 0A 02 C6 4C",
    "53 00 08 00 06 60 89 CC",
    "53 80 08 00 06 40 3B CA",
]


def config(**more: Any) -> Config:
    return Config.model_validate({"id": "example"} | CLEAR | more)


def packet(code: int, data: bytes, address: int = wire.REPLY, control: int = wire.CRC | 2) -> bytes:
    body = bytes((wire.SOM, address)) + (8 + len(data)).to_bytes(2, "little") + bytes((control, code)) + data
    return body + wire.crc16(body).to_bytes(2, "little")


@pytest.mark.parametrize("example", osdp.DRIVER.examples, ids=lambda example: example.title)
def test_golden_packets(example: Example) -> None:
    assert tuple(osdp.decode(config(**example.config), example.wire)) == example.readings


@pytest.mark.parametrize("vector", VECTORS)
def test_published_packets_are_sound(vector: str) -> None:
    assert list(wire.packets(b"\xff" + bytes.fromhex(vector))) == [bytes.fromhex(vector)]


@given(st.binary(max_size=40), st.binary(max_size=30), st.binary(max_size=40))
def test_a_packet_is_found_in_noise(before: bytes, data: bytes, after: bytes) -> None:
    sent = packet(wire.RAW, data)
    assert sent in wire.packets(before.replace(b"\x53", b"\x00") + sent + after)


@given(st.binary(max_size=30), st.data())
def test_an_answer_with_one_flipped_bit_is_passed_over(data: bytes, draw: st.DataObject) -> None:
    command, sent = packet(0x60, b"", address=0), packet(wire.KEYPAD, data)
    assert wire.reply_to(command, sent) == sent
    bit = draw.draw(st.integers(0, 8 * len(sent) - 1))
    flipped = bytearray(sent)
    flipped[bit // 8] ^= 1 << bit % 8
    assert wire.reply_to(command, bytes(flipped)) is None


@given(st.binary(max_size=200))
def test_whatever_is_heard_is_read_or_passed_over(heard: bytes) -> None:
    for found in wire.packets(heard):
        assert wire.sound(found)


def test_a_reply_must_match_address_and_sequence() -> None:
    command = b"\xff" + packet(0x60, b"", address=1, control=wire.CRC | 2)
    right = packet(wire.ACK, b"", address=0x81)
    others = [packet(wire.ACK, b"", address=0x82), packet(wire.ACK, b"", address=0x81, control=wire.CRC | 1)]
    assert wire.reply_to(command, command + others[0] + others[1]) is None
    assert wire.reply_to(command, command + others[0] + others[1] + right) == right
    busy = packet(wire.BUSY, b"", address=0x81, control=wire.CRC)
    assert wire.reply_to(command, busy) == busy


@pytest.mark.parametrize(
    "frame",
    [b"", b"\x53\x80\x08\x00\x06\x40\x3b\xcb", packet(wire.RAW, b"\x00"), packet(wire.LSTATR, b"\x00")],
)
def test_what_is_no_reply_is_bad_input(frame: bytes) -> None:
    with pytest.raises(BadInput):
        osdp.decode(config(), frame)


def told(frame: bytes, **more: Any) -> list[tuple[str, Phase, str | None]]:
    return [(r.type, r.phase, r.reason) for r in osdp.decode(config(**more), frame)]


def test_what_reports_mean() -> None:
    assert told(packet(wire.LSTATR, b"\x00\x01")) == [
        ("device.tamper", Phase.CLEAR, None),
        ("device.power_fault", Phase.RAISE, None),
    ]
    assert told(packet(wire.RSTATR, b"\x01")) == [("device.tamper", Phase.RAISE, None)]
    assert told(packet(wire.ISTATR, b"\x00\x01")) == []
    assert told(packet(wire.ISTATR, b"\x00\x01"), door={"contact": 1}) == [("door.open", Phase.RAISE, None)]
    inverted = {"contact": 1, "contact_open": "inactive"}
    assert told(packet(wire.ISTATR, b"\x00\x01"), door=inverted) == [("door.open", Phase.CLEAR, None)]
    assert told(packet(0x51, b"\x00\x00")) == []


def test_a_parity_error_says_how_many_bits_and_no_number() -> None:
    count, data = encode(Credential("wiegand-26", 90, 324))
    frame = packet(wire.RAW, b"\x00\x01" + count.to_bytes(2, "little") + bytes((data[0] ^ 0x80, *data[1:])))
    expected = Reading("example", "device.unmapped", Phase.PULSE, reason="read-error", raw={"reader": 0, "bits": 26})
    assert list(osdp.decode(config(), frame)) == [expected]


@pytest.mark.parametrize(
    ("keys", "pins"),
    [
        ("1234#", ["1234"]),
        ("0123#", ["0123"]),
        ("12*34#5#", ["34", "5"]),
        ("##1", []),
        ("1234567890123#", []),
    ],
)
def test_keys_become_pins(keys: str, pins: list[str]) -> None:
    expected = [Credential("pin", len(pin), int(pin), kind="pin") for pin in pins]
    assert Keypad(10.0).feed(keys, 0.0) == expected


def test_keys_are_forgotten_after_a_pause() -> None:
    keypad = Keypad(10.0)
    assert keypad.feed("12", 0.0) + keypad.feed("34", 9.0) + keypad.feed("5", 19.5) == []
    assert keypad.feed("#", 20.0) == [Credential("pin", 1, 5, kind="pin")]


def test_leading_zeros_make_another_pin() -> None:
    pins = Keypad(10.0).feed("0123#123#", 0.0)
    assert len({pin.text() for pin in pins}) == 2


def test_repeats_are_of_the_same_card_at_the_same_reader() -> None:
    repeats, card = Repeats(1.0), wire.Card(0, 26, b"abcd")
    seen = [repeats.again(card, 0.0), repeats.again(wire.Card(1, 26, b"abcd"), 0.1), repeats.again(card, 1.0)]
    assert (seen, repeats.again(card, 2.1)) == ([False, False, True], False)


def watch(**door: Any) -> tuple[Watch, Conditions]:
    conditions = Conditions("door", ())
    return Watch(Door.model_validate({"contact": 0} | door), conditions), conditions


OPEN, SHUT = wire.Inputs((True,)), wire.Inputs((False,))


def types(readings: list[Reading]) -> list[str]:
    return [f"{reading.type} {reading.phase}" for reading in readings]


def test_a_door_found_open_was_not_forced() -> None:
    door, _ = watch()
    assert types(door.contact(OPEN, 0.0)) == ["door.open raise"]


def test_an_opening_in_time_is_no_force_and_a_late_one_is() -> None:
    door, _ = watch()
    door.contact(SHUT, 0.0)
    door.allow(0.0, 5.0)
    assert types(door.contact(OPEN, 5.9)) == ["door.open raise"]
    door.contact(SHUT, 8.0)
    assert types(door.contact(OPEN, 9.0)) == ["door.open raise", "door.forced raise"]
    assert types(door.contact(SHUT, 10.0)) == ["door.forced clear", "door.open clear"]


def test_a_lock_command_ends_the_leave_to_open() -> None:
    door, _ = watch()
    door.contact(SHUT, 0.0)
    door.allow(0.0, 5.0)
    door.forbid()
    assert "door.forced raise" in types(door.contact(OPEN, 1.0))


def test_a_released_door_is_neither_forced_nor_held() -> None:
    door, conditions = watch(held_after="30s")
    door.contact(SHUT, 0.0)
    conditions.put("door.released", True)
    assert types(door.contact(OPEN, 100.0)) == ["door.open raise"]
    assert door.tick(1000.0) == []
    conditions.put("door.released", False)
    assert door.tick(1029.0) == []
    assert types(door.tick(1030.0)) == ["door.held raise"]
    assert door.tick(1031.0) == []


def test_tamper_of_reader_and_read_head_is_one_condition() -> None:
    door, _ = watch()
    assert types(door.local(wire.Local(True, False))) == ["device.tamper raise"]
    assert door.attached(wire.Attached(2)) == []
    assert door.local(wire.Local(False, False)) == []
    assert types(door.attached(wire.Attached(0))) == ["device.tamper clear"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"insecure": False, "key": "12"}, "32 hexadecimal digits"),
        ({"insecure": False, "key": "303132333435363738393a3b3c3d3e3f"}, "public or a pattern"),
        ({"insecure": False, "key": "00" * 16}, "public or a pattern"),
        ({"insecure": False, "key": "0123456789abcdef" * 2}, "public or a pattern"),
        ({"insecure": False, "key": "01020304" * 4}, "public or a pattern"),
        ({"install": True}, "goes neither"),
        ({"address": 127}, "less than or equal to 126"),
    ],
)
def test_what_the_config_refuses(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        config(**settings)
