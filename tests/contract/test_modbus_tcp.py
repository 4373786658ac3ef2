"""Modbus TCP byte by byte, against a server that answers as told: which answer counts, what ends the line."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers._modbus_tcp import LONGEST, MOST_STRAYS, TcpClient
from drivers._modbus_values import Block
from drivers._modbus_wire import Peer, Refused, Silent, Wire, open_wire
from gateway.clock import SystemClock
from gateway.errors import Unreachable
from gateway.fields import BusConfig

Answer = Callable[[bytes], bytes]
PEER = Peer(7, 0.2, 0)
ONE = Block(3, 3, 1)


@asynccontextmanager
async def serving(*answers: Answer) -> AsyncIterator[tuple[Wire, list[bytes]]]:
    """A wire to a server that gives these answers, one a request, and the requests it heard; the last goes on."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.read(7):
            request = head + await reader.readexactly(int.from_bytes(head[4:6], "big") - 1)
            heard.append(request)
            writer.write(answers[min(len(heard), len(answers)) - 1](request))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    bus = BusConfig.model_validate({"tcp": f"{host}:{port}"})
    async with server, open_wire("line", bus, SystemClock()) as wire:
        yield wire, heard


def reply(pdu: bytes, transaction: int = 0, unit: int = 0, protocol: int = 0) -> Answer:
    """An answer with this PDU; transaction and unit as asked, moved by so much."""

    def made(request: bytes) -> bytes:
        number = int.from_bytes(request[:2], "big") + transaction
        head = number.to_bytes(2, "big") + protocol.to_bytes(2, "big") + (len(pdu) + 1).to_bytes(2, "big")
        return head + bytes([request[6] + unit]) + pdu

    return made


GOOD = reply(b"\x03\x02\x00\x2a")


async def test_a_request_is_as_the_standard_says() -> None:
    async with serving(GOOD, reply(b"\x05\x00\x02\xff\x00"), reply(b"\x10\x00\x03\x00\x02")) as (wire, heard):
        assert await wire.read(PEER, ONE) == [42]
        await wire.write(PEER, 5, 2, [0xFF00])
        await wire.write(PEER, 16, 3, [4, 10])
    assert heard == [
        bytes.fromhex("0001 0000 0006 07 03 0003 0001"),
        bytes.fromhex("0002 0000 0006 07 05 0002 FF00"),
        bytes.fromhex("0003 0000 000B 07 10 0003 0002 04 0004 000A"),
    ]


async def test_bits_are_unpacked_lowest_first() -> None:
    async with serving(reply(b"\x01\x02\x05\x01")) as (wire, _):
        assert await wire.read(PEER, Block(1, 0, 9)) == [1, 0, 1, 0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    "other",
    [
        reply(b"\x03\x02\x00\x2a", transaction=-1),  # a late answer to the request before
        reply(b"\x03\x02\x00\x2a", unit=1),  # another device behind the same bridge
        reply(b"\x03\x04\x00\x2a\x00\x00"),  # another length
        reply(b"\x04\x02\x00\x2a"),  # another function
        reply(b"\x03\x02\x00"),  # less than it says
        lambda request: GOOD(request)[:-1],  # never finished
        lambda request: b"",
    ],
)
async def test_what_is_no_answer_is_silence(other: Answer) -> None:
    async with serving(other) as (wire, _):
        with pytest.raises(Silent):
            await wire.read(PEER, ONE)


async def test_an_answer_that_comes_late_does_not_answer_the_next_request() -> None:
    late = reply(b"\x03\x02\x00\x07", transaction=-1)
    async with serving(lambda request: b"", lambda request: late(request) + GOOD(request)) as (wire, _):
        with pytest.raises(Silent):
            await wire.read(PEER, ONE)
        assert await wire.read(PEER, ONE) == [42]


async def test_a_write_that_is_answered_otherwise_is_not_done() -> None:
    async with serving(reply(b"\x05\x00\x02\x00\x00")) as (wire, _):
        with pytest.raises(Silent):
            await wire.write(PEER, 5, 2, [0xFF00])


async def test_exceptions() -> None:
    async with serving(reply(b"\x83\x02"), reply(b"\x83\x0b"), GOOD) as (wire, _):
        with pytest.raises(Refused) as refused:
            await wire.read(PEER, ONE)
        assert (refused.value.function, refused.value.code) == (3, 2)
        with pytest.raises(Silent):  # a bridge with nobody behind it
            await wire.read(PEER, ONE)
        assert await wire.read(PEER, ONE) == [42]


@pytest.mark.parametrize(
    "rubbish",
    [
        reply(b"\x03\x02\x00\x2a", protocol=1),
        lambda request: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        lambda request: request[:4] + b"\xff\xff" + bytes(300),
        lambda request: request[:4] + b"\x00\x00" + bytes(10),
    ],
)
async def test_what_is_no_modbus_ends_the_line(rubbish: Answer) -> None:
    async with serving(rubbish) as (wire, _):
        with pytest.raises(Unreachable):
            await wire.read(PEER, ONE)
        with pytest.raises(Unreachable):
            await wire.read(PEER, ONE)
        await wire.reopen()


async def test_a_retry_has_a_transaction_of_its_own() -> None:
    async with serving(lambda request: b"", GOOD) as (wire, heard):
        assert await wire.read(PEER._replace(retries=1), ONE) == [42]
    assert [request[:2] for request in heard] == [b"\x00\x01", b"\x00\x02"]


async def test_transactions_begin_anew_after_65535() -> None:
    async with serving(GOOD) as (wire, heard):
        assert isinstance(wire._client, TcpClient)
        wire._client._transaction = 0xFFFE
        for _ in range(3):
            assert await wire.read(PEER, ONE) == [42]
    assert [request[:2] for request in heard] == [b"\xff\xff", b"\x00\x01", b"\x00\x02"]


async def cancelled(asking: Awaitable[object]) -> bool:
    task = asyncio.ensure_future(asking)
    done, _ = await asyncio.wait({task}, timeout=0.05)
    assert not done
    task.cancel()
    await asyncio.wait({task})
    return task.cancelled()


async def test_whoever_asks_can_be_ended_and_the_next_is_served() -> None:
    async with serving(lambda request: b"", GOOD) as (wire, _):
        assert await cancelled(wire.read(PEER._replace(timeout_s=10), ONE))
        assert await wire.read(PEER, ONE) == [42]


async def test_answers_that_nobody_asked_for_end_the_line() -> None:
    unasked = bytes.fromhex("FFFF 0000 0005 01 03 02 002A")
    async with serving(lambda request: unasked * MOST_STRAYS + GOOD(request), lambda request: unasked * 10_000) as (
        wire,
        _,
    ):
        assert await wire.read(PEER, ONE) == [42]
        with pytest.raises(Unreachable):
            await wire.read(PEER, ONE)


@given(st.lists(st.binary(max_size=60), max_size=12))
def test_any_bytes_at_any_time_do_no_harm(pieces: list[bytes]) -> None:
    client = TcpClient("127.0.0.1", 1)
    for piece in pieces:
        client.data_received(piece)
        assert len(client._buffer) <= LONGEST + 60 or not client.connected


@given(st.integers(1, 6), st.lists(st.integers(1, 20), max_size=10))
def test_an_answer_in_pieces_is_one(before: int, sizes: list[int]) -> None:
    async def run() -> bytes:
        client = TcpClient("127.0.0.1", 1)
        client._asked = (5, 7)
        client._answer = asyncio.get_running_loop().create_future()
        wire = b"".join(bytes([0, n, 0, 0, 0, 3, 7, 3, 0]) for n in range(10, 10 + before))
        wire += bytes.fromhex("0005 0000 0005 07 03 02 002A")
        for size in [*sizes, len(wire)]:
            client.data_received(wire[:size])
            wire = wire[size:]
        return await client._answer

    assert asyncio.run(run()) == bytes.fromhex("03 02 00 2A")
