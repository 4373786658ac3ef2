"""What went over a TCP line, as a capture file (pcap), and what Wireshark's dissectors (tshark) read in it.

Nothing is captured, so no rights are needed: a line between two programs writes down what passes.
"""

import asyncio
import struct
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.demo.wire import Wire

_RAW_IP = 101  # LINKTYPE_RAW of the pcap file format: each packet begins with its IP header
_SEGMENT_BYTES = 1400  # of a stream in one packet, as on Ethernet
_WAIT_S = 60.0
_CLIENT_PORT = 40000  # and up, one a connection
_BITS = {"False": "0", "True": "1"}  # as Wireshark 4.0 writes them, and 4.4
WARNING = "_ws.malformed || _ws.expert.severity >= 0x00600000"  # what tshark itself colours as wrong


@dataclass(frozen=True)
class Piece:
    """Bytes of one direction, as they passed; none: its end."""

    connection: int
    asked: bool  # from the client to the server
    data: bytes


class Tap(Wire):
    """A whole wire that writes down what passes."""

    def __init__(self, to_port: int) -> None:
        super().__init__(to_port)
        self.pieces: list[Piece] = []
        self._idle = asyncio.Event()

    async def ended(self) -> None:
        """Every connection has ended, so all that passed is written down."""
        async with asyncio.timeout(_WAIT_S):
            await self._idle.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self._idle.clear()
        with suppress(OSError):
            there, back = await asyncio.open_connection("127.0.0.1", self.to_port)
            self._writers |= {writer, back}
            async with asyncio.TaskGroup() as group:
                group.create_task(self._copy(number, True, reader, back))
                group.create_task(self._copy(number, False, there, writer))
            self._writers -= {writer, back}
        if not self._writers:
            self._idle.set()

    async def _copy(self, number: int, asked: bool, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                self.pieces.append(Piece(number, asked, data))
                sink.write(data)
                await sink.drain()
        self.pieces.append(Piece(number, asked, b""))
        sink.close()


def capture(pieces: Sequence[Piece], server_port: int) -> bytes:
    """A pcap file of these streams; the server stands at the port that dissectors know its protocol by."""
    written = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, _RAW_IP)]
    at: Counter[tuple[int, bool]] = Counter()  # bytes of each direction so far
    for piece in pieces:
        for start in range(0, len(piece.data) or 1, _SEGMENT_BYTES):
            data = piece.data[start : start + _SEGMENT_BYTES]
            key = piece.connection, piece.asked
            packet = _packet(piece, server_port, at[key], at[piece.connection, not piece.asked], data)
            at[key] += len(data) or 1
            now_ms = len(written)
            written.append(
                struct.pack("<IIII", now_ms // 1000, now_ms % 1000 * 1000, len(packet), len(packet)) + packet
            )
    return b"".join(written)


def _packet(piece: Piece, server_port: int, sequence: int, acknowledged: int, data: bytes) -> bytes:
    """IPv4 (RFC 791) and TCP (RFC 9293) without options; nobody checks the checksums."""
    client, server = (bytes((192, 0, 2, 1)), _CLIENT_PORT + piece.connection), (bytes((192, 0, 2, 2)), server_port)
    (source, from_port), (target, to_port) = (client, server) if piece.asked else (server, client)
    flags = 0x5018 if data else 0x5011  # five words of header; PSH or FIN, and ACK
    tcp = struct.pack(">HHIIHHHH", from_port, to_port, sequence + 1, acknowledged + 1, flags, 65535, 0, 0)
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp) + len(data), 0, 0, 64, 6, 0)
    return head + source + target + tcp + data


async def dissected(file: Path, wanted: str, fields: Sequence[str], *options: str) -> list[list[list[str]]]:
    """The packets that the display filter `wanted` lets through: for each field every value, as tshark writes them."""
    shown = [word for name in fields for word in ("-e", name)]
    form = ["-T", "fields", "-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=|"]
    command = ["tshark", "-n", "-r", str(file), *options, "-Y", wanted, *form, *shown]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(_WAIT_S):
        said, complaint = await process.communicate()
    if process.returncode:
        raise RuntimeError(complaint.decode())
    rows = [row.split("\t") for row in said.decode().splitlines()]
    return [[[_BITS.get(word, word) for word in cell.split("|")] if cell else [] for cell in row] for row in rows]


async def complaints(file: Path, *options: str) -> list[list[list[str]]]:
    """Everything that tshark finds malformed, or warns of: the packet's number, and what it says."""
    return await dissected(file, WARNING, ["frame.number", "_ws.expert.message"], *options)
