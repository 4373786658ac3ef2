"""Frames of Wiegand converters: golden ones, any card through any frame, noise, damage, keys, repeated reads."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers._wiegand import LAYOUTS
from drivers._wiegand_frame import FRAMES, GAP_S, LONGEST, Finder, Frame, Message, crc16, number_credential
from drivers.sim.wiegand import message
from drivers.wiegand import _BINARY, DRIVER, Config, Repeats, check, decode
from gateway.driver import Example, Line
from gateway.errors import BadInput, Misconfigured
from gateway.event import Credential

CARD = Credential("wiegand-26", 90, 324)
BINARY = Frame.model_validate(_BINARY)
RIGHT = Frame.model_validate({**_BINARY, "align": "right", "check": {"kind": "crc16", "over": [0, -3], "at": -2},
                              "card": [3, -3]})  # fmt: skip
SUMMED = Frame.model_validate(
    {"coding": "hex", "start": "02", "size_bytes": 12, "end": "03", "card": [1, 4], "reversed": True,
     "check": {"kind": "sum", "over": [0, -2]}}
)  # fmt: skip
FRAMES_TESTED = {**FRAMES, "binary": BINARY, "right": RIGHT, "summed": SUMMED}


def config(**more: Any) -> Config:
    return Config.model_validate({"id": "example", "driver": "wiegand", "place": "gate", "bus": "line", **more})


@pytest.mark.parametrize("example", DRIVER.examples, ids=lambda example: example.title)
def test_golden_frames(example: Example) -> None:
    assert tuple(decode(config(**example.config), example.wire)) == example.readings


@pytest.mark.parametrize("wire", [b"", b"5A0144", b"\x02123\x03"])
def test_half_a_message_is_none(wire: bytes) -> None:
    with pytest.raises(BadInput, match="no whole message"):
        decode(config(frame="hex-line"), wire)


CARDS = st.sampled_from(sorted(LAYOUTS)).flatmap(
    lambda name: st.builds(
        Credential,
        st.just(name),
        st.integers(0, 2 ** (LAYOUTS[name].facility[1] - LAYOUTS[name].facility[0] + 1) - 1),
        st.integers(0, 2 ** (LAYOUTS[name].number[1] - LAYOUTS[name].number[0] + 1) - 1),
    )
)


def fits(frame: Frame, card: Credential) -> bool:
    """Bits carry any card; em-uart and its like 32 bits; decimal digits ten of them."""
    return frame.carries == "bits" or (card.format != "wiegand-37" and "37" not in card.format)


@given(CARDS, st.sampled_from(sorted(FRAMES_TESTED)), st.binary(max_size=9), st.lists(st.integers(1, 5), max_size=9))
def test_any_card_comes_through_any_frame(card: Credential, name: str, noise: bytes, pieces: list[int]) -> None:
    frame = FRAMES_TESTED[name]
    if not fits(frame, card):
        return
    finder = Finder(frame, card.format)  # type: ignore[arg-type]
    finder.feed(noise, 0.0)
    data, found, now_s = message(frame, card, 2), list[Message](), 2 * GAP_S
    for size in [*pieces, LONGEST]:
        found += finder.feed(data[:size], now_s)
        data = data[size:]
    assert [each.credential for each in found if not each.keys] == [card]
    assert not finder.waiting


@given(CARDS, st.sampled_from(["binary", "right", "bits-line"]), st.data())
def test_one_wrong_bit_of_a_card_is_a_read_error(card: Credential, name: str, data: st.DataObject) -> None:
    frame = FRAMES_TESTED[name]
    wire = message(frame, card, 2)
    if name == "bits-line":
        at = data.draw(st.integers(0, len(wire) - 2))
        wire = wire[:at] + bytes([wire[at] ^ 1]) + wire[at + 1 :]
        if LAYOUTS[card.format].bits == 37 and at == 18:
            return  # in both parity groups: two bits wrong at once
    else:
        place = len(frame.start) + 3
        wire = wire[:place] + bytes([wire[place] ^ 1 << data.draw(st.integers(0, 7))]) + wire[place + 1 :]
    (found,) = Finder(frame, card.format).feed(wire, 0.0)  # type: ignore[arg-type]
    assert found.credential is None


@given(st.lists(st.binary(max_size=40), max_size=20), st.sampled_from(sorted(FRAMES_TESTED)), st.floats(0, 1))
def test_any_bytes_are_bounded_and_do_no_harm(pieces: list[bytes], name: str, gap_s: float) -> None:
    finder = Finder(FRAMES_TESTED[name], "auto")
    for turn, piece in enumerate(pieces):
        for found in finder.feed(piece, turn * gap_s):
            assert found.bits <= 8 * LONGEST
        assert len(finder._buffer) <= LONGEST


def test_a_message_is_found_after_the_beginning_of_another() -> None:
    wire = message(FRAMES["em-uart"], CARD)
    finder = Finder(FRAMES["em-uart"], "wiegand-26")
    assert [each.credential for each in finder.feed(b"\x02\x0212" + wire, 0.0)] == [CARD]


def test_a_heartbeat_is_found_after_noise_and_before_a_card() -> None:
    found = Finder(BINARY, "auto").feed(b"\x00\x55" + BINARY.heartbeat + message(BINARY, CARD, 2), 0.0)
    assert [each.alive for each in found] == [True, False]
    assert found[1].credential == CARD


@pytest.mark.parametrize(
    ("bits", "data", "keys"),
    [(4, b"\x50", "5"), (4, b"\xB0", "#"), (4, b"\xA0", "*"), (4, b"\xF0", ""),
     (8, b"\xE1", "1"), (8, b"\x4B", "#"), (8, b"\xE2", "")],
)  # fmt: skip
def test_keypad_bursts(bits: int, data: bytes, keys: str) -> None:
    body = bytes([5, 2, bits]) + data
    body = bytes([len(body) + 1 - 1]) + body[1:]
    total = 0
    for byte in body:
        total ^= byte
    (found,) = Finder(BINARY, "auto").feed(b"\xaa" + body + bytes([total]) + b"\x55", 0.0)
    assert (found.keys, found.credential, found.address) == (keys, None, 2)


def test_single_characters_are_keys_only_when_nothing_follows() -> None:
    finder = Finder(FRAMES["decimal-line"], "wiegand-26")
    assert finder.feed(b"1", 0.0) == []
    assert finder.feed(b"2", 0.125) == []
    assert finder.feed(b"", 0.125 + GAP_S) == [Message(keys="12")]
    assert finder.feed(b"x", 1.0) == []
    assert finder.feed(b"", 2.0) == []
    assert [each.credential for each in finder.feed(message(FRAMES["decimal-line"], CARD), 3.0)] == [CARD]


@pytest.mark.parametrize(
    ("number", "format", "bits", "card"),
    [
        (0x5A0144, "auto", 24, CARD),
        (0x62E3086CED, "wiegand-26", 40, Credential("wiegand-26", 0x08, 0x6CED)),  # as its 26-bit output would send it
        (0x499602D2, "auto", 32, Credential("wiegand-34", 0, 1234567890)),
        (0x499602D2, "wiegand-34-h10306", 32, Credential("wiegand-34-h10306", 0x4996, 0x02D2)),
        (0x0123456789, "auto", 40, Credential("raw-40", 0, 0x0123456789)),
        (7, "raw", 24, Credential("raw-24", 0, 7)),
    ],
)
def test_bare_numbers(number: int, format: Any, bits: int, card: Credential) -> None:
    assert number_credential(number, format, bits) == card


def test_a_uid_with_its_lowest_byte_first() -> None:
    frame = Frame.model_validate({"coding": "hex", "end": "0D", "reversed": True})
    (found,) = Finder(frame, "auto").feed(b"D2029649\r", 0.0)
    assert found.credential == Credential("wiegand-34", 0, 1234567890)


@pytest.mark.parametrize("line", [b"256,00001", b"090,65536", b"12x", b"90,324,1"])
def test_numbers_that_do_not_fit_are_read_errors(line: bytes) -> None:
    (found,) = Finder(FRAMES["decimal-line"], "auto").feed(line + b"\r\n", 0.0)
    assert found.credential is None


def test_repeats_are_one_reading_as_long_as_they_go_on() -> None:
    repeats = Repeats(1.0)
    assert [repeats.again(CARD, at_s) for at_s in (0.0, 0.9, 1.8, 2.9)] == [False, True, True, False]
    assert not repeats.again(Credential("wiegand-26", 90, 325), 2.9)


def test_the_check_value_of_the_checksum() -> None:
    assert crc16(b"123456789") == 0x4B37


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"frame": "hexline"}, r"no frame \"hexline\" \(known: hex-line.*did you mean hex-line"),
        ({"frame": {"coding": "hex"}}, "where does a message end"),
        ({"frame": {"coding": "hex", "size_bytes": 2, "length": {"at": 0}}}, "do not go together"),
        ({"frame": {"coding": "bits", "end": "0D"}}, "carries: bits goes with"),
        ({"frame": {"coding": "hex", "end": "0D", "carries": "bits"}}, "carries: bits goes with"),
        ({"frame": {"coding": "decimal", "length": {"at": 0}}}, "length: is of bytes and hex"),
        ({"frame": {"coding": "hex", "end": "XY"}}, "bytes in hexadecimal digits are needed"),
        ({"frame": "hex-line", "address": 1}, "address: goes with a frame"),
        ({"frame": _BINARY}, "address: goes with a frame"),
        ({"frame": "hex-line", "offline_after": "30s"}, "write its heartbeat: in frame:"),
    ],
)
def test_config_says_what_is_wrong(more: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        config(**more)


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        ({"frame": "hex-line"}, {"frame": "hex-line"}, "have the same address, or none"),
        ({"frame": "hex-line"}, {"frame": "bits-line"}, "differ in frame: or format:"),
        ({"frame": _BINARY, "address": 1}, {"frame": _BINARY, "address": 2, "format": "raw"}, "differ in frame:"),
    ],
)
def test_readers_that_cannot_be_told_apart(first: dict[str, Any], second: dict[str, Any], says: str) -> None:
    with pytest.raises(Misconfigured, match=says):
        check(Line("line", None, (config(**first), config(**second))))
