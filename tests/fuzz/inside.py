"""What comes from the platform, from a person's files and commands, and from a disk that may be damaged."""

import asyncio
import io
import json
import sqlite3
import struct
import tarfile
import zlib
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, cast

from pydantic import ValidationError

from drivers._modbus_profile import Profile
from drivers._mqtt_profile import Profile as MqttProfile
from drivers._text_map import TextMap
from gateway import backup, batch, orders
from gateway.audit import Audit
from gateway.commands import Action, Rules
from gateway.config import ConfigProblems, load
from gateway.control import LINE_BYTES, Control
from gateway.desk import Desk
from gateway.driver import read_data, registry
from gateway.errors import StateError
from gateway.event import Lane
from gateway.fields import Wrong
from gateway.house import House
from gateway.journal import SIZE_BYTES, Journal
from gateway.mqtt import Message, _Gathering
from gateway.packing import pack, unpack
from gateway.peer import Target
from gateway.store import Store
from tests.fakes import ManualClock
from tests.fuzz.hearing import Pipe, idle
from tests.fuzz.promises import promise

Run = Callable[[bytes], object]
LARGEST_BYTES = 4096  # of a packet, in these tests
SCHEMA = 4


@cache
def _room() -> Path:
    """A folder that goes with the process."""
    kept = TemporaryDirectory(prefix="fuzz-")
    _KEPT.append(kept)
    return Path(kept.name)


_KEPT: list[TemporaryDirectory[str]] = []


def _file(data: bytes, name: str) -> Path:
    path = _room() / name
    path.write_bytes(data)
    return path


def mqtt_packets(data: bytes) -> None:
    """First byte: MQTT 5.0 or 3.1.1, and in pieces of which size. What is not ours stays for paho."""
    first, rest = (data[0], data[1:]) if data else (0, b"")
    target = Target("h", 1, "c", protocol="5" if first & 1 else "3.1.1", largest_bytes=LARGEST_BYTES)
    client = _Gathering(target, 0)
    size = (first >> 1) + 1
    for at in range(0, len(rest), size):
        piece = rest[at : at + size]
        skipped = min(client._skip_bytes, len(piece))
        client._skip_bytes -= skipped
        client.incoming += piece[skipped:]
        if client.ours(lambda *told: promise(told[0] <= 0xFFFF, "a packet id"), _heard):
            return
        promise(len(client.incoming) <= LARGEST_BYTES + size + 8, f"{len(client.incoming)} bytes held")


def _heard(message: Message) -> None:
    message.topic.encode()
    message.done()


class Ledger:
    """The tables that commands need, in memory."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        for number in range(1, SCHEMA + 1):
            script = (files("gateway") / "schema" / f"{number:03d}.sql").read_text("utf-8")
            self._connection.executescript(script)

    async def transact(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """As the store does."""
        return work(self._connection)


async def _done(_args: object) -> dict[str, Any]:
    return {}


async def commands(data: bytes) -> None:
    """First byte: retained, marked as sent again; then the topic's last level, a newline and the payload."""
    first, (device, _, payload) = data[0] if data else 0, data[1:].partition(b"\n")
    actions: dict[str, Action] = dict.fromkeys(("sync", "resend", "unlock"), _done)
    rules = Rules("district", "sc/v1/b", "zh-CN", frozenset({"sync", "resend", "unlock"}), {"d": frozenset({"unlock"})})
    store, clock = cast(Store, _ledger()), ManualClock()
    desk = Desk(rules, store, clock, actions, Audit(store, clock))
    topic = f"sc/v1/b/command/{device.decode('utf-8', 'replace')}"
    message = Message(
        topic, payload, bool(first & 1), bool(first & 2), response_topic=topic.replace("command", "reply")
    )
    for _ in range(2):
        reply = await desk.answer(message)
        answer = orders.Answer.model_validate_json(reply.payload.encode())
        promise(answer.code, "an answer without a code")
        reply.topic.encode()


@cache
def _ledger() -> Ledger:
    return Ledger()


class Butler:
    """Answers every question with what it was asked; its only device takes `unlock`."""

    language = "zh-CN"

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:")
        clock = ManualClock()
        self.vitals = SimpleNamespace(clock=clock)
        self.audit = Audit(cast(Store, _ledger()), clock)
        self.supervisor = SimpleNamespace(takes=lambda: {"d": frozenset({"unlock"})})
        self.actions: dict[str, Action] = dict.fromkeys(("unlock", "drill", "shelve"), _done)

    def health(self) -> dict[str, Any]:
        """Good."""
        return {}

    verdict = devices = alarms = health

    async def outbox(self) -> dict[str, Any]:
        """Empty."""
        return {}

    async def resend(self, *asked: Any) -> list[Any]:
        """As far as the database takes the numbers."""
        self.connection.execute("SELECT ?, ?, ?", asked)
        return list(asked)

    async def events(self, wanted: Any, limit: int) -> list[Any]:
        """None."""
        self.connection.execute("SELECT ?, ?", (wanted.since_ms, limit))
        return []

    async def acknowledge(self, *asked: Any) -> list[Any]:
        """Nothing."""
        alarm, by, *said = asked
        told = [alarm, by.who, *said]
        self.connection.execute("SELECT ?, ?, ?, ?", told)
        return told

    async def follow(self, _wanted: Any) -> Any:
        """Nothing happens."""
        for happening in list[Any]():
            yield happening


async def control(data: bytes) -> None:
    """One client's lines; each is answered with one line of JSON."""
    reader = asyncio.StreamReader(limit=LINE_BYTES)
    protocol = asyncio.StreamReaderProtocol(reader)
    pipe = Pipe(protocol, ("", 0))
    protocol.connection_made(pipe)
    writer = asyncio.StreamWriter(pipe, protocol, reader, asyncio.get_running_loop())
    reader.feed_data(data)
    reader.feed_eof()
    await Control(cast(House, Butler())).serve(reader, writer)
    await idle()
    for line in bytes(pipe.said).splitlines():
        promise(isinstance(json.loads(line), dict), "no answer")


def config(data: bytes) -> None:
    """gateway.yaml: every problem at its place, in both languages."""
    try:
        load(_file(data, "gateway.yaml"), registry().models())
    except ConfigProblems as found:
        for problem in found.problems:
            promise(problem.what.en and problem.what.zh, "a problem without words")


def profile(data: bytes) -> None:
    """An installer's description of a device. Only Wrong."""
    path = _file(data, "profile.yaml")
    for model in (Profile, MqttProfile, TextMap):
        try:
            read_data(path, model)
        except Wrong as wrong:
            str(wrong)


def journal(data: bytes) -> None:
    """Whole records of whatever stands in the file, and the batches in them. Only ValueError, of a batch."""
    for content in [data, *Journal(_file(data[:SIZE_BYTES], "damaged.journal")).read()]:
        try:
            again = batch.decode(content)
        except ValueError:
            continue
        promise(batch.decode(again.encode()) == again, "a batch that changes")


def packing(data: bytes) -> None:
    """An event as it is stored. Only ValueError."""
    try:
        text = unpack(data)
    except ValueError:
        return
    promise(unpack(pack(text)) == text, "a text that changes")


def archive(data: bytes) -> None:
    """A backup as `gateway restore` checks it. Only StateError."""
    try:
        backup.read(_file(data, "backup.tar"))
    except StateError as error:
        error.say("zh")


def _examples(folder: str) -> list[bytes]:
    root = Path(__file__).resolve().parents[2]
    return [path.read_bytes() for path in sorted((root / folder).glob("*.yaml"))[:4]]


def _record() -> bytes:
    """As the journal writes it, which takes no time here."""
    content = _batch()
    head = struct.pack("<4sQII", b"cgj1", 1, len(content), zlib.crc32(content, zlib.crc32((1).to_bytes(8, "little"))))
    return (head + content).ljust(512, b"\0")


def _backup() -> bytes:
    """No backup, but a tar that begins as one."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in ((backup.MANIFEST, b"{}"), ("config/\u4e00.yaml", b"gateway: {}")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return made.getvalue()[:4096]


def _batch() -> bytes:
    return batch.Batch(
        [(Lane.EVENT, (7, 1, "district=7", b"\x01x", None), None)], {("district", Lane.EVENT): batch.Cursor(6, 6)}
    ).encode()


def order(data: bytes) -> None:
    """A command as the AsyncAPI document describes it. Only ValidationError."""
    try:
        orders.Command.model_validate_json(data)
    except ValidationError as error:
        error.errors(include_url=False)


_COMMANDS = [json.dumps(command | {"expires": "2027-01-01T00:00:00Z"}).encode() for command in orders.commands()]
_ASKED = [
    b'{"ask": "status"}\n{"ask": "devices"}\n',
    b'{"ask": "events", "types": ["fire.*"], "since_ms": 1, "limit": 5}\n',
    b'{"ask": "resend", "stream": "district.event", "from": 1, "to": 2}\n',
    b'{"ask": "ack", "alarm": "abcdef", "who": "w", "outcome": "real", "note": "n"}\n{"ask": "follow"}\n',
    b'{"ask": "send", "device": "d", "action": "unlock", "args": {"seconds": 5}, "who": "w"}\n',
]
INSIDE: dict[str, tuple[Run, list[bytes]]] = {
    "mqtt-packets": (
        mqtt_packets,
        [b"\x15\x32\x0a\x00\x01a\x00\x01\x00body!", b"\x15\x40\x02\x00\x01\x40\x03\x00\x02\x87"],
    ),
    "commands": (commands, [b"\0gateway\n" + each for each in _COMMANDS] + [b"\0d\n" + _COMMANDS[0]]),
    "orders": (order, _COMMANDS),
    "control": (control, _ASKED),
    "config": (config, _examples("config")),
    "profile": (
        profile,
        [each for folder in ("profiles", "profiles/mqtt", "texts") for each in _examples(f"drivers/{folder}")],
    ),
    "journal": (journal, [_batch(), _record()]),
    "packing": (packing, [pack('{"specversion":"1.0"}'), b'{"specversion":"1.0"}']),
    "backup": (archive, [_backup()]),
}
