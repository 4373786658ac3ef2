"""GB/T 26875.3 without a wire: frames found in anything, objects of any vendor, status words and their news."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers._gb26875_config import Config, Listen, parse_listen
from drivers._gb26875_family import families
from drivers._gb26875_frame import MOST_DATA_BYTES, MOST_FRAME_BYTES, Damage, Frame, Framer, encode, whole
from drivers._gb26875_table import EDITIONS, GB2011
from drivers._gb26875_unit import CHINA, build, number, parse, read_time, text, write_time
from drivers.gb26875 import DRIVER, decode
from drivers.sim.gb26875 import Transmitter
from gateway.errors import BadInput
from gateway.event import Phase
from gateway.fields import Wrong
from gateway.taxonomy import GB_TABLE, TYPES
from tests.fakes import ManualClock

BASE = {"id": "utd", "driver": "gb26875", "place": "b3", "listen": "127.0.0.1:5200", "address": "790300000000"}
FIRE = bytes.fromhex("0A000200")
TALKER = Transmitter("", 0)  # only builds objects here


def config(**more: Any) -> Config:
    return Config.model_validate(BASE | more)


def frame(data: bytes = b"", command: int = 2, serial: int = 7, source: str = "790300000000") -> Frame:
    tag = write_time(ManualClock().utc())
    return Frame(serial, b"\x01\x01", tag, bytes.fromhex(source), bytes(6), command, data)


def of(kind: int, *objects: bytes) -> bytes:
    return bytes([kind, len(objects)]) + b"".join(objects)


def part(status: int, kind: int = 40, address: bytes = FIRE, panel: int = 1, **more: int | bytes) -> bytes:
    return TALKER.object(2, system=1, system_address=panel, part=kind, address=address, status=status, **more)


# --- frames


@pytest.mark.parametrize("example", DRIVER.examples, ids=lambda example: example.title)
def test_golden_frames(example: Any) -> None:
    device = Config.model_validate(BASE | {"id": "example", "address": None, "peers": ["::/0"]} | example.config)
    assert tuple(decode(device, example.wire)) == example.readings
    found = whole(example.wire)
    assert found is not None
    assert encode(found) == example.wire


frames = st.builds(
    Frame,
    st.integers(0, 0xFFFF),
    st.binary(min_size=2, max_size=2),
    *[st.binary(min_size=6, max_size=6)] * 3,
    st.integers(0, 255),
    st.binary(max_size=MOST_DATA_BYTES) | st.just(b"@@##" * 50),
)


@given(frames)
def test_a_frame_comes_back_as_it_was(sent: Frame) -> None:
    assert whole(encode(sent)) == sent


def heard(framer: Framer, *pieces: bytes) -> list[Frame]:
    """All frames of the pieces, and of what is still held once it does not go on."""
    found = [each for piece in pieces for each in framer.feed(piece)]
    while framer.pending:
        found += framer.expire()
    return [each for each in found if isinstance(each, Frame)]


@given(st.binary(max_size=200), st.lists(frames, max_size=4), st.lists(st.integers(1, 60), min_size=1))
def test_frames_are_found_behind_any_garbage_in_any_pieces(garbage: bytes, sent: list[Frame], cuts: list[int]) -> None:
    stream = garbage + b"".join(map(encode, sent))
    pieces = []
    for size in cuts:
        pieces.append(stream[:size])
        stream = stream[size:]
    found = heard(Framer(), *pieces, stream)
    assert found[len(found) - len(sent) :] == sent


@given(st.lists(st.binary(max_size=MOST_FRAME_BYTES) | st.sampled_from([b"@@", b"@", b"##", b"@" * 40])))
def test_whatever_comes_little_is_held_and_nothing_breaks(pieces: list[bytes]) -> None:
    framer = Framer()
    for piece in pieces:
        assert all(isinstance(each, Frame | Damage) for each in framer.feed(piece))
        assert len(framer._buffer) < MOST_FRAME_BYTES


@pytest.mark.parametrize(
    ("at", "value", "reason"), [(-3, 0xFF, "checksum"), (-1, 0x24, "end"), (25, 0xFF, "length"), (30, 0xEE, "checksum")]
)
def test_damage_is_told_once_and_the_next_frame_is_found(at: int, value: int, reason: str) -> None:
    wire = bytearray(encode(frame(of(21, b"\x02######" if reason == "length" else b"\x02@@@@@@"))))
    wire[at] = value
    whole_one = encode(frame())
    damaged, *rest = Framer().feed(bytes(wire) + whole_one)
    assert damaged == Damage(reason, frame(command=2)._replace(data=b""))
    assert rest == [frame()]


def test_a_published_frame_with_a_wrong_sum_is_refused() -> None:
    wire = "4040690010000A110E030615AC103CD56D1D0000000000000100031730 2323"
    with pytest.raises(BadInput, match="no whole frame"):
        decode(config(), bytes.fromhex(wire))


@given(st.binary(max_size=120) | frames.map(encode) | st.builds(lambda data: encode(frame(data)), st.binary()))
def test_any_bytes_are_understood_or_bad_input(wire: bytes) -> None:
    try:
        found = decode(config(), wire)
    except BadInput:
        found = ()
    assert all(reading.type in TYPES and reading.phase in TYPES[reading.type].phases for reading in found)


# --- objects


@given(st.data(), st.sampled_from(sorted(GB2011.layouts)), st.integers(1, 5))
def test_objects_come_back_as_they_were(data: Any, kind: int, count: int) -> None:
    def one() -> dict[str, bytes]:
        fields: dict[str, bytes] = {}
        for name, width in GB2011.layouts[kind].items():
            size = number(fields["length"]) if width == 0 else width
            fields[name] = data.draw(st.binary(min_size=size, max_size=size))
        return fields

    objects = [one() for _ in range(count)]
    unit = parse(GB2011, build(kind, objects))
    assert unit is not None
    assert (unit.type, unit.total, unit.objects) == (kind, count, tuple(objects))


def test_an_object_without_its_time_and_one_with_private_fields() -> None:
    short = parse(GB2011, of(2, part(2)[:-6], part(4)[:-6]))
    assert short is not None
    assert [number(fields["status"]) for fields in short.objects or ()] == [2, 4]
    long = parse(GB2011, of(2, part(2) + b"\xab\xcd"), {2: 48})
    assert long is not None
    assert (long.objects or ({},))[0]["private"] == b"\xab\xcd"
    narrow = parse(GB2011, of(2, part(2)[:9] + b"12345678" + bytes(6)), {2: 23})
    assert narrow is not None
    assert (narrow.objects or ({},))[0]["text"] == b"12345678"


@pytest.mark.parametrize(
    "data", [of(2, part(2) + b"\0"), bytes([2, 0]), bytes([99, 1, 0]), bytes([26, 1, 5, 65]), b"\2"]
)
def test_what_fits_nothing_is_told_whole(data: bytes) -> None:
    (reading,) = decode(config(), encode(frame(data)))
    assert (reading.type, reading.phase) == ("device.unmapped", Phase.PULSE)
    assert reading.raw["data"] == data.hex().upper()


def test_a_vendors_own_command_is_told_whole() -> None:
    (reading,) = decode(config(), encode(frame(of(2, part(2)), command=200)))
    assert (reading.type, reading.raw["command"]) == ("device.unmapped", 200)


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        ("１层走廊".encode("gb18030") + b"\0\xff\xfe garbage", "１层走廊"),
        (b" " * 30 + b"\0", ""),
        ("走廊".encode("gb18030")[:3], "走"),
        ("𠮷2号".encode("gb18030"), "𠮷2号"),
        (b"\x81\x20\xff\x1b[31mA\r\n", "[31mA"),
        (b"", ""),
    ],
)
def test_texts_with_rubbish(wire: bytes, said: str) -> None:
    assert text(wire) == said


@given(st.binary(max_size=64))
def test_any_text_is_printable(wire: bytes) -> None:
    assert text(wire) == "" or text(wire).isprintable()


@given(st.integers(0, 100 * 365 * 86400))
def test_clocks_come_back(seconds: int) -> None:
    moment = datetime(2000, 1, 1, tzinfo=CHINA) + timedelta(seconds=seconds)
    assert read_time(write_time(moment)) == moment


@pytest.mark.parametrize("wire", [bytes(6), b"\xff" * 6, bytes([0, 0, 0, 31, 2, 24]), b"", bytes([60, 0, 0, 1, 1, 24])])
def test_clocks_of_nonsense(wire: bytes) -> None:
    assert read_time(wire) is None


def test_a_clock_of_zeros_leaves_the_time_out_and_keeps_what_came() -> None:
    (reading,) = decode(config(), encode(frame(of(2, part(2, time=bytes(6))))))
    assert reading.device_time is None
    assert reading.raw["time"] == "000000000000"


# --- the table and the taxonomy


def test_the_table_is_the_taxonomys() -> None:
    table = EDITIONS[GB_TABLE]
    for name, row in TYPES.items():
        mine = {kind for kind, type in table.fire_parts.items() if type == name}
        assert mine == set(row.gb_parts if name.startswith("fire.") else ())
        operations = {bit for bit, meaning in table.operations.items() if meaning.type == name}
        assert operations <= {row.gb_operation, 2}
    for level, bits in (("part", table.part_bits), ("system", table.system_bits), ("device", table.device_bits)):
        for bit, meaning in bits.items():
            if meaning.type is not None and not meaning.type.startswith("operator.") and meaning.word != "bus":
                gb = TYPES[meaning.type].gb
                assert gb.get(f"{level}:{meaning.word}", gb[level]) == bit


# --- who is who


def test_whose_part_it_is() -> None:
    one, lone = config(part="0A000200", id="p"), config(id="q", part="0101", address="000000000001")
    other = config(id="utd-2", address=None, peers=["192.0.2.4"])
    behind = config(id="r", address=None, peers=["192.0.2.4"], part="0101")
    found, strays = families([one, config(), lone, other, behind])
    assert [(f.main.id, sorted(p.id for p in f.parts.values())) for f in found] == [("utd", ["p"]), ("utd-2", ["r"])]
    assert strays == [lone]


@pytest.mark.parametrize(
    ("split", "loop", "point"),
    [("ppll", 2, 10), ("llpp", 10, 2), ("PPll", 2, 0x0A00), ("pl--", 0, 10), ("none", None, None), ("p---", None, 10)],
)
def test_loop_and_point(split: str, loop: int | None, point: int | None) -> None:
    numbers = config(split=split).numbers(FIRE)
    assert (numbers.get("loop"), numbers.get("point")) == (loop, point)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"address": 10203040506}, "in quotes"),
        ({"address": "79030000"}, "12 hexadecimal digits"),
        ({"address": None}, "address: or peers:"),
        ({"part": "0A"}, "8 hexadecimal digits of a part"),
        ({"listen": "5200"}, 'udp://host:port"'),
        ({"listen": "tcp://0.0.0.0:5200"}, 'udp://host:port"'),
        ({"peers": ["gate.example"]}, "an IP address or network"),
        ({"split": "abcd"}, "four signs"),
        ({"edition": "2026"}, "known: 2011"),
        ({"sizes": {26: 10}}, "have objects of a size"),
        ({"sizes": {99: 10}}, "have objects of a size"),
    ],
)
def test_wrong_configurations(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        config(**wrong)
    (error,) = caught.value.errors()
    cause = error["ctx"]["error"]
    assert isinstance(cause, Wrong)
    assert said in cause.text.en
    assert cause.text.zh != cause.text.en


def test_right_configurations() -> None:
    assert config(address="79 03-00:00 0000").address == "790300000000"
    assert parse_listen("udp://[::1]:5201") == Listen(True, "::1", 5201)
    assert str(parse_listen(":5200")) == "tcp *:5200"
    assert config(listen="0.0.0.0:5200").advice()[0][0] == "listen"
    assert config(listen="0.0.0.0:5200", peers=["192.0.2.0/24"]).advice() == () == config().advice()
    near = config(peers=["192.0.2.7/24", "2001:db8::/32"])
    hosts = ["192.0.2.99", "::ffff:192.0.2.1", "2001:db8::5", "198.51.100.1", "fe80::1%eth0"]
    assert [near.admits(host) for host in hosts] == [True, True, True, False, False]


def test_time_is_chinas() -> None:
    assert write_time(datetime(2026, 12, 31, 18, 0, tzinfo=UTC)) == bytes([0, 0, 2, 1, 1, 27])
