"""What one commit takes in: events with their numbers, what they change in the book of alarms, and uplinks' cursors.

As bytes, for the journal; `database.py` puts it into tables.
"""

import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from typing import Any, get_type_hints

from gateway.alarms import Alarm, Step
from gateway.event import Lane, Severity

_LANES = tuple(Lane)
_COUNT = struct.Struct("<I")
_ROW = struct.Struct("<BQQHIII")  # lane, seq, time_ms; bytes of numbers, body, private and flags (_NONE: there is none)
_NONE = 0xFFFFFFFF
_NAMES = [f.name for f in fields(Alarm)]
_HISTORY = _NAMES.index("history")
_READ: Mapping[Any, Callable[[Any], Any]] = {bool: bool, int: int, str: str, Severity: Severity}
Columns = tuple[int, int, str, bytes, str | None]  # as they stand in a lane's table: schema/001.sql
Stream = tuple[str, Lane]


@dataclass(frozen=True, slots=True)
class Cursor:
    """What an uplink has confirmed of a lane: the lane's `seq`, and its own `sequence` there. Zero: nothing."""

    seq: int = 0
    sequence: int = 0


@dataclass(slots=True)
class Batch:
    """`rows` in the order they were taken in, each with the flags it changes; `marks` are cursors."""

    rows: list[tuple[Lane, Columns, Alarm | None]] = field(default_factory=list)
    marks: Mapping[Stream, Cursor] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The rows one after the other, then the cursors; each part behind its length."""
        pieces = [_COUNT.pack(len(self.rows))]
        for lane, (seq, time_ms, numbers, body, private), alarm in self.rows:
            parts = numbers.encode(), body, _bytes(private), _bytes(None if alarm is None else _flags(alarm))
            sizes = [_NONE if part is None else len(part) for part in parts]
            pieces.append(_ROW.pack(_LANES.index(lane), seq, time_ms, *sizes))
            pieces += [part for part in parts if part is not None]
        marks = [(uplink, lane.value, *astuple(cursor)) for (uplink, lane), cursor in self.marks.items()]
        pieces.append(json.dumps(marks).encode() if marks else b"")
        return b"".join(pieces)


def decode(content: bytes) -> Batch:
    """The batch again. ValueError: these bytes are none."""
    try:
        return _decode(content)
    except (struct.error, IndexError, TypeError) as error:
        raise ValueError(f"no batch: {error}") from error


def _decode(content: bytes) -> Batch:
    rows, at = [], _COUNT.size
    for _ in range(*_COUNT.unpack_from(content)):
        lane, seq, time_ms, *sizes = _ROW.unpack_from(content, at)
        numbers, body, private, flags = _parts(content, at + _ROW.size, sizes)
        at += _ROW.size + sum(size for size in sizes if size != _NONE)
        columns = seq, time_ms, (numbers or b"").decode(), body or b"", None if private is None else private.decode()
        rows.append((_LANES[lane], columns, None if flags is None else _alarm(flags)))
    marks = json.loads(content[at:] or b"[]")
    return Batch(rows, {(uplink, Lane(lane)): Cursor(seq, sequence) for uplink, lane, seq, sequence in marks})


def _parts(content: bytes, at: int, sizes: Sequence[int]) -> Iterator[bytes | None]:
    for size in sizes:
        if size == _NONE:
            yield None
            continue
        if at + size > len(content):
            raise ValueError("no batch: it ends too early")
        yield content[at : at + size]
        at += size


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def _flags(alarm: Alarm) -> str:
    return json.dumps(columns_of(alarm), ensure_ascii=False)


def _alarm(flags: bytes) -> Alarm:
    return alarm_of(json.loads(flags))


def columns_of(alarm: Alarm) -> tuple[Any, ...]:
    """Flags as they stand in their table: schema/004.sql; the history as JSON."""
    columns = [getattr(alarm, name) for name in _NAMES]
    columns[_HISTORY] = json.dumps(alarm.history, ensure_ascii=False, separators=(",", ":"))
    return tuple(columns)


def alarm_of(columns: Sequence[Any]) -> Alarm:
    """Flags again; fewer columns are of an older version, whose rest is as it begins. ValueError, TypeError: none."""
    kinds = zip(_NAMES, _KINDS, columns, strict=False)
    return Alarm(**{name: kind(value) for name, kind, value in kinds})


def _steps(text: str) -> tuple[Step, ...]:
    return tuple(Step(*step) for step in json.loads(text))


_KINDS = [_READ.get(kind, _steps) for kind in get_type_hints(Alarm).values()]
