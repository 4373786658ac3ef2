"""What can be thrown at each way into a daemon, who stands behind that way in earnest, and the process that throws."""

import asyncio
import json
import select
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp

from drivers._gb26875_frame import encode
from drivers.sim.gb26875 import Quirks, Transmitter
from gateway.demo.wire import free_port
from tests.faults.daemon import ROOT, token, webhook

OURS, STRANGER, MAD = "127.0.0.1", "127.0.0.2", "127.0.0.3"  # who is allowed, who is not, and who is but has gone mad
UTD, MAD_UTD, UTD_UDP = "790300000000", "7A0300000000", "7B0300000000"
PUSH = {"door": "/by-hand/0123456789abcdef", "mad-door": "/by-hand/fedcba9876543210"}
FIRE, NORMAL = 0x0003, 0x0001
MANY = 200  # different messages in one round of a flood
PATIENCE_S = 5.0
CALLED_S = 15.0  # longer than the longest wait before the gateway calls again
LINES = ("wiegand", "text", "modbus")
GST_FIRE = "1b36{:02}/11/23  17:24\n  {:03}-004\n\x1b9首次火警\n裙楼一层上空\n感烟探测器\n\n"


@dataclass(frozen=True)
class Attack:
    """One thing that is done to one way in."""

    name: str
    way: str  # one of tests.faults.attackers.WAYS
    door: str  # where: a name in `Doors.ports`
    pieces: tuple[bytes, ...]
    source: str = STRANGER


@dataclass(frozen=True)
class Doors:
    """The ports of all ways in."""

    page: int
    ports: Mapping[str, int]

    def port(self, name: str) -> int:
        """Of a way in."""
        return self.page if name == "page" else self.ports[name]


def doors() -> Mapping[str, int]:
    """A free port for each way in, but the page's, which the daemon chooses."""
    names = ("gb", "zkteco", "isapi", "wiegand", "text", "modbus", "camera")
    found = {name: free_port() for name in names}
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.bind((OURS, 0))
        return found | {"udp": int(probe.getsockname()[1])}


def devices(ports: Mapping[str, int], broker: int) -> list[str]:
    """A device behind each, and beside it one that goes mad; lines of `devices:`."""
    peers, both = f'["{OURS}"]', f'["{OURS}", "{MAD}"]'
    gb, zk = f'driver: gb26875, listen: "{OURS}:{ports["gb"]}"', f'driver: zkteco, listen: "{OURS}:{ports["zkteco"]}"'
    isapi = f'driver: isapi, url: "http://{OURS}:{ports["camera"]}", password: p, listen: "{OURS}:{ports["isapi"]}"'
    lines = [
        f'id: utd, {gb}, address: "{UTD}", peers: {peers}',
        f'id: mad-utd, {gb}, address: "{MAD_UTD}", peers: {both}',
        f'id: udp-utd, driver: gb26875, listen: "udp://{OURS}:{ports["udp"]}", address: "{UTD_UDP}", peers: {both}',
        f"id: face, {zk}, address: CKJ1, allow: {peers}",
        f"id: mad-face, {zk}, address: CKJ2, allow: {both}",
        f"id: door, {isapi}, path: {PUSH['door']}, allow: {peers}",
        f"id: mad-door, {isapi}, path: {PUSH['mad-door']}, allow: {both}",
        "id: reader, driver: wiegand, bus: wiegand, frame: hex-line",
        "id: panel, driver: serial_text, bus: text, profile: gst",
        "id: board, driver: modbus, bus: modbus, address: 1, profile: waveshare-io-8ch, poll: 50ms",
        f'id: hub, driver: mqtt_in, url: "mqtt://{OURS}:{broker}", profile: zigbee2mqtt',
        "id: bulb, driver: mqtt_in, hub: hub, address: bulb, kind: smoke",
    ]
    return [webhook("neighbour"), webhook("mad")] + [f"{{{line}, place: b3}}" for line in lines]


def buses(ports: Mapping[str, int]) -> dict[str, str]:
    """Lines that the gateway calls itself."""
    return {name: f'{{tcp: "{OURS}:{ports[name]}"}}' for name in LINES}


class Called:
    """The converters that the gateway calls: they answer the call, and say nothing by themselves."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        self._listening = {name: socket.create_server((OURS, ports[name])) for name in LINES}
        self._lines: dict[str, socket.socket] = {}

    async def line(self, name: str) -> int:
        """The file descriptor of the newest connection; waits for the first."""
        loop = asyncio.get_running_loop()
        while name not in self._lines or select.select([self._listening[name]], [], [], 0)[0]:
            self._listening[name].setblocking(False)
            async with asyncio.timeout(CALLED_S):
                self._lines[name], _ = await loop.sock_accept(self._listening[name])
        return self._lines[name].fileno()

    def close(self) -> None:
        """All of them."""
        for opened in (*self._listening.values(), *self._lines.values()):
            opened.close()


# --- what is thrown


def post(path: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    """A request; `length`: what it says of its body."""
    size = len(body) if length is None else length
    lines = (f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {size}", *headers)
    return "\r\n".join((*lines, "", "")).encode() + body


def frames(address: str) -> tuple[bytes, ...]:
    """Fire and its end in turn, each with a serial number of its own."""
    device = Transmitter(OURS, 0, address)
    parts = [
        device.object(2, system=1, system_address=1, part=40, address=b"\x01\0\0\0", text=bytes(31), status=status)
        for status in (FIRE, NORMAL)
    ]
    return tuple(encode(device.frame(b"\x02\x01" + parts[number % 2])) for number in range(MANY))


def damaged(frame: bytes) -> bytes:
    """With a wrong checksum (its third byte from the end)."""
    return frame[:-3] + bytes([frame[-3] ^ 0xFF]) + frame[-2:]


def _swipe(number: int) -> bytes:
    event = f"time=2026-11-23 11:49:32\tpin=0\tcardno={number}\teventaddr=1\tevent=27\tinoutstatus=1\tverifytype=0"
    return f"{event}\tindex={number}".encode()


def _pushed(number: int) -> bytes:
    told = {"majorEventType": 5, "subEventType": 9, "serialNo": number, "cardNo": str(number), "doorNo": 1}
    event = {"eventType": "AccessControllerEvent", "dateTime": "2026-11-23T10:00:00+08:00", "eventState": "active"}
    return json.dumps(event | {"AccessControllerEvent": told}).encode()


def _web() -> list[Attack]:
    path, mine, json_ = "/ingest/mad", f"Authorization: Bearer {token('mad')}", "Content-Type: application/json"
    access = b'{"type": "access.granted", "values": {"reader": 1}}'
    return [
        Attack("web: half heads, a drop at a time", "hold", "page", (b"GET / HTTP/1.1\r\n", b"X: y\r\n")),
        Attack("web: half bodies", "hold", "page", (post(path, b"{", mine, length=1000), b" ")),
        Attack("web: endless head", "pour", "page", (b"GET / HTTP/1.1\r\nX: ", b"x" * 65_536)),
        Attack("web: connections", "knock", "page", ()),
        Attack("web: oversized bodies", "pour", "page", (post(path, b" " * 3_000_000, mine, json_),)),
        Attack("web: wrong tokens", "pour", "page", (post(path, access, json_),)),
        Attack("web: a device gone mad", "pour", "page", (post(path, access, mine, json_),), MAD),
    ]


def _http() -> list[Attack]:
    swipes = tuple(post("/iclock/cdata?SN=CKJ2&table=rtlog", _swipe(number)) for number in range(MANY))
    pushes = tuple(post(PUSH["mad-door"], _pushed(number), "Content-Type: application/json") for number in range(MANY))
    found = []
    for door, path, floods in (
        ("zkteco", "/iclock/cdata?SN=CKJ2&table=rtlog", swipes),
        ("isapi", PUSH["mad-door"], pushes),
    ):
        found += [
            Attack(f"{door}: half heads of strangers", "hold", door, (b"POST / HTTP/1.1\r\n", b"X: y\r\n"), STRANGER),
            Attack(f"{door}: connections of strangers", "knock", door, (), STRANGER),
            Attack(f"{door}: half bodies", "hold", door, (post(path, b"x", length=1000), b"x"), MAD),
            Attack(f"{door}: oversized bodies", "pour", door, (post(path, b"{" * 3_000_000),), MAD),
            Attack(f"{door}: a device gone mad", "pour", door, floods, MAD),
        ]
    return found


def _fire() -> list[Attack]:
    fires, udp = frames(MAD_UTD), frames(UTD_UDP)
    garbage = (b"@@" + b"\x00@\x01" * 20_000,)
    return [
        Attack("gb: connections of strangers", "knock", "gb", (), STRANGER),
        Attack("gb: half frames and silence", "hold", "gb", (b"@@\x00\x00",), MAD),
        Attack("gb: endless garbage", "pour", "gb", garbage, MAD),
        Attack("gb: a device gone mad", "pour", "gb", (b"".join(fires),), MAD),
        Attack("gb: damaged frames", "pour", "gb", (b"".join(map(damaged, fires)),), MAD),
        Attack("gb: datagrams of strangers", "rain", "udp", udp, STRANGER),
        Attack("gb: datagrams of a device gone mad", "rain", "udp", udp, MAD),
        Attack("gb: garbage in datagrams", "rain", "udp", (b"@@" * 700,), MAD),
    ]


def _called() -> list[Attack]:
    fires = "".join(GST_FIRE.format(number % 28 + 1, number) for number in range(MANY)).encode("gb18030")
    cards = b"".join(b"%06X\r" % (0x5A0144 + 2 * number) for number in range(MANY))
    unasked = bytes.fromhex("FFFF 0000 0003 01 01 00") * 5_000
    return [
        Attack("wiegand: endless line", "talk", "wiegand", (b"5" * 65_536,)),
        Attack("wiegand: a converter gone mad", "talk", "wiegand", (cards,)),
        Attack("text: endless line", "talk", "text", (b"5" * 65_536,)),
        Attack("text: a panel gone mad", "talk", "text", (fires,)),
        Attack("modbus: answers that nobody asked for", "talk", "modbus", (unasked,)),
    ]


def _packet(kind: int, body: bytes) -> bytes:
    """MQTT 3.1.1, 2.2: kind and flags, the length in groups of seven bits, the body."""
    length, left = bytearray(), len(body)
    while not length or left:
        left, group = left >> 7, left & 0x7F
        length.append(group | 0x80 * bool(left))
    return bytes([kind]) + length + body


def _text(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()


def _broker() -> list[Attack]:
    hello = _packet(0x10, _text("MQTT") + bytes([4, 2, 0, 0]) + _text("attacker"))

    def told(*payloads: bytes) -> tuple[bytes, ...]:
        return (hello, *(_packet(0x30, _text("zigbee2mqtt/bulb") + payload) for payload in payloads))

    smoke = [json.dumps({"smoke": number % 2 == 0}).encode() for number in range(2)]
    return [
        Attack("mqtt: a chatty device", "publish", "broker", told(*smoke)),
        Attack("mqtt: rubbish", "publish", "broker", told(b"{" * 1000)),
        Attack("mqtt: large messages", "publish", "broker", told(b'{"x": "' + b"x" * 200_000 + b'"}')),
    ]


ATTACKS: Sequence[Attack] = (*_web(), *_http(), *_fire(), *_called(), *_broker())


@asynccontextmanager
async def under(attack: Attack, port: int, folder: Path) -> AsyncIterator[Callable[[], Awaitable[dict[str, Any]]]]:
    """While the block lasts; what it yields ends it and tells what came of it (attackers.Done)."""
    pieces = folder / "pieces.json"
    pieces.write_text(json.dumps([piece.hex() for piece in attack.pieces]), "ascii")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.attackers", attack.way, str(port), attack.source, str(pieces),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        pass_fds=(port,) if attack.way == "talk" else (),
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdout.readline()  # it has begun

    async def ended(stdin: asyncio.StreamWriter = process.stdin) -> dict[str, Any]:
        stdin.close()
        told, _ = await process.communicate()
        done: dict[str, Any] = json.loads(told)
        return done

    try:
        yield ended
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


# --- who stands behind the same way in earnest


@asynccontextmanager
async def _session() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(local_addr=(OURS, 0), force_close=True)
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        yield http


async def served(door: str, port: int) -> bool:
    """Does a new connection of the right device there get its answer? True too where there is nobody to ask."""
    if door in ("gb", "udp"):
        address = UTD if door == "gb" else UTD_UDP
        async with Transmitter(OURS, port, address, udp=door == "udp", quirks=replace(Quirks(), timeout_s=1.0)) as utd:
            return await utd.beat()
    asked = {"page": "/healthz", "zkteco": "/iclock/getrequest?SN=CKJ1", "isapi": PUSH["door"]}.get(door)
    if asked is None:
        return True
    try:
        async with _session() as http:
            data = b'{"eventType": "heartBeat"}' if door == "isapi" else None
            async with http.request("POST" if data else "GET", f"http://{OURS}:{port}{asked}", data=data) as answer:
                return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
