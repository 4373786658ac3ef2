"""Bytes of a printer port → records: printer commands taken out, lines joined, GB 18030 with rubbish. Pure.

(An underscore: no driver.)
"""

from collections.abc import Iterator

from drivers._patterns import MAX_CHARS
from drivers._text_map import TextMap

ESC, FS, LF, FF, CR, TAB, DEL = 0x1B, 0x1C, 0x0A, 0x0C, 0x0D, 0x09, 0x7F
MAX_LINE_BYTES = 2 * MAX_CHARS  # GB 18030 has two bytes for a Chinese character
MAX_LINES = 16  # of a record


class Framer:
    """Cuts what comes in, whatever its pieces; keeps one unfinished record at most."""

    def __init__(self, text_map: TextMap) -> None:
        self._map = text_map
        self._commands = text_map.commands()
        self._skip = 0  # bytes that still belong to a printer command
        self._command = False  # the byte after ESC or FS comes next
        self._last_end = 0  # the line end just seen: CR LF and LF CR are one
        self._line = bytearray()
        self._lines: list[str] = []

    @property
    def pending(self) -> bool:
        """Is a record begun, which a silence would end?"""
        return bool(self._line or self._lines)

    def feed(self, data: bytes) -> list[str]:
        """The records that are complete with these bytes."""
        return [record for byte in data for record in self._byte(byte)]

    def idle(self) -> list[str]:
        """Nothing more comes: what is begun is a record."""
        self._command, self._skip = False, 0
        return [*self._end_of_line(), *self._end_of_record()]

    def _byte(self, byte: int) -> Iterator[str]:
        if self._skip:
            self._skip -= 1
        elif self._command:
            self._command = False
            self._skip = self._commands.get(byte, 0)
        elif byte in (ESC, FS):
            self._command = True
        elif byte in (LF, CR, FF):
            yield from self._line_end(byte)
        else:
            self._last_end = 0
            if byte >= 0x20 and byte != DEL:
                self._add(byte)
            elif byte == TAB:
                self._add(0x20)

    def _add(self, byte: int) -> None:
        if len(self._line) < MAX_LINE_BYTES:
            self._line.append(byte)

    def _line_end(self, byte: int) -> Iterator[str]:
        pair, self._last_end = {self._last_end, byte} == {LF, CR}, byte
        if pair:
            self._last_end = 0
            return
        if self._line:
            yield from self._end_of_line()
        else:
            yield from self._end_of_record()
        if byte == FF:
            yield from self._end_of_record()

    def _end_of_line(self) -> Iterator[str]:
        line = " ".join(self._line.decode(self._map.encoding, "replace").split())
        self._line.clear()
        if self._lines and self._map.opens(line):
            yield from self._end_of_record()
        if line:
            self._lines.append(line)
        if self._map.record == "line" or len(self._lines) >= MAX_LINES:
            yield from self._end_of_record()

    def _end_of_record(self) -> Iterator[str]:
        text = "\n".join(self._lines)[:MAX_CHARS].strip()
        self._lines.clear()
        if text:
            yield text
