"""An endless multipart/mixed stream cut into its documents, byte by byte if need be (RFC 2046, section 5.1).

Only documents are wanted. An XML or JSON part ends where its root element or object ends, so that an event is not held
back until the next part comes, or at the next boundary, whichever is first. Content-Length is believed for pictures
only, to skip them. After a feed never more than `MAX_DOCUMENT_BYTES` are held, whatever came in.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

MAX_DOCUMENT_BYTES = 256 * 1024
MAX_PICTURE_BYTES = 16 * 1024 * 1024  # a Content-Length above this is not believed
MAX_HEADER_BYTES = 8 * 1024
_MAX_LINE_BYTES = 160  # a boundary has at most 70 characters (RFC 2046, 5.1.1)
_OVERLAP_BYTES = 96  # the longest thing searched for, so that one cut in two by a chunk is found

_BOUNDARY_LINE = re.compile(rb"--([0-9A-Za-z'()+_,./:=?-]{1,70})[ \t]*\r?\n")
_HEADERS_END = re.compile(rb"\r?\n\r?\n|\A\r?\n")
_FIELD = re.compile(rb"^([A-Za-z-]+)[ \t]*:[ \t]*([^\r\n]*)", re.MULTILINE)
_PICTURE = re.compile(rb"image/|video/|audio/|application/octet-stream", re.IGNORECASE)
_FILE = re.compile(rb"filename=\"?[^\";]*\.(?:jpe?g|png|bmp|gif|mp4)", re.IGNORECASE)
_FIRST = re.compile(rb"[ \t\r\n\xef\xbb\xbf]*([^ \t\r\n\xef\xbb\xbf])")  # after white space and a byte order mark
_ROOT_END = re.compile(rb"</(?:[\w.-]{1,32}:)?EventNotificationAlert\s{0,8}>")
_JSON_STRUCTURE = re.compile(rb'["{}]')
_JSON_STRING = re.compile(rb'\\.|"', re.DOTALL)  # inside a string: an escape, or its end


@dataclass(frozen=True, slots=True)
class Document:
    """The bytes of one XML or JSON part."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Dropped:
    """A part that was not kept, and why: `picture`, `too-large` or `bad-header`."""

    why: str


class Parts:
    """`feed(chunk)` gives the parts that the chunk completes: the same ones however the stream is cut into chunks."""

    def __init__(self, declared: str | None = None) -> None:
        self._declared = declared.encode("utf-8", "replace") if declared else None  # as in the Content-Type
        self._sure = False  # the declared boundary was seen in the stream
        self._next_boundary = re.compile(rb"\A(?!)")
        self._held = bytearray()
        self._step: Callable[[], bool] = self._seek
        self._mid_line = False  # what is held does not begin at the beginning of a line
        self._scanned = 0  # bytes of the document already looked through
        self._depth, self._in_string = 0, False  # where a JSON document stands: open braces, inside a text
        self._skip = 0  # bytes of a picture still to come
        self._out: list[Document | Dropped] = []

    @property
    def held_bytes(self) -> int:
        """How much is in memory, waiting for the rest."""
        return len(self._held)

    def feed(self, chunk: bytes) -> list[Document | Dropped]:
        """Takes what came in, of any size; never fails."""
        self._held += chunk
        while self._step():
            pass
        done, self._out = self._out, []
        return done

    def _cut(self, count: int) -> bytes:
        gone = bytes(self._held[:count])
        del self._held[:count]
        return gone

    def _drop(self, why: str, *, mid_line: bool) -> bool:
        self._out.append(Dropped(why))
        self._mid_line = mid_line
        self._step = self._seek
        return True

    def _seek(self) -> bool:
        """Line by line to the next boundary."""
        end = self._held.find(b"\n") + 1
        if not end:
            if len(self._held) > _MAX_LINE_BYTES:
                self._held.clear()
                self._mid_line = True
            return False
        line, whole = self._cut(end), not self._mid_line
        self._mid_line = False
        if whole and self._is_boundary(line):
            self._step = self._headers
        return True

    def _is_boundary(self, line: bytes) -> bool:
        """The declared boundary; until that is seen any line like one, as some devices declare another or none."""
        match = _BOUNDARY_LINE.fullmatch(line) if len(line) <= _MAX_LINE_BYTES else None
        if match is None:
            return False
        if match[1] == self._declared:
            self._sure = True
        elif self._sure or match[1].endswith(b"--"):
            return False
        self._next_boundary = re.compile(rb"(?:\A|\n)--" + re.escape(match[1]))
        return True

    def _headers(self) -> bool:
        end = _HEADERS_END.search(self._held, 0, MAX_HEADER_BYTES)
        if end is None:
            if len(self._held) <= MAX_HEADER_BYTES:
                return False
            self._cut(MAX_HEADER_BYTES)
            return self._drop("bad-header", mid_line=True)
        fields = {name.lower(): value.strip() for name, value in _FIELD.findall(self._cut(end.end()))}
        named = _FILE.search(fields.get(b"content-disposition", b""))
        if named or _PICTURE.match(fields.get(b"content-type", b"")):
            length = fields.get(b"content-length", b"")
            count = int(length) if re.fullmatch(rb"\d{1,9}", length) else 0
            self._skip = count if count <= MAX_PICTURE_BYTES else 0
            self._step = self._picture
        else:
            self._scanned, self._depth, self._in_string = 0, 0, False
            self._step = self._document
        return True

    def _picture(self) -> bool:
        """Skips as many bytes as were announced; without a number the search for the next boundary skips them."""
        self._skip -= len(self._cut(self._skip))
        return False if self._skip else self._drop("picture", mid_line=False)

    def _document(self) -> bool:
        first = _FIRST.match(self._held)
        if first is not None and first[1] not in b"{<-":  # a picture that does not say so, or a plain word: not held
            return self._drop("picture", mid_line=True)
        boundary, own_end = self._boundary_in_document(), self._own_end()
        complete_at = min(own_end or MAX_DOCUMENT_BYTES + 1, boundary[1] if boundary else MAX_DOCUMENT_BYTES + 1)
        if complete_at <= MAX_DOCUMENT_BYTES:
            body = self._cut(complete_at if complete_at == own_end or boundary is None else boundary[0]).strip()
            if body:
                self._out.append(Document(body))
            self._mid_line = False
            self._step = self._seek
            return True
        if len(self._held) > MAX_DOCUMENT_BYTES:
            self._cut(MAX_DOCUMENT_BYTES)
            return self._drop("too-large", mid_line=True)
        return False

    def _boundary_in_document(self) -> tuple[int, int] | None:
        """(where its line begins, where it is complete), or None."""
        match = self._next_boundary.search(self._held, max(0, self._scanned - _OVERLAP_BYTES))
        if match is None:
            return None
        return match.start() + (match[0][:1] == b"\n"), match.end()

    def _own_end(self) -> int | None:
        """Where the root element or object ends, or None as long as it has not come."""
        first = _FIRST.match(self._held)
        if first is not None and first[1] == b"{":
            return self._json_end()
        start, self._scanned = max(0, self._scanned - _OVERLAP_BYTES), len(self._held)
        match = _ROOT_END.search(self._held, start)
        return match.end() if match else None

    def _json_end(self) -> int | None:
        """Each byte is looked at once, so that a long text in small chunks costs no more than in one."""
        while token := (_JSON_STRING if self._in_string else _JSON_STRUCTURE).search(self._held, self._scanned):
            self._scanned = token.end()
            if token[0] == b'"':
                self._in_string = not self._in_string
            elif not self._in_string:
                self._depth += 1 if token[0] == b"{" else -1
                if not self._depth:
                    return token.end()
        half_escape = self._in_string and self._held.endswith(b"\\") and len(self._held) > self._scanned
        self._scanned = len(self._held) - half_escape
        return None
