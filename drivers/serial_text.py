"""Panels that print: printer ports and graphic-display (CRT) ports of fire panels, and whatever else writes lines.

A port that only talks: nothing is ever sent to it. What the lines mean stands in a map (`drivers/texts/`, or a YAML
file of one's own): regular expressions with named groups. A line that fits none goes through as `device.unmapped` with
its text. Text is GB 18030, rubbish replaced, printer commands taken out; a silence ends a line that has no newline.

A panel that says nothing is no panel that is well: it is `unknown` until its first line, and `offline` while the port
is gone, until the next one. Where it prints at least once a day, `offline_after` tells its silence too.
"""

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationInfo, field_validator, model_validator

from drivers._allowance import of_line
from drivers._serial import open_port
from drivers._text_frame import Framer
from drivers._text_map import TextMap, load, locate
from drivers._text_panel import Panel
from drivers._zone import BEIJING, Zone, local_time
from gateway.driver import Driver, Example, Line, Link, Proof
from gateway.errors import DeviceError, Misconfigured, StorageError, Text, Unreachable
from gateway.event import Json, Phase, Reading
from gateway.fields import BusConfig, DeviceConfig, Duration, Id, Wrong

CHUNK_BYTES = 512
CONNECT_S = 5.0
RETRY_S = 1.0  # for what the disk did not take
LAST_WORDS_S = 2.0  # for what a port said before it went
MOST_WAITING = 1000  # records; beyond that the port is not read, and the panel's own buffer must do
KEEPALIVE_S = 30  # of silence, before a serial server is asked whether it is still there
CHECK = Text("check the adapter, the cable and the serial server", "请检查转换器、线缆和串口服务器")


class Config(DeviceConfig):
    """A panel on a serial line, or one of its parts as a device of its own."""

    bus: Id = Field(description="the line it is on, one of buses:")
    profile: str | None = Field(
        None, description="name of a text map, or path of a file of your own; needed but for parts"
    )
    part: str | None = Field(None, max_length=64, description="this part of the panel, as its map names it: 004-004")
    zone: Zone = Field(BEIJING, description="of the dates it prints")
    ignore_repeats: Duration = Field(60.0, description="the same text again within this time says nothing new")
    offline_after: Duration | None = Field(None, description="silence that means it is offline; else only a lost port")

    @model_validator(mode="before")
    @classmethod
    def _kind_of_map(cls, data: Any, info: ValidationInfo) -> Any:
        if isinstance(data, dict) and data.get("kind") is None and isinstance(data.get("profile"), str):
            with suppress(Wrong):  # told by the field itself
                return {**data, "kind": load(_located(data["profile"], info)).kind}
        return data

    @field_validator("profile")
    @classmethod
    def _known(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        located = _located(value, info)
        load(located)
        return located

    @model_validator(mode="after")
    def _either(self) -> "Config":
        if (self.profile is None) == (self.part is None):
            raise Wrong(
                "profile: is needed for the panel, part: for a part of it",
                "控制器需要 profile:,其部件需要 part:,二者写一个",
            )
        return self

    @property
    def map(self) -> TextMap:
        """What its lines mean."""
        return load(self.profile or "")


def _located(profile: str, info: ValidationInfo) -> str:
    """Relative to the folder of the YAML file (`base` in the context), as all paths are."""
    return locate(profile, (info.context or {}).get("base", Path()))


def decode(config: Config, wire: bytes) -> Sequence[Reading]:
    """Bytes of the port, and a silence behind them → what they say by themselves, nothing known before."""
    panel = Panel(config.id, config.map, config.zone, {}, 0.0)
    framer = Framer(panel.map)
    return [reading for text in [*framer.feed(wire), *framer.idle()] for reading in panel.meaning(text)]


class Listener:
    """Reads the port, and brings what it says to the disk, in order; one does not wait for the other."""

    def __init__(self, panel: Panel, line: Line[Config], link: Link) -> None:
        self._panel, self._link = panel, link
        self._ids = [config.id for config in line.devices]
        self._name = line.name
        self._records: deque[str] = deque()
        self._some, self._room = asyncio.Event(), asyncio.Event()
        self._heard_at = link.clock.monotonic()
        self._heard = asyncio.Event()
        self._disk_refuses = False
        self._garbled = False  # it has been said

    async def read(self, port: asyncio.StreamReader) -> None:
        """Until the port is gone (Unreachable)."""
        framer, allowance = Framer(self._panel.map), of_line(self._link.clock)
        try:
            while True:
                data = await self._chunk(port, self._panel.map.idle if framer.pending else None)
                self._take(framer.idle() if data is None else framer.feed(data))
                await asyncio.sleep(0)  # the others' turn
                if wait_s := allowance.take(len(data or b"")):
                    await self._link.clock.sleep(wait_s)
                await self._fewer_than(MOST_WAITING)
        except Unreachable:
            self._take(framer.idle())
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_S):
                    await self._fewer_than(1)
            raise

    def _take(self, records: Sequence[str]) -> None:
        self._records.extend(records)
        if self._records:
            self._some.set()

    async def _fewer_than(self, count: int) -> None:
        """Waits until fewer records than that are left to tell."""
        while len(self._records) >= count:
            self._room.clear()
            await self._room.wait()

    async def _chunk(self, port: asyncio.StreamReader, patience_s: float | None) -> bytes | None:
        """What came in; None where nothing came for so long."""
        why = "closed by the other end"
        try:
            async with asyncio.timeout(patience_s):
                data = await port.read(CHUNK_BYTES)
        except TimeoutError:
            return None
        except OSError as error:
            data, why = b"", str(error)
        if not data:
            raise Unreachable(self._name, Text(f"the port is gone: {why}", f"串口不可用:{why}"), CHECK)
        return data

    async def tell(self) -> None:
        """For ever. What the disk does not take waits, and is told when it does."""
        while True:
            while not self._records:
                self._some.clear()
                await self._some.wait()
            try:
                await self._record(self._records[0])
                self._disk_refuses = False
                self._records.popleft()
                self._room.set()
            except StorageError as error:
                if not self._disk_refuses:
                    self._link.log.warning("what the panel prints waits for the disk: %s", error)
                self._disk_refuses = True
                await self._link.clock.sleep(RETRY_S)

    async def _record(self, text: str) -> None:
        now_s = self._link.clock.monotonic()
        self._heard_at = now_s
        self._heard.set()
        for device in self._ids:
            await self._link.seen(device)
        readings = self._panel.news(text, self._link.active, now_s)
        if readings:
            await self._link.emit(*readings)
            self._panel.told(text, now_s)
        elif self._panel.left_out and not self._garbled:
            self._garbled = True
            self._link.log.warning(
                "%s: many lines that the map does not know: check baudrate: and profile:", self._ids[0]
            )

    async def watch(self, offline_after_s: float) -> None:
        """Tells the panel lost after that much silence, once until it prints again."""
        while True:
            wait_s = self._heard_at + offline_after_s - self._link.clock.monotonic()
            if wait_s > 0:
                await self._link.clock.sleep(wait_s)
                continue
            self._heard.clear()
            for device in self._ids:
                await self._link.lost(device, "silent")
            await self._heard.wait()


@asynccontextmanager
async def open_text(name: str, bus: BusConfig) -> AsyncIterator[asyncio.StreamReader]:
    """The port of `buses: {name}`, or the serial server. Unreachable: it is not there."""
    if bus.tcp is None:
        port = open_port(name, bus)
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), port)
        try:
            yield reader
        finally:
            transport.close()
        return
    host, number = bus.tcp
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(host, number)
    except (OSError, TimeoutError) as error:
        what = f"{host}:{number}: {str(error) or 'no answer'}"
        raise Unreachable(name, Text(f"no connection to {what}", f"无法连接 {what}"), CHECK) from error
    _keep_alive(writer.get_extra_info("socket"))
    try:
        yield reader
    finally:
        writer.close()


def _keep_alive(connection: socket.socket) -> None:
    """A port that only talks would never notice that the server has gone (tcp(7))."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_S // 3)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def panel_of(line: Line[Config]) -> tuple[Config, Panel]:
    """The panel of a line, and the parts that are devices of their own. Misconfigured: none, two, or a part twice."""
    own = [config for config in line.devices if config.part is None]
    parts = {config.part: config.id for config in line.devices if config.part is not None}
    if len(own) != 1 or len(parts) + 1 != len(line.devices):
        raise Misconfigured(
            line.name,
            Text(
                "a printer port has one panel (profile:), and each part: of it once",
                "一个打印口只能有一个控制器(profile:),每个 part: 只能出现一次",
            ),
            Text("correct devices: of this bus", "请改正该总线的 devices:"),
        )
    (config,) = own
    return config, Panel(config.id, config.map, config.zone, parts, config.ignore_repeats)


async def run(line: Line[Config], link: Link) -> None:
    """Listens to one port until it is gone (Unreachable) or cancelled."""
    if line.bus is None:
        raise Misconfigured(line.name, Text("serial_text needs a bus", "serial_text 需要总线(buses:)"))
    config, panel = panel_of(line)
    try:
        async with open_text(line.name, line.bus) as port:
            await _serve(Listener(panel, line, link), port, config.offline_after)
    except Unreachable:
        for device in line.devices:
            with suppress(StorageError):  # the supervisor starts us again, and we say it again
                await link.lost(device.id, "bus-down")
        raise


async def _serve(listener: Listener, port: asyncio.StreamReader, offline_after_s: float | None) -> None:
    gone: DeviceError | None = None
    async with asyncio.TaskGroup() as group:
        others = [group.create_task(listener.tell(), name="text to disk")]
        if offline_after_s is not None:
            others.append(group.create_task(listener.watch(offline_after_s), name="text silence"))
        try:
            await listener.read(port)
        except DeviceError as error:
            gone = error  # not out of the group, which would wrap it
        finally:
            for task in others:
                task.cancel()
    if gone is not None:
        raise gone


_CONFIG = {"bus": "line", "profile": "gst"}
_FIRST = (
    "1B 36 30 38 2F 31 32 2F 30 32 20 20 31 37 3A 32 34 0A 20 20 30 30 34 2D 30 30 34 0A 1B 39 CA D7 B4 CE BB F0 BE AF"
    "0A C8 B9 C2 A5 D2 BB B2 E3 C9 CF BF D5 0A B8 D0 D1 CC CC BD B2 E2 C6 F7 0A 0A"
)
_FURTHER = (
    "1B 36 30 38 2F 31 32 2F 30 32 20 20 31 37 3A 32 31 0A 20 20 30 30 36 2D 30 30 37 0A 1B 39 BB F0 BE AF BA F3 D0 F8"
    "0A D6 D0 D1 CC C1 F9 B2 E3 BC C6 BB AE B2 BF 0A B8 D0 D1 CC CC BD B2 E2 C6 F7 0A 0A"
)
_RESET = "1B 36 30 38 2F 31 32 2F 30 32 20 20 31 37 3A 32 35 0A 20 20 0A 1B 39 CF B5 CD B3 B8 B4 CE BB 0A 0A"


def _at(clock: str) -> dict[str, Any]:
    return {"device_time": local_time(f"2008-12-02 {clock}", ["%Y-%m-%d %H:%M"], BEIJING)}


def _place(loop: int, point: int, text: str) -> dict[str, Json]:
    return {"address": f"{loop:03d}-{point:03d}", "loop": loop, "point": point, "text": text}


EXAMPLES = (
    Example(
        "GST9000: the first fire, as published",
        _CONFIG,
        bytes.fromhex(_FIRST),
        (
            Reading(
                "example",
                "fire.smoke",
                Phase.RAISE,
                part=_place(4, 4, "裙楼一层上空"),
                raw={"text": "08/12/02 17:24\n004-004\n首次火警\n裙楼一层上空\n感烟探测器"},
                **_at("17:24"),
            ),
        ),
    ),
    Example(
        "GST9000: a further fire, as published",
        _CONFIG,
        bytes.fromhex(_FURTHER),
        (
            Reading(
                "example",
                "fire.smoke",
                Phase.RAISE,
                part=_place(6, 7, "中烟六层计划部"),
                raw={"text": "08/12/02 17:21\n006-007\n火警后续\n中烟六层计划部\n感烟探测器"},
                **_at("17:21"),
            ),
        ),
    ),
    Example("GST9000: reset, as published: by itself it ends nothing", _CONFIG, bytes.fromhex(_RESET), ()),
    Example(
        "rubbish between the lines, half a character",
        _CONFIG,
        b"\x00\xff\xb4\r\n\r\n",
        (Reading("example", "device.unmapped", Phase.PULSE, raw={"text": "\ufffd\ufffd"}),),
    ),
)
DRIVER = Driver(
    title="Panels that print: printer and CRT ports of fire panels, by text map",
    Config=Config,
    run=run,
    decode=decode,
    examples=EXAMPLES,
    kind="panel",
    proof=Proof(
        "no standard: text maps; GST9000 (海湾) from published bytes of its printer port",
        {"bytes that fire-service firms publish": "tests/unit/test_serial_text.py"},
        "every panel; the other words of the map gst are those of the display, not seen on paper",
    ),
)
