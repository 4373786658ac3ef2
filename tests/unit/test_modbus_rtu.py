"""RTU framing for itself: checksums, pauses, replies among noise and echoes, in pieces; pymodbus' framer as peer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer.rtu import FramerRTU

from drivers._modbus_pdu import EXCEPTION, Refused, Silent, answer_bytes, answers, checked, reading, writing
from drivers._modbus_rtu import LONGEST, ROOM, Sieve, crc16, crc_right, framed, reply_in, silence_s
from drivers._modbus_values import Block
from drivers.sim._modbus_codec import Tables, respond
from drivers.sim._modbus_codec import crc16 as theirs

BLOCKS = st.one_of(
    st.builds(Block, st.sampled_from([1, 2]), st.integers(0, 0xFFFF), st.integers(1, 2000)),
    st.builds(Block, st.sampled_from([3, 4]), st.integers(0, 0xFFFF), st.integers(1, 125)),
)
WORDS = st.integers(0, 0xFFFF)
WRITES = st.one_of(
    st.builds(writing, st.sampled_from([5, 6]), WORDS, st.lists(WORDS, min_size=1, max_size=1)),
    st.builds(writing, st.just(16), WORDS, st.lists(WORDS, min_size=1, max_size=123)),
)
REQUESTS = st.one_of(BLOCKS.map(reading), WRITES)
UNITS = st.integers(1, 247)


def answer_to(request: bytes) -> bytes:
    """Some right answer."""
    if request[0] > 4:
        return request[:5]
    size = answer_bytes(request) - 2
    return bytes([request[0], size]) + bytes(n * 37 & 0xFF for n in range(size))


@given(st.binary(max_size=LONGEST))
def test_the_checksum_is_the_peers(data: bytes) -> None:
    assert crc16(data).to_bytes(2, "little") == theirs(data)
    assert FramerRTU.check_CRC(data, int.from_bytes(theirs(data), "big"))
    assert crc_right(data + crc16(data).to_bytes(2, "little"))


@given(UNITS, REQUESTS, st.integers(0), st.integers(1, 255))
def test_a_frame_with_a_flipped_byte_is_none(unit: int, request_: bytes, at: int, flip: int) -> None:
    frame = bytearray(framed(unit, request_))
    assert crc_right(bytes(frame))
    frame[at % len(frame)] ^= flip
    assert not crc_right(bytes(frame))


@given(UNITS, REQUESTS, st.binary(max_size=40), st.lists(st.integers(1, 30), max_size=20), st.booleans())
def test_a_reply_after_noise_and_in_pieces_is_found_once_whole(
    unit: int, request_: bytes, noise: bytes, sizes: list[int], refuses: bool
) -> None:
    answer = bytes([request_[0] | EXCEPTION, 2]) if refuses else answer_to(request_)
    question, reply = framed(unit, request_), framed(unit, answer)
    sieve, wire, found = Sieve(), noise + reply, b""
    sieve.asks(question)
    for size in [*sizes, len(wire)]:
        if wire and not found:
            found = sieve.hears(wire[:size])
            wire = wire[size:]
    assert found == reply or found in noise + reply  # noise with a right checksum is a reply
    assert answers(request_, found[1:-2])


@given(UNITS, REQUESTS)
def test_on_a_line_that_echoes_the_echo_is_no_answer(unit: int, request_: bytes) -> None:
    sieve, learnt, question = Sieve(), framed(unit, reading(Block(3, 0, 1))), framed(unit, request_)
    sieve.asks(learnt)
    assert sieve.hears(learnt) == b""
    sieve.asks(question)
    assert sieve.hears(question) == b""
    reply = framed(unit, answer_to(request_))
    assert sieve.hears(reply) == reply


@given(UNITS, REQUESTS, st.lists(st.binary(max_size=LONGEST), max_size=8))
def test_any_flood_takes_no_room_and_the_reply_after_it_is_heard(
    unit: int, request_: bytes, flood: list[bytes]
) -> None:
    sieve, reply = Sieve(), framed(unit, answer_to(request_))
    sieve.asks(framed(unit, request_))
    for data in flood:
        sieve.hears(data)
        assert len(sieve._heard) <= ROOM
    found = sieve.hears(reply)
    assert answers(request_, found[1:-2])


@given(UNITS, UNITS, BLOCKS, BLOCKS)
def test_another_questions_answer_is_none(unit: int, other: int, block: Block, before: Block) -> None:
    late = framed(other, answer_to(reading(before)))
    same = unit == other and (block.function, block.reply_bytes) == (before.function, before.reply_bytes)
    assert bool(reply_in(framed(unit, reading(block)), late)) is same


@given(UNITS, st.one_of(st.builds(Block, st.sampled_from([1, 2, 3, 4]), st.integers(0, 50), st.integers(1, 50))))
def test_what_the_independent_slave_answers_is_understood(unit: int, block: Block) -> None:
    tables = Tables({n: {address: address * n % 2 for address in range(101)} for n in (1, 2, 3, 4)})
    answer = respond(tables, reading(block), lambda *_: False)
    words = tables.read(block.function, block.address, block.count)
    assert block.unpack(checked(reading(block), answer)[2:]) == words
    assert reply_in(framed(unit, reading(block)), framed(unit, answer)) == framed(unit, answer)


def test_what_is_asked_and_answered() -> None:
    with pytest.raises(Refused) as refused:
        checked(reading(Block(3, 0, 1)), b"\x83\x02")
    assert (refused.value.function, refused.value.code) == (3, 2)
    with pytest.raises(Silent):
        checked(writing(6, 1, [7]), b"\x06\x00\x01\x00\x08")


@pytest.mark.parametrize(("baud", "us"), [(300, 128333), (9600, 4010), (19200, 2005), (38400, 1750), (115200, 1750)])
def test_the_pause_between_frames(baud: int, us: int) -> None:
    """Modbus over serial line 1.02, 2.5.1.1: 3.5 characters of 11 bits; fixed above 19200 baud."""
    assert round(silence_s(baud) * 1e6) == us
