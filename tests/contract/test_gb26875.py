"""The gb26875 driver behind real sockets: confirmed when on disk, sent again until then, bad peers hurt nobody."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from drivers._allowance import MESSAGES_AT_ONCE, MESSAGES_PER_S, Allowance
from drivers._gb26875_config import Config
from drivers._gb26875_frame import Code, encode
from drivers._gb26875_port import MOST_PER_PEER
from drivers.gb26875 import run
from drivers.sim.gb26875 import POST_CHECK_ANSWER, Quirks, Transmitter
from gateway.driver import Line
from gateway.errors import Misconfigured, Unreachable
from gateway.event import Phase, Reading
from tests.fakes import FastClock, ManualClock, RecordingLink

ADDRESS, OTHER = "790300000000", "7A0300000000"
FIRE, NORMAL, FAULT = 0x0003, 0x0001, 0x0005
WAIT_S = 10.0
Transport = str  # "tcp" or "udp"


def free_port(transport: Transport) -> int:
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with socket.socket(type=kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Site:
    """The driver on a port of its own, and devices that dial it."""

    def __init__(self, link: RecordingLink, transport: Transport = "tcp") -> None:
        self.link, self.transport = link, transport
        self.port = free_port(transport)
        self.task: asyncio.Task[None] | None = None

    def config(self, **more: Any) -> Config:
        listen = f"{'udp://' if self.transport == 'udp' else ''}127.0.0.1:{self.port}"
        base = {"id": "utd", "driver": "gb26875", "place": "b3", "listen": listen, "address": ADDRESS}
        return Config.model_validate(base | more)

    async def start(self, *devices: Config) -> None:
        line = Line(devices[0].listen, None, devices)
        self.task = asyncio.create_task(run(line, self.link))
        await self.link.until(lambda: self.link.handlers)

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait({self.task})

    def device(self, address: str = ADDRESS, **quirks: Any) -> Transmitter:
        known: dict[str, Any] = {"now": self.link.clock.utc, "timeout_s": 3.0, "resends": 20, "retry_s": 0.01}
        return Transmitter(
            "127.0.0.1", self.port, address, udp=self.transport == "udp", quirks=Quirks(**known | quirks)
        )


@asynccontextmanager
async def running(
    link: RecordingLink, *more: dict[str, Any], transport: Transport = "tcp", **quirks: Any
) -> AsyncIterator[tuple[Site, Transmitter]]:
    """One device that is configured (and `more` of them), and its other end."""
    site = Site(link, transport)
    first, *others = more or ({},)
    async with asyncio.timeout(WAIT_S):
        await site.start(site.config(**first), *(site.config(**each) for each in others))
        try:
            async with site.device(**quirks) as utd:
                await utd.until(lambda: utd.line.online)
                yield site, utd
        finally:
            await site.stop()


@pytest.fixture
def link() -> RecordingLink:
    return RecordingLink()


@pytest.fixture
def fast() -> RecordingLink:
    return RecordingLink(clock=FastClock(100))


def phases(link: RecordingLink, type: str) -> list[str]:
    return [reading.phase.value for reading in link.of(type)]


# --- disk first, then the confirm


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_the_confirm_comes_after_the_commit(link: RecordingLink, transport: Transport) -> None:
    commit, reached = asyncio.Event(), asyncio.Event()

    async def slow_disk(readings: tuple[Reading, ...]) -> None:
        reached.set()
        await commit.wait()

    link.before_emit = slow_disk
    async with running(link, transport=transport) as (_, utd), asyncio.TaskGroup() as group:
        told = group.create_task(utd.part(40, "0A000200", FIRE, "3号楼走廊"))
        await reached.wait()
        assert utd.replies == []
        commit.set()
        assert await told
        assert utd.replies[0].serial == utd.confirmed[0].serial
        assert (utd.replies[0].source, utd.replies[0].destination) == (b"8[\x01\0\0\0", bytes.fromhex(ADDRESS))
    (fire,) = link.of("fire.smoke", Phase.RAISE)
    assert (fire.part or {})["text"] == "3号楼走廊"


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_without_a_disk_the_device_sends_again(link: RecordingLink, transport: Transport) -> None:
    async with running(link, transport=transport, timeout_s=0.2) as (_, utd):
        link.failing = 1
        assert await utd.part(40, "0A000200", FIRE)
        assert utd.sent == 2
        assert link.refused == 1
    assert phases(link, "fire.smoke") == ["raise"]


class DyingLink(RecordingLink):
    """Dies between the commit and the confirm, once."""

    dies = True

    async def emit(self, *readings: Reading) -> list[str]:
        ids = await super().emit(*readings)
        if self.dies:
            await asyncio.get_running_loop().create_future()
        return ids


async def test_a_crash_between_commit_and_confirm_makes_no_second_alarm() -> None:
    link = DyingLink()
    site = Site(link)
    async with asyncio.timeout(WAIT_S), site.device(timeout_s=0.2) as utd, asyncio.TaskGroup() as group:
        await site.start(site.config())
        told = group.create_task(utd.part(40, "0A000200", FIRE))
        await link.until(lambda: link.readings)
        await site.stop()
        link.dies = False
        await site.start(site.config())
        assert await told
        assert utd.sent > 1
        await site.stop()
    assert phases(link, "fire.smoke") == ["raise"]


async def test_a_resend_on_another_connection_is_recognised() -> None:
    link = DyingLink()
    site = Site(link)
    commit = asyncio.Event()
    async with asyncio.timeout(WAIT_S), site.device(timeout_s=0.2) as utd, asyncio.TaskGroup() as group:
        link.dies = False
        await site.start(site.config())
        await utd.until(lambda: utd.line.online)
        press = utd.frame(bytes([24, 1]) + utd.object(24, flags=2))

        async def lose_the_line(readings: tuple[Reading, ...]) -> None:
            utd.line.hang_up()
            commit.set()

        link.before_emit = lose_the_line
        told = group.create_task(utd.deliver(press))
        await commit.wait()
        assert await told
        await site.stop()
    assert phases(link, "operator.silence") == ["pulse"]


# --- what comes over the wire


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_a_fire_begins_goes_on_and_ends(link: RecordingLink, transport: Transport) -> None:
    async with running(link, transport=transport) as (_, utd):
        for status in (FIRE, FIRE, FIRE | FAULT, NORMAL):
            assert await utd.part(40, "0A000200", status)
    told = [(reading.type, reading.phase.value) for reading in link.readings]
    assert told == [
        ("fire.smoke", "raise"), ("device.fault", "raise"), ("device.fault", "clear"), ("fire.smoke", "clear"),
    ]  # fmt: skip


async def test_every_upload_is_confirmed(link: RecordingLink) -> None:
    async with running(link) as (_, utd):
        for kind in (1, 2, 3, 4, 5, 7, 8, 21, 24, 25, 28):
            assert await utd.tell(kind)
        assert await utd.say(b"\x06\x01\x01\x01\x02ok")
        assert await utd.say(b"\x1a\x01\x02ok")
        assert await utd.say(b"\xf0\x01vendor")
        assert await utd.beat()
        assert await utd.say(b"\x16")
        assert utd.replies[-1].data == b"\x17"
    assert link.of("device.unmapped")[-1].raw["type"] == 0xF0


async def test_garbage_before_frames_cut_in_pieces(link: RecordingLink) -> None:
    async with running(link) as (_, utd):
        frame = utd.frame(bytes([21, 1]) + utd.object(21, status=3))
        wire = b"\x00@garbage@" + encode(frame)
        for at in range(0, len(wire), 7):
            utd.line.send(wire[at : at + 7])
        await utd.until(lambda: utd.replies)
    assert phases(link, "fire.panel") == ["raise"]


async def test_half_a_frame_does_not_hold_the_next_up_for_long(fast: RecordingLink) -> None:
    async with running(fast) as (_, utd):
        big = bytearray(encode(utd.frame(bytes(1000))))
        utd.line.send(bytes(big[:40]))
        assert await utd.device(3)
        assert utd.sent == 1


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_what_is_damaged_is_denied_and_comes_again(link: RecordingLink, transport: Transport) -> None:
    async with running(link, transport=transport) as (_, utd):
        frame = utd.frame(bytes([21, 1]) + utd.object(21, status=3))
        wire = bytearray(encode(frame))
        wire[-3] ^= 0xFF
        utd.line.send(bytes(wire))
        await utd.until(lambda: utd.replies)
        assert (utd.replies[0].command, utd.replies[0].serial) == (Code.DENY, frame.serial)
        assert link.readings == []
        assert await utd.deliver(frame)
    assert phases(link, "fire.panel") == ["raise"]


async def test_a_command_that_is_not_for_a_centre_is_denied(link: RecordingLink) -> None:
    async with running(link) as (_, utd):
        utd.line.send(encode(utd.frame(b"", 9)))
        await utd.until(lambda: utd.replies)
        assert utd.replies[0].command == Code.DENY


# --- who is who


async def test_many_devices_share_a_port(link: RecordingLink) -> None:
    more = {"id": "utd-2", "address": OTHER}, {"id": "smoke", "part": "0A000200", "kind": "smoke"}
    async with running(link, {}, *more) as (site, utd), site.device(OTHER) as second:
        assert await utd.part(40, "0A000200", FIRE)
        assert await second.part(40, "0A000200", FIRE)
    assert [reading.device for reading in link.of("fire.smoke")] == ["smoke", "utd-2"]


async def test_a_device_without_an_address_is_known_by_where_it_comes_from(link: RecordingLink) -> None:
    here = {"address": None, "peers": ["127.0.0.1"]}
    away = {"id": "utd-2", "address": None, "peers": ["192.0.2.1"]}
    async with running(link, here, away) as (site, _), site.device("000000000000") as bare:
        assert await bare.device(3)
    assert [reading.device for reading in link.of("fire.panel")] == ["utd"]


async def test_a_stranger_is_named_and_not_confirmed(link: RecordingLink, caplog: pytest.LogCaptureFixture) -> None:
    async with running(link) as (site, _), site.device("AABBCCDDEEFF", timeout_s=0.05, resends=1) as stranger:
        assert not await stranger.device(3)
    assert link.readings == []
    assert caplog.text.count("AABBCCDDEEFF") == 1


async def test_who_is_not_admitted_is_not_heard(link: RecordingLink, caplog: pytest.LogCaptureFixture) -> None:
    site = Site(link)
    async with asyncio.timeout(WAIT_S):
        await site.start(site.config(peers=["192.0.2.0/24"]))
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        await ended(reader)
        writer.close()
        await site.stop()
    assert "refused: 127.0.0.1 is in no list of those that may connect (gb26875 utd)" in caplog.text


async def test_at_start_it_says_what_listens_where(link: RecordingLink, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running(link) as (site, _):
        assert f"listening: gb26875 utd on tcp 127.0.0.1:{site.port}, open to anybody" in caplog.text


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_a_port_that_is_taken(link: RecordingLink, transport: Transport) -> None:
    async with running(link, transport=transport) as (site, _):
        with pytest.raises(Unreachable, match=r"cannot listen on .*: Address already in use; another program"):
            await run(Line("x", None, (site.config(),)), RecordingLink())


async def test_a_part_without_its_device(link: RecordingLink) -> None:
    stray = Site(link).config(part="0101", id="panel")
    with pytest.raises(Misconfigured, match=r"^panel: a part of a device that is not configured"):
        await run(Line("x", None, (stray,)), link)


# --- silence


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_silence_is_offline_for_all_that_is_behind_it(fast: RecordingLink, transport: Transport) -> None:
    more = {"id": "smoke", "part": "0A000200"}
    async with running(fast, {"offline_after": "20s"}, more, transport=transport) as (_, utd):
        assert await utd.beat()
        await fast.until(lambda: fast.offline == {"utd": "silent", "smoke": "silent"})
        assert await utd.beat()
        assert fast.offline == {}


async def test_a_device_that_never_comes_is_offline(fast: RecordingLink) -> None:
    site = Site(fast)
    await site.start(site.config(offline_after="2s"))
    await fast.until(lambda: fast.offline == {"utd": "silent"})
    await site.stop()


async def test_heartbeats_keep_it_online(link: RecordingLink) -> None:
    clock = link.clock
    assert isinstance(clock, ManualClock)
    async with running(link) as (_, utd):
        for _ in range(4):
            assert await utd.beat()
            clock.advance(60)
        assert await utd.beat()
        assert link.offline == {}
        clock.advance(91)
        await link.until(lambda: link.offline)


async def test_a_broken_line_to_the_panel_takes_what_is_behind_it_offline(link: RecordingLink) -> None:
    async with running(link, {}, {"id": "smoke", "part": "0A000200"}) as (_, utd):
        assert await utd.device(1)
        assert link.presence == [("utd", "seen"), ("smoke", "seen")]
        assert await utd.device(0x41)
        assert await utd.beat()
        assert link.offline == {"smoke": "fire-system-line"}
        assert await utd.device(1)
        assert link.offline == {}


# --- its clock, and what it is asked


async def test_a_clock_that_is_off_is_set(link: RecordingLink) -> None:
    async with running(link) as (site, utd), site.device(clock_off_s=-3600.0) as late:
        assert await late.beat()
        await late.until(lambda: late.questions)
        assert abs(late.clock_off.total_seconds()) < 2
        assert utd.questions == []


async def test_a_device_that_will_not_be_set_is_left_alone(
    link: RecordingLink, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(link) as (site, _), site.device(clock_off_s=9999.0, denies=(90,)) as stubborn:
        for _ in range(3):
            assert await stubborn.beat()
        await stubborn.until(lambda: stubborn.questions)
        assert await stubborn.beat()
        assert len(stubborn.questions) == 1
    assert "cannot be set (it denied)" in caplog.text


async def test_reading_what_it_knows(link: RecordingLink) -> None:
    async with running(link) as (_, utd):
        await utd.beat()
        utd.known[21] = utd.object(21, status=9)
        outcome = await link.command("utd", "read", type=81)
        assert outcome.code == "ok"
        told: Any = outcome.result["objects"]
        assert told[0]["status"] == 9
        await link.until(lambda: link.of("device.power_fault"))
        asked = {"system": 1, "system_address": 2}
        for kind in (61, 65, 68, 85, 88):
            assert (await link.command("utd", "read", type=kind, **(asked if kind < 81 else {}))).code == "ok"
        for kind in (62, 63, 67):
            assert (await link.command("utd", "read", type=kind, part="0A000200", **asked)).code == "ok"
        since = "2026-11-23T10:00:00Z"
        assert (await link.command("utd", "read", type=64, count=3, since=since, **asked)).code == "ok"
        assert (await link.command("utd", "read", type=84, count=3)).code == "ok"
        wires = [question.data.hex() for question in utd.questions]
    assert wires[0] == "510100"
    assert wires[1] == "3d010102"
    assert wires[6] == "3e0101020a000200"
    assert wires[9] == "4001010203" + "0000" + "12170b1a"


@pytest.mark.parametrize(("quirk", "code"), [("denies", "device-refused"), ("deaf", "timeout")])
async def test_questions_that_are_not_answered(fast: RecordingLink, quirk: str, code: str) -> None:
    site = Site(fast)
    await site.start(site.config(timeout="5s", retries=1, offline_after="1h"))
    async with asyncio.timeout(WAIT_S), site.device(ADDRESS, **{quirk: (81, 91)}) as utd:
        assert await utd.beat()
        assert (await fast.command("utd", "read", type=81)).code == code
        assert (await fast.command("utd", "test", seconds=60)).code == code
        assert len(utd.questions) == (2 if quirk == "denies" else 4)
    await site.stop()


async def test_a_post_check_is_done_when_the_operator_has_answered(link: RecordingLink) -> None:
    async with running(link) as (_, utd), asyncio.TaskGroup() as group:
        await utd.beat()
        asked = group.create_task(link.command("utd", "test", seconds=61))
        await utd.until(lambda: utd.questions)
        assert utd.questions[0].data == bytes([91, 1, 2])
        assert await utd.operate(POST_CHECK_ANSWER, operator=3)
        outcome = await asked
    assert (outcome.code, outcome.result["minutes"]) == ("ok", 2)
    (answer,) = link.of("operator.ack")
    assert (answer.reason, answer.data["who"]) == ("post-check", "operator-3")


async def test_a_post_check_that_nobody_answers(fast: RecordingLink) -> None:
    async with running(fast, {"offline_after": "1h"}) as (_, utd):
        await utd.beat()
        outcome = await fast.command("utd", "test", seconds=30)
    assert (outcome.code, outcome.message) == ("timeout", "nobody answered within 1 min")


# --- peers that would hurt others


async def opened(site: Site, count: int) -> Sequence[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    return [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(count)]


async def ended(reader: asyncio.StreamReader) -> None:
    try:
        while await reader.read(4096):
            pass
    except ConnectionError:
        return


def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"@@" + b"\x00@\x01" * 30_000)


def half(writer: asyncio.StreamWriter) -> None:
    writer.write(b"@@\x00\x00")


def silent(writer: asyncio.StreamWriter) -> None:
    return


@pytest.mark.parametrize("harm", [endless, half, silent])
async def test_bad_peers_are_sent_away_and_hurt_nobody(
    fast: RecordingLink, harm: Callable[[asyncio.StreamWriter], None]
) -> None:
    async with running(fast, {"offline_after": "1h"}) as (site, utd):
        crowd = await opened(site, 8)
        for _, writer in crowd:
            harm(writer)
        assert await utd.device(3)
        assert utd.sent == 1
        for reader, writer in crowd:
            await ended(reader)
            writer.close()
        assert await utd.beat()


async def test_one_address_has_so_many_connections_and_no_more(link: RecordingLink) -> None:
    async with running(link) as (site, utd):
        crowd = await opened(site, MOST_PER_PEER)  # one is the device's
        await ended(crowd[-1][0])
        for _, writer in crowd[:-1]:
            assert not writer.is_closing()
        assert await utd.beat()
        for _, writer in crowd:
            writer.close()


async def test_a_flood_is_slowed_down_and_another_device_is_not(link: RecordingLink) -> None:
    clock = link.clock
    assert isinstance(clock, ManualClock)
    async with running(link, {}, {"id": "utd-2", "address": OTHER}) as (site, utd), site.device(OTHER) as second:
        beat = encode(utd.frame(b""))
        utd.line.send(beat * 700)
        await utd.until(lambda: len(utd.replies) >= MESSAGES_AT_ONCE)
        assert await second.beat()
        assert len(utd.replies) == MESSAGES_AT_ONCE
        clock.advance(1)
        assert await second.beat()
        await utd.until(lambda: len(utd.replies) > MESSAGES_AT_ONCE)


def test_an_allowance_grows_with_time() -> None:
    clock = ManualClock()
    allowance = Allowance(clock)
    assert [allowance.take() for _ in range(int(MESSAGES_AT_ONCE))] == [0.0] * int(MESSAGES_AT_ONCE)
    assert allowance.take() == pytest.approx(1 / MESSAGES_PER_S)
    allowance.give_back()
    clock.advance(1)
    assert [allowance.take() for _ in range(int(MESSAGES_PER_S))] == [0.0] * int(MESSAGES_PER_S)
    assert allowance.take() > 0


async def test_a_flood_of_datagrams_is_dropped_and_another_device_is_heard(link: RecordingLink) -> None:
    async with running(link, transport="udp") as (_, utd):
        for _ in range(50):
            utd.line.send(b"@@" * 700)
        assert await utd.device(3)
    assert phases(link, "fire.panel") == ["raise"]
