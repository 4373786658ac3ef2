"""What fuzzing found: each was once an exception that nobody expected, a buffer without an end, or a loop that held."""

import asyncio
import json
import time

import pytest

from drivers import gpio
from drivers._ear import Ear
from drivers._mqtt_topics import MOST_CHARS, parts
from drivers._osdp_bus import ROOM_BYTES
from drivers._osdp_wire import LONGEST, packets
from drivers._zkteco_orders import results
from gateway.errors import BadInput
from gateway.inquiry import Resend, Search
from gateway.packets import remaining_length
from tests.contract.test_web import Model, served
from tests.fuzz.inside import commands
from tests.fuzz.wires import configs
from tests.unit.test_packets import Reader


@pytest.mark.parametrize("returned", ["²", "--5", "-", "٣", "1" * 12])
def test_what_a_terminal_calls_a_number_and_is_none(returned: str) -> None:
    assert results(f"ID=7&Return={returned}\nID=8&Return=-13") == [(8, -13)]


@pytest.mark.parametrize("level", ["1e999", "-inf", "nan"])
def test_a_level_that_is_no_number(level: str) -> None:
    with pytest.raises(BadInput):
        gpio.decode(configs("gpio")[0], f"17={level}".encode())


async def test_a_login_that_is_no_ascii_is_a_wrong_one() -> None:
    house = Model()
    async with served(house) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /ingest/cam HTTP/1.1\r\nHost: a\r\nAuthorization: Basic caf\xe9\r\nConnection: close\r\n\r\n"
        )
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
    assert [token for _, token, _ in house.posted] == [""]


@pytest.mark.parametrize("number", [2**63, 10**30])
def test_a_number_that_no_database_takes_is_refused_when_it_is_asked(number: int) -> None:
    for model, asked in (
        (Resend, {"ask": "resend", "stream": "a.event", "from": number}),
        (Resend, {"ask": "resend", "stream": "a.event", "from": 1, "to": number}),
        (Search, {"ask": "events", "since_ms": number}),
    ):
        with pytest.raises(ValueError, match="less than or equal"):
            model.model_validate_json(json.dumps(asked))


@pytest.mark.parametrize("head", [b"\x32", b"\x40"])
def test_a_length_without_an_end_is_left_to_paho_which_ends_the_connection(head: bytes) -> None:
    assert remaining_length(bytearray(b"\xff" * 5), 0)[1] == -1
    assert remaining_length(bytearray(b"\xff\xff\xff\x7f"), 0) == (4, 268_435_455)  # MQTT 5.0, table 1-1
    reader = Reader()
    assert not reader.feed(head + b"\xff" * 3)
    assert reader.feed(b"\xff" * 100)


def test_noise_that_looks_like_many_packets_does_not_hold_the_daemon() -> None:
    """Each six bytes seem to begin a packet of 1,280 with a CRC, which has to be looked at."""
    noise = bytes.fromhex("530000050401") * (ROOM_BYTES // 6)
    began_s = time.process_time()
    assert list(packets(noise)) == []
    assert time.process_time() - began_s < 0.5  # it was 2 s


def test_a_babbling_line_fills_no_memory() -> None:
    ear = Ear(ROOM_BYTES)
    for _ in range(100):
        ear.data_received(b"\x53" * LONGEST)
    ear.data_received(b"end")
    assert len(ear.heard) == ROOM_BYTES
    assert ear.heard.endswith(b"end")


def test_a_topic_longer_than_any_is_nobodys_and_is_not_remembered() -> None:
    assert parts("{a*}/x", "a/" * MOST_CHARS + "x") is None
    assert parts("{a*}/x", "a/x") == {"a": "a"}


async def test_half_a_surrogate_pair_in_a_command_is_answered_in_utf_8() -> None:
    for more in (
        {"action": "\ud800"},
        {"action": "sync", "args": {"\ud800": 1}},
        {"action": "sync", "issuer": "\ud800"},
    ):
        asked = {"id": "c-1", "expires": "2027-01-01T00:00:00Z", "issuer": "duty"} | more
        await commands(b"\0gateway\n" + json.dumps(asked).encode())
