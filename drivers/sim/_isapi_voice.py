"""What a simulated ISAPI device says, and in which form: notifications to those who listen and where it pushes to."""

import asyncio
import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drivers.sim._isapi_door import HABITS, ZONE, Cabinet, Habits


@dataclass(frozen=True)
class Quirks:
    """What one firmware does differently from another."""

    namespace: str = "http://www.hikvision.com/ver20/XMLSchema"
    json: bool = False
    content_length: bool = True
    boundary: str = "boundary"
    declared: str | None = "boundary"  # what the Content-Type says; None leaves it out
    old_path: bool = False
    basic_only: bool = False
    encoding: str = "utf-8"
    closes_after: int | None = None  # parts, then the stream ends
    picture: bool = False  # a picture after each event
    busy: int = 0  # so many questions for a picture are answered that it is busy
    proxy: bool = False  # a recorder, which fetches pictures from its cameras
    heartbeat_s: float = 10.0
    door: Habits = HABITS


def picture() -> bytes:
    """A real PNG of 16 × 16 grey pixels (ISO/IEC 15948)."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0)
    rows = b"".join(b"\x00" + bytes(range(0, 256, 16)) for _ in range(16))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class Voice:
    """Whoever speaks; `readers` are the streams that are open."""

    def __init__(self, quirks: Quirks, door: Cabinet) -> None:
        self.quirks = quirks
        self.door = door
        self.readers: list[asyncio.Queue[bytes | None]] = []
        self._count = 0

    def motion(self, active: bool) -> None:
        """Motion detection (VMD) begins, goes on or ends."""
        self.event("VMD", active)

    def heartbeat(self) -> None:
        """What a camera says when there is nothing to say."""
        self.event("videoloss", False)

    def event(self, type: str, active: bool = True, channel: int = 1, **more: str) -> None:
        """One EventNotificationAlert; `more` are further fields, e.g. `inputIOPortID="1"`."""
        self._count += 1
        fields = _head(type, active, self._count) | {"channelID": str(channel)} | more
        self.document(_json(fields) if self.quirks.json else _xml(fields, self.quirks))

    def access(self, major: int, minor: int, **inner: Any) -> None:
        """Something happens at the door: one AccessControllerEvent, remembered, and told to whoever listens."""
        self.tell(self.door.memory.record(major, minor, **inner))

    def tell(self, record: Mapping[str, Any], *, current: bool = True) -> None:
        """A record of the door as a notification; `current` is False of one out of the memory."""
        self._count += 1
        mark = {"currentEvent": current} if self.quirks.door.marks else {}
        inner = {name: value for name, value in record.items() if name != "time"} | mark
        head = _head("AccessControllerEvent", True, self._count) | {"dateTime": str(record["time"])}
        if self.quirks.json:
            self._send("application/json", json.dumps({**head, "AccessControllerEvent": inner}).encode())
        else:
            nested = "".join(f"<{name}>{_text(value)}</{name}>" for name, value in inner.items())
            self._send("application/xml", _xml({**head, "AccessControllerEvent": nested}, self.quirks))

    def replay(self) -> None:
        """Tells all that it remembers once more, as some firmware does when a stream is opened."""
        for record in list(self.door.memory.records):
            self.tell(record, current=False)

    def document(self, body: bytes) -> None:
        """Any document, well formed or not."""
        self._send("application/json" if self.quirks.json else "application/xml; charset=UTF-8", body)

    def _send(self, kind: str, body: bytes) -> None:
        length = f"Content-Length: {len(body)}\r\n" if self.quirks.content_length else ""
        begin = f"--{self.quirks.boundary}\r\n"
        shot = picture()
        extra = f"{begin}Content-Type: image/png\r\nContent-Length: {len(shot)}\r\n\r\n".encode() + shot + b"\r\n"
        part = f"{begin}Content-Type: {kind}\r\n{length}\r\n".encode() + body + b"\r\n"
        for reader in self.readers:
            reader.put_nowait(part)
            if self.quirks.picture:
                reader.put_nowait(extra)
        self._push(kind, body)

    def _push(self, kind: str, body: bytes) -> None:
        """With a picture, a form of two parts, of which the document's does not say what it is; else as it is."""
        if not self.quirks.picture:
            self.door.push(kind, body)
            return
        begin = f"--{self.quirks.boundary}\r\nContent-Disposition: form-data; name="
        form = f'{begin}"event_log"\r\n\r\n'.encode() + body + b"\r\n"
        form += f'{begin}"Picture"; filename="face.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'.encode() + picture()
        form += f"\r\n--{self.quirks.boundary}--\r\n".encode()
        declared = f"; boundary={self.quirks.declared}" if self.quirks.declared else ""
        self.door.push(f"multipart/form-data{declared}", form)


def _head(type: str, active: bool, count: int) -> dict[str, str]:
    return {
        "ipAddress": "192.0.2.64",
        "portNo": "80",
        "macAddress": "00:00:5e:00:53:01",
        "dateTime": datetime.now(ZONE).isoformat(timespec="seconds"),
        "activePostCount": str(count),
        "eventType": type,
        "eventState": "active" if active else "inactive",
        "eventDescription": f"{type} alarm",
    }


def _xml(fields: Mapping[str, str], quirks: Quirks) -> bytes:
    xmlns = f' xmlns="{quirks.namespace}"' if quirks.namespace else ""
    inner = "".join(f"<{name}>{value}</{name}>\n" for name, value in fields.items())
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<EventNotificationAlert version="2.0"{xmlns}>\n{inner}'
    return f"{text}</EventNotificationAlert>\n".encode(quirks.encoding)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _json(fields: Mapping[str, str]) -> bytes:
    return json.dumps({name: int(v) if v.isdigit() else v for name, v in fields.items()}).encode()
