"""MQTT packets read and written without paho: whatever the pieces they come in, and what is left to paho."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt import MOST_WAITING_BYTES, Session, Target, _Gathering
from gateway.packets import Message, Waiting, length_of, remaining_length

TOPICS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0+#"), min_size=1, max_size=40)


def publish(topic: str, payload: bytes, packet_id: int = 0, five: bool = True, flags: int = 0) -> bytes:
    """PUBLISH as a broker sends it (MQTT 5.0, 3.3); QoS 1 with a packet id."""
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name + (packet_id.to_bytes(2, "big") if packet_id else b"")
    body += (b"\0" if five else b"") + payload
    return bytes([0x30 | flags | (2 if packet_id else 0)]) + length_of(len(body)) + body


class Reader:
    """What stands between the socket and paho."""

    def __init__(self, protocol: str = "5", largest_bytes: int | None = None) -> None:
        self.client = _Gathering(Target("h", 1, "c", protocol=protocol, largest_bytes=largest_bytes), 0)
        self.messages: list[Message] = []
        self.acks: list[tuple[int, int]] = []

    def feed(self, data: bytes) -> bool:
        """As `receive` does; True: something else is there."""
        skipped = min(self.client._skip_bytes, len(data))
        self.client._skip_bytes -= skipped
        self.client.incoming += data[skipped:]
        return self.client.ours(lambda *told: self.acks.append(told), self.messages.append)


@given(
    st.lists(st.tuples(TOPICS, st.binary(max_size=300), st.integers(0, 65535), st.booleans()), max_size=6),
    st.sampled_from(["5", "3.1.1"]),
    st.integers(1, 40),
)
def test_messages_come_whole_whatever_the_pieces(
    sent: list[tuple[str, bytes, int, bool]], protocol: str, piece_bytes: int
) -> None:
    reader, five = Reader(protocol), protocol == "5"
    stream = b""
    for topic, payload, packet_id, retained in sent:
        stream += publish(topic, payload, packet_id, five, flags=int(retained)) + b"\x40\x02\x00\x07"
    for start in range(0, len(stream), piece_bytes):
        assert not reader.feed(stream[start : start + piece_bytes])
    assert [(m.topic, m.payload, m.retained) for m in reader.messages] == [(t, p, r) for t, p, _, r in sent]
    assert [int.from_bytes(m.id, "big") for m in reader.messages] == [packet_id for _, _, packet_id, _ in sent]
    assert reader.acks == [(7, 0)] * len(sent)
    assert not reader.client.incoming


def test_done_acknowledges_once_and_only_what_asks_for_it() -> None:
    reader = Reader()
    reader.feed(publish("a", b"x", 0x1234, flags=8) + publish("b", b"y"))
    first, second = reader.messages
    assert (first.again, first.id, second.again, second.id) == (True, b"\x12\x34", False, b"")
    first.done()
    second.done()
    assert bytes(reader.client.outgoing) == b"\x40\x02\x12\x34"


@pytest.mark.parametrize(
    "left",
    [
        bytes.fromhex("d000"),  # PINGRESP
        b"\x30\x07\x00\x01a\x02\x01\x01x",  # a property: payload format indicator
        b"\x34\x06\x00\x01a\x00\x07\x00",  # QoS 2, which nobody asked for
        b"\x30\x04\x00\x01\xff\x00",  # a topic that is no UTF-8
        b"\x30\x03\x00\x09a",  # a topic that is longer than the packet
    ],
)
def test_anything_else_is_paho_s_to_read(left: bytes) -> None:
    reader = Reader()
    assert reader.feed(publish("a", b"x", 5) + left + publish("b", b"y"))
    assert [message.topic for message in reader.messages] == ["a"]
    assert bytes(reader.client.incoming) == left + publish("b", b"y")


@pytest.mark.parametrize("packet_id", [0, 9])
@pytest.mark.parametrize("piece_bytes", [7, 100, 5000])
def test_what_is_larger_than_we_take_is_read_past(packet_id: int, piece_bytes: int) -> None:
    """On 3.1.1 nobody can tell the broker how much we take."""
    reader = Reader("3.1.1", largest_bytes=1000)
    stream = publish("big", b"x" * 4000, packet_id, five=False) + publish("small", b"y", five=False)
    most_bytes = 0
    for start in range(0, len(stream), piece_bytes):
        reader.feed(stream[start : start + piece_bytes])
        most_bytes = max(most_bytes, len(reader.client.incoming))
    if piece_bytes < 4000:
        assert [message.topic for message in reader.messages] == ["small"]
        assert bytes(reader.client.outgoing) == (b"\x40\x02\x00\x09" if packet_id else b"")
        assert most_bytes < 200


@given(st.binary(max_size=80))
def test_any_bytes_leave_it_standing(data: bytes) -> None:
    reader = Reader()
    rest = reader.feed(data)
    assert rest or len(reader.client.incoming) <= len(data)


@given(st.integers(0, 268_435_455), st.integers(0, 3))
def test_lengths(number: int, before: int) -> None:
    encoded = bytearray(b"\x30" * before + length_of(number))
    assert remaining_length(encoded, before) == (len(encoded), number)
    assert remaining_length(encoded[:-1], before)[1] == 0 or len(encoded) == before + 1


async def test_what_waits_is_counted() -> None:
    waiting = Waiting()
    for _ in range(3):
        waiting.put_nowait(Message("a", b"x" * 1000))
    assert waiting.size_bytes > 3000
    while not waiting.empty():
        waiting.get_nowait()
    assert waiting.size_bytes == 0


async def test_a_socket_is_not_read_while_too_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages that nobody takes stay with the broker, and come when somebody does."""
    payload = b"x" * 50_000
    count = 3 * MOST_WAITING_BYTES // len(payload)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(bytes.fromhex("20 03 00 00 00"))
        for _ in range(count):
            writer.write(publish("a", payload))
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, asyncio.timeout(10):
        port: Any = server.sockets[0].getsockname()[1]
        async with Session(Target("127.0.0.1", port, "c"), lambda *_: None) as session:
            turns: asyncio.Queue[int] = asyncio.Queue()
            session.on_turn = lambda: turns.put_nowait(session.messages.qsize())
            while session.messages.size_bytes <= MOST_WAITING_BYTES:
                await turns.get()
            assert session._paused
            assert session.messages.qsize() < count
            taken = 0
            while taken < count:
                await session.messages.get()
                taken += 1
                session.flush()
