"""A box dies, another takes its place from a backup made under load: no number twice, every hole told."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from drivers.sim.webhook import Poster
from tests.brokers import Mosquitto, Subscriber, Wire, subscribed
from tests.faults.daemon import BASE, ROOT, Daemon, token, webhook
from tests.faults.judge import Event, first_arrivals

DEVICE = "poster-1"
READINGS = ({"type": "access.granted"}, {"type": "safety.panic", "phase": "raise"}, {"type": "access.denied"})
FEW, MANY = 10, 30  # rounds of READINGS


async def gateway(*arguments: str | Path) -> str:
    """One command; what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", *map(str, arguments), cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(30):
        said, complained = await process.communicate()
    assert process.returncode == 0, complained.decode()
    return said.decode()


async def posted(device: Poster, rounds: int) -> set[str]:
    """So many rounds, accepted; all ids so far."""
    await device.say(*READINGS * rounds)
    await device.all_accepted()
    return set(device.accepted)


async def old_life(folder: Path, wire: Wire, city: Subscriber, archive: Path) -> tuple[set[str], set[str]]:
    """Backed up while it takes events in and the link is away; then it goes on, delivers, and dies.

    Returns what it had accepted when the backup began, and all it ever did.
    """
    async with (
        Daemon(folder, uplink=wire.port, devices=[webhook(DEVICE, "door")]) as old,
        Poster(f"{old.url}/ingest/{DEVICE}", token(DEVICE)) as device,
    ):
        await old.start()
        delivered = await posted(device, FEW)
        await city.until(lambda: delivered <= {event["id"] for event in city.events()})
        wire.cut()
        before = await posted(device, FEW)
        await device.say(*READINGS * MANY)
        await gateway("backup", archive, "--config", folder / "gateway.yaml")
        await device.all_accepted()
        wire.mend()
        everything = set(device.accepted)
        await city.until(lambda: everything <= {event["id"] for event in city.events()})
        wire.cut()
        everything = await posted(device, FEW)  # these die with it
        await old.kill()
    return before, everything


async def owed(daemon: Daemon) -> int:
    """Events that the uplink has not confirmed; numbers that were skipped do not count."""
    _, status = await daemon.get("/api/v1/status")
    return sum(int(lane["backlog"]) for lane in status["uplinks"]["district"]["lanes"].values())


def check(events: Sequence[Event]) -> None:
    """No number stands for two events, and each that did not come is told."""
    ids: dict[tuple[str, int], str] = {}
    told: dict[str, set[range]] = {}
    for event in events:
        assert ids.setdefault((event["stream"], int(event["sequence"])), event["id"]) == event["id"]
        if event["type"] == "gateway.data_lost":
            data = event["data"]
            assert data["reason"] == "restored"
            told.setdefault(data["stream"], set()).add(range(int(data["first"]), int(data["last"]) + 1))
    for stream in {stream for stream, _ in ids}:
        numbers = sorted(number for name, number in ids if name == stream)
        holes = [range(a + 1, b) for a, b in zip([0, *numbers], numbers, strict=False) if b > a + 1]
        assert holes, stream
        for hole in holes:
            assert any(hole[0] in lost and hole[-1] in lost for lost in told[stream]), (stream, hole)


async def test_a_box_is_replaced(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    archive = tmp_path / "gw-0001.tar"
    async with (
        Mosquitto(tmp_path, "allow_anonymous true", "max_queued_messages 0") as broker,
        subscribed(broker.port, f"{BASE}/#") as city,
        Wire(broker.port) as wire,
    ):
        before, everything = await old_life(old, wire, city, archive)
        arrived = len(city.events())
        latest = max(everything)
        session = (city.document("/status") or {})["session"]
        await gateway("restore", archive, "--state-dir", new / "state", "--config", tmp_path / "etc")
        wire.mend()
        async with (
            Daemon(new, uplink=wire.port, devices=[webhook(DEVICE, "door")]) as second,
            Poster(f"{second.url}/ingest/{DEVICE}", token(DEVICE)) as device,
        ):
            await second.start()
            after = await posted(device, FEW)
            await city.until(lambda: after <= {event["id"] for event in city.events()})
            await city.until(lambda: len(restored(city)) == 3)
            async with asyncio.timeout(10):
                while await owed(second):  # until the last PUBACK has come
                    await second.after(0.05)
            assert (city.document("/status") or {})["session"] > session
            await second.stop()
    assert before <= {event["id"] for event in city.events()}
    assert min(after) > latest
    assert any(event["id"] in before for event in city.events()[arrived:])  # what waited was sent again, as it was
    check(city.events())
    assert len(first_arrivals(city)) < len(city.events())


def restored(city: Subscriber) -> set[str]:
    """Streams whose hole was told."""
    return {event["data"]["stream"] for event in city.events() if event["type"] == "gateway.data_lost"}
