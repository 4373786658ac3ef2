"""A whole gateway in the test's own process, by the daemon's own composer; its devices are puppets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.app import live, standing
from gateway.config import Config
from gateway.control import NAME
from gateway.driver import Driver, Line, Link
from gateway.event import Phase, Reading, Value
from gateway.fields import DeviceConfig
from gateway.house import House

WAIT_S = 10.0  # longest wait for anything that must happen
PLACES = {"b3": {"label": "3号楼", "units": {"u2": {"label": "2单元"}}}, "gate": {"label": "大门"}}


class Puppets:
    """A driver whose devices do what a test says. Each device stands alone, so that each has a link of its own."""

    def __init__(self) -> None:
        self.links: dict[str, Link] = {}
        self.trouble: dict[str, list[Exception]] = {}  # by line: raised at each start, until none is left
        self.starts: list[str] = []
        self._changed = asyncio.Event()

    @property
    def drivers(self) -> dict[str, Driver[Any]]:
        """For the composer."""
        return {"puppet": Driver("Puppets", DeviceConfig, self._run, lambda _config, _wire: (), actions=("unlock",))}

    async def _run(self, line: Line[DeviceConfig], link: Link) -> None:
        self.starts.append(line.name)
        self._changed.set()
        trouble = self.trouble.get(line.name)
        if trouble:
            raise trouble.pop(0)
        self.links[line.name] = link
        self._changed.set()
        await asyncio.get_running_loop().create_future()

    async def until(self, condition: Callable[[], object]) -> None:
        """Looked at whenever a line starts."""
        async with asyncio.timeout(WAIT_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def link(self, device: str) -> Link:
        """As soon as the device's driver runs."""
        await self.until(lambda: device in self.links)
        return self.links[device]

    async def emit(self, device: str, kind: str, phase: str = "pulse", **values: float) -> str:
        """The device says something; returns the event's id, on disk."""
        link = await self.link(device)
        measured = {name: Value(value) for name, value in values.items()}
        (identity,) = await link.emit(Reading(device, kind, Phase(phase), values=measured))
        return identity


def config(
    folder: Path, devices: Mapping[str, str], uplinks: Mapping[str, Mapping[str, Any]] | None = None, **gateway: Any
) -> Config:
    """A community with these devices (id → kind), all of them puppets at the gate; no page unless it is given."""
    listed = [{"id": name, "driver": "puppet", "place": "gate", "kind": kind} for name, kind in devices.items()]
    document = {
        "gateway": {"id": "gw-0001", "state_dir": str(folder / "state"), "language": "en", "web": "off"} | gateway,
        "site": {
            "name": "阳光花园",
            "area": {"district": "310104", "street": "013", "community": "002"},
            "places": PLACES,
        },
        "uplinks": uplinks or {},
        "devices": listed,
    }
    return Config.model_validate(document)


def to(port: int, **more: Any) -> dict[str, Any]:
    """An uplink on loopback."""
    return {"url": f"mqtt://127.0.0.1:{port}"} | more


@asynccontextmanager
async def living(made: Config, puppets: Puppets) -> AsyncIterator[House]:
    """It runs while the block lasts, and ends as on SIGTERM."""
    stopping = asyncio.Event()
    async with standing(made, puppets.drivers) as house:
        task = asyncio.create_task(live(house, stopping))
        try:
            yield house
        finally:
            stopping.set()
            async with asyncio.timeout(WAIT_S):
                await task


async def until(house: House, condition: Callable[[], object]) -> None:
    """Looked at again after each read of the disk: whatever moves it, nothing waits for longer than that."""
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await house.store._reader.read(lambda _connection: None)


async def disk(house: House) -> list[dict[str, Any]]:
    """All events on disk, as `house.events` tells them."""
    from gateway.house import Filter

    return await house.events(Filter(), 10_000)


class Client:
    """One connection to the daemon's socket: `async with Client(folder) as client`."""

    def __init__(self, state: Path) -> None:
        self._path = state / NAME

    async def __aenter__(self) -> "Client":
        self._reader, self.writer = await asyncio.open_unix_connection(self._path, limit=2**24)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def raw(self, sent: bytes) -> Any:
        """Send bytes as they are; the answer, or None where the daemon hangs up."""
        self.writer.write(sent)
        return await self.line()

    async def line(self) -> Any:
        """The next line of JSON, or None at the end."""
        async with asyncio.timeout(WAIT_S):
            line = await self._reader.readline()
        return json.loads(line) if line else None

    async def ask(self, question: str, **details: Any) -> Any:
        """One question, one answer: what stands under `ok`. AssertionError: it was an error."""
        answer = await self.raw(json.dumps({"ask": question, **details}).encode() + b"\n")
        assert "ok" in (answer or {}), answer
        return answer["ok"]


async def ask(state: Path, question: str, **details: Any) -> Any:
    """One question on a connection of its own."""
    async with Client(state) as client:
        return await client.ask(question, **details)
