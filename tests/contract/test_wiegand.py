"""The Wiegand driver on real ptys and sockets, against the simulated converter, and socat as the line between."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from drivers.sim.wiegand import Converter
from drivers.wiegand import _BINARY, Config, run
from gateway.driver import Decision, Line
from gateway.errors import Misconfigured, Unreachable
from gateway.event import Credential, Phase
from gateway.fields import BusConfig
from tests.fakes import FastClock, RecordingLink

TCP = ("127.0.0.1", 0)
CARD = Credential("wiegand-26", 90, 324)
OTHER = Credential("wiegand-26", 90, 325)
OPENING: Mapping[str, Any] = {**_BINARY, "unlock": "AA 01 05 55"}
BINARY_WITHOUT_ADDRESS = {key: value for key, value in OPENING.items() if key != "address"} | {
    "count": 1, "card": [2, -2],
}  # fmt: skip


def reader(frame: Any, **more: Any) -> Config:
    base = {"id": "door", "driver": "wiegand", "place": "gate", "bus": "line", "frame": frame}
    return Config.model_validate({**base, **more})


def bus_of(converter: Converter) -> BusConfig:
    host, port = converter.address
    return BusConfig.model_validate({"serial": converter.port} if converter.port else {"tcp": f"{host}:{port}"})


@pytest.fixture
def link() -> RecordingLink:
    return RecordingLink(clock=FastClock(5), decision=lambda door, card: Decision(card == CARD, None))


@asynccontextmanager
async def driving(link: RecordingLink, converter: Converter, *devices: Config) -> AsyncIterator["asyncio.Task[None]"]:
    converter.listeners.append(link.changed)
    task = asyncio.create_task(run(Line("line", bus_of(converter), devices), link))
    try:
        if any(device.offline_after is None for device in devices):
            await link.until(lambda: link.seen_count)
        else:
            await link.until(lambda: converter.clients)
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Unreachable):
            await task


@pytest.mark.parametrize("tcp", [None, TCP], ids=["pty", "tcp"])
@pytest.mark.parametrize("frame", ["hex-line", "decimal-line", "bits-line", "em-uart", BINARY_WITHOUT_ADDRESS])
async def test_a_card_is_decided_by_the_list(link: RecordingLink, frame: Any, tcp: tuple[str, int] | None) -> None:
    async with Converter(frame, tcp) as converter, driving(link, converter, reader(frame, format="wiegand-26")):
        converter.present(CARD)
        await link.until(lambda: link.of("access.granted"))
        converter.present(OTHER)
        await link.until(lambda: link.of("access.denied"))
    assert [(r.type, r.credential) for r in link.readings] == [("access.granted", CARD), ("access.denied", OTHER)]


async def test_the_same_card_held_on_is_one_reading(link: RecordingLink) -> None:
    async with Converter("hex-line") as converter, driving(link, converter, reader("hex-line", ignore_repeats="60s")):
        for _ in range(5):
            converter.present(CARD)
        converter.present(OTHER)
        await link.until(lambda: link.of("access.denied"))
    assert [r.credential for r in link.readings] == [CARD, OTHER]


async def test_a_damaged_card_is_a_read_error_and_once(link: RecordingLink) -> None:
    async with Converter("bits-line") as converter, driving(link, converter, reader("bits-line", ignore_repeats="60s")):
        converter.present(CARD, damaged=True)
        converter.present(CARD, damaged=True)
        converter.present(CARD)
        await link.until(lambda: link.of("access.*"))
    first, second = link.readings
    assert (first.type, first.reason, first.raw) == ("device.unmapped", "read-error", {"bits": 26})
    assert second.type == "access.granted"


@pytest.mark.parametrize("frame", ["decimal-line", BINARY_WITHOUT_ADDRESS])
async def test_a_pin_is_typed(link: RecordingLink, frame: Any) -> None:
    async with Converter(frame) as converter, driving(link, converter, reader(frame)):
        converter.press("0123#")
        await link.until(lambda: link.of("access.denied"))
    assert link.readings[0].credential == Credential("pin", 4, 123, kind="pin")


async def test_the_converter_opens_the_door(link: RecordingLink) -> None:
    async with Converter(OPENING, TCP) as converter, driving(link, converter, reader(OPENING, address=2)):
        converter.present(OTHER, 2)
        await link.until(lambda: link.of("access.denied"))
        converter.present(CARD, 2)
        await link.until(lambda: converter.opened == 1)
        assert link.of("access.granted")  # it was on disk before the door was opened
        outcome = await link.command("door", "unlock")
        assert outcome.code == "ok"
        await link.until(lambda: converter.opened == 2)
        assert (await link.command("door", "unlock", seconds=5)).code == "bad-arguments"
    assert ("door", "unlock") not in link.handlers


async def test_readers_of_one_converter_are_told_apart(link: RecordingLink, caplog: pytest.LogCaptureFixture) -> None:
    doors = [reader(_BINARY, id=f"door-{n}", address=n) for n in (1, 2)]
    async with Converter(_BINARY) as converter, driving(link, converter, *doors):
        converter.present(CARD, 9)
        converter.present(CARD, 9)
        converter.present(CARD, 2)
        converter.present(CARD, 1)
        await link.until(lambda: len(link.readings) == 2)
    assert [r.device for r in link.readings] == ["door-2", "door-1"]
    assert caplog.text.count("(address 9)") == 1


async def test_silence_of_one_that_beats_is_offline(link: RecordingLink) -> None:
    door = reader(_BINARY, address=2, offline_after="2s")
    async with Converter(_BINARY, TCP) as converter, driving(link, converter, door):
        converter.beat()
        await link.until(lambda: link.presence == [("door", "seen")])
        await link.until(lambda: link.offline == {"door": "no-answer"})
        converter.beat()
        await link.until(lambda: not link.offline)
    assert link.of("*") == []


async def test_a_lost_connection_is_unreachable_and_the_next_run_goes_on(link: RecordingLink) -> None:
    async with Converter("hex-line", TCP) as converter:
        async with driving(link, converter, reader("hex-line")) as task:
            await link.until(lambda: converter.clients)
            converter.drop()
            with pytest.raises(Unreachable, match="the line to the converter is gone"):
                await task
        async with driving(link, converter, reader("hex-line")):
            await link.until(lambda: converter.clients)
            converter.present(CARD)
            await link.until(lambda: link.of("access.granted"))


async def test_an_adapter_pulled_out(link: RecordingLink) -> None:
    converter = Converter("hex-line")
    await converter.__aenter__()
    async with driving(link, converter, reader("hex-line")) as task:
        await converter.__aexit__()
        with pytest.raises(Unreachable, match="is gone"):
            await task


@pytest.mark.parametrize("bus", [{"tcp": "127.0.0.1:1"}, {"serial": "/dev/serial/by-id/nothing"}])
async def test_a_line_that_is_not_there(link: RecordingLink, bus: dict[str, str]) -> None:
    with pytest.raises(Unreachable) as caught:
        await run(Line("line", BusConfig.model_validate(bus), (reader("hex-line"),)), link)
    assert caught.value.where == "line"
    assert caught.value.do is not None


async def test_without_a_bus(link: RecordingLink) -> None:
    with pytest.raises(Misconfigured, match="needs a bus"):
        await run(Line("line", None, (reader("hex-line"),)), link)


async def test_nothing_is_lost_while_the_disk_refuses(link: RecordingLink) -> None:
    async with Converter(OPENING, TCP) as converter, driving(link, converter, reader(OPENING, address=2)):
        link.failing = 3
        converter.present(CARD, 2)
        await link.until(lambda: converter.opened == 1)  # the door works all the same
        converter.present(OTHER, 2)
        await link.until(lambda: link.of("access.granted") and link.of("access.denied"), 20)
    assert [r.type for r in link.readings] == ["access.granted", "access.denied"]
    assert "seen_at" in link.readings[0].data
    assert all(r.phase is Phase.PULSE for r in link.readings)


async def test_a_flood_of_noise_is_few_events_and_the_next_card_comes_through(link: RecordingLink) -> None:
    async with (
        Converter("hex-line", TCP) as converter,
        driving(link, converter, reader("hex-line", ignore_repeats="600s")),
    ):
        await link.until(lambda: converter.clients)
        for _ in range(50):
            converter.send(b"\xff\r" * 200 + os.urandom(2000).replace(b"\r", b"") + b"\r")
        converter.present(CARD)
        await link.until(lambda: link.of("access.granted"))
    assert len(link.of("device.unmapped")) <= 5


@pytest.mark.skipif(shutil.which("socat") is None, reason="needs socat")
async def test_a_card_over_a_serial_line_made_by_socat(link: RecordingLink, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    socat = await asyncio.create_subprocess_exec(
        "socat", "-d", "-d", f"pty,raw,echo=0,link={ours}", f"pty,raw,echo=0,link={theirs}",
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert socat.stderr is not None
    try:
        async with asyncio.timeout(10):
            while b"starting data transfer" not in await socat.stderr.readline():
                pass
        bus = BusConfig.model_validate({"serial": str(ours), "baudrate": 9600})
        task = asyncio.create_task(run(Line("line", bus, (reader("em-uart"),)), link))
        await link.until(lambda: link.seen_count)
        theirs.write_bytes(b"\x0262E3086CED08\x03")
        await link.until(lambda: link.of("access.denied"))
        task.cancel()
        await asyncio.wait({task})
    finally:
        socat.terminate()
        await socat.wait()
    assert link.readings[0].credential == Credential("wiegand-34", 0, 0xE3086CED)
