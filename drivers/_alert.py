"""What an ISAPI device says, XML or JSON, as a tree of plain values; fields by local name, whatever the namespace.

Texts come from devices that send GBK where they declare UTF-8, bare ampersands and control characters; document type
definitions and entities are refused (defusedxml). Numbers leave here intact, personal fields never.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from gateway.errors import BadInput, Text
from gateway.event import Json

_MAX_DEPTH = 32  # real ones have about 7 levels
_MAX_FIELDS = 48  # of `raw`
_MAX_NAME = 64  # characters of a channel's name, of an event type
_MAX_TYPES = 8  # in one notification; real ones have one or two
_DECLARATION = re.compile(r"^<\?xml[^>]*\?>")
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # XML 1.0, production 2
_BARE_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[0-9a-fA-F]+);)")
_NUMBER = re.compile(r"-?\d{1,10}")  # longer ones are phone, card or identity numbers
_MAX_NUMBER = 2**32
_DECIMAL = re.compile(r"-?\d{1,9}\.\d{1,9}")
_PERSONAL = re.compile(
    r"name|employee|card(?!reader|type)|person|phone|mobile|email|pic|face|cert|idno|idnum|birth|plate|license"
    r"|password|pwd|pincode|qrcode|visitor|finger|address|user(?!type)|label|currtemp|bodymax|abno",
    re.IGNORECASE,
)
_WORDS = ("eventType", "eventState", "currentVerifyMode", "userType", "attendanceStatus", "detectionTarget")
_CAMERA = frozenset((
    "eventType", "eventState", "channelID", "dynChannelID", "activePostCount", "inputIOPortID", "dynInputIOPortID",
    "isDataRetransmission", "relationEvent", "regionID", "detectionTarget",
))  # fmt: skip


@dataclass(frozen=True)
class Alert:
    """One notification. Each property is None or empty where the device left the field out."""

    tree: dict[str, Any]

    @cached_property
    def types(self) -> list[str]:
        """Event types in lower case; `duration` is a wrapper around the real ones."""
        own = _word(self.tree["eventType"])
        inner = [_word(value) for value in _values(self.tree, "relationEvent")] if own == "duration" else []
        return list(dict.fromkeys(inner))[:_MAX_TYPES] or [own]

    @property
    def heartbeat(self) -> bool:
        """Access devices' sign of life (cameras send `videoloss` `inactive`)."""
        return "heartbeat" in self.types

    @property
    def active(self) -> bool:
        """`eventState`; a missing one means active."""
        return str(self.tree.get("eventState", "")).strip().lower() != "inactive"

    @property
    def access(self) -> dict[str, Any] | None:
        """What a door controller recorded, where the notification is of that kind."""
        inner = self.tree.get("AccessControllerEvent")
        return inner if isinstance(inner, dict) and "accesscontrollerevent" in self.types else None

    @property
    def replayed(self) -> bool:
        """Sent again from the device's own memory."""
        return str(self.tree.get("isDataRetransmission", "")).strip().lower() == "true"

    @property
    def channel(self) -> int | None:
        """`channelID`, else `dynChannelID`."""
        return self._number("channelID", "dynChannelID")

    @property
    def channel_name(self) -> str:
        """What people called the channel, shortened."""
        name = self.tree.get("channelName")
        return name.strip()[:_MAX_NAME] if isinstance(name, str) else ""

    @property
    def input(self) -> int | None:
        """Number of the alarm input, from 1."""
        return self._number("inputIOPortID", "dynInputIOPortID")

    @property
    def time(self) -> str:
        """`dateTime` as it came."""
        return str(self.tree.get("dateTime", ""))

    def raw(self) -> dict[str, Json]:
        """The vendor's numbers of a camera event."""
        found: dict[str, Json] = {}
        for name, value in _scalars(self.tree):
            if name in _CAMERA and value != "":
                found.setdefault(name, _plain(value))
        return found

    def numbers(self) -> dict[str, Json]:
        """All numbers of an event that we cannot name, and the few words that are not personal."""
        return numbers(self.tree)

    def _number(self, *names: str) -> int | None:
        return next((number for name in names if (number := whole(self.tree.get(name))) is not None), None)


def parse(where: str, wire: bytes) -> Alert:
    """A part's body, UTF-8 or GBK. BadInput: neither XML nor JSON, or no `eventType` in it."""
    tree = read(where, wire, "EventNotificationAlert")
    if not isinstance(tree.get("eventType"), str):
        raise _bad(where, "a part is no EventNotificationAlert", "收到的内容不是 EventNotificationAlert")
    return Alert(tree)


def read(where: str, wire: bytes, root: str) -> dict[str, Any]:
    """What stands inside `root`, or the whole where JSON leaves the root out. BadInput: neither XML nor JSON."""
    text = _text(wire)
    try:
        tree = _json(text, root) if text.startswith("{") else _tree(_xml(text))
    except (ValueError, ParseError, RecursionError, DefusedXmlException) as exc:
        raise _bad(where, f"this is neither XML nor JSON: {exc}", f"收到的内容既不是 XML 也不是 JSON:{exc}") from exc
    return tree if isinstance(tree, dict) else {}


def numbers(tree: Any) -> dict[str, Json]:
    """All numbers in it that are small enough to be no person's, and the few words that are not personal."""
    found: dict[str, Json] = {}
    for name, value in _scalars(tree):
        plain = _plain(value)
        small = not isinstance(plain, str) and abs(plain or 0) < _MAX_NUMBER
        if small or name in _WORDS:
            found.setdefault(name[:_MAX_NAME], plain)
        if len(found) >= _MAX_FIELDS:
            break
    return found


def whole(value: Any) -> int | None:
    """A whole number, as JSON has it or as text."""
    plain = None if isinstance(value, dict | list) else _plain(value)
    return plain if isinstance(plain, int) and not isinstance(plain, bool) else None


def truth(value: Any) -> bool | None:
    """True or false, as JSON has it or as text."""
    plain = _plain(value)
    return plain if isinstance(plain, bool) else None


def _word(value: Any) -> str:
    return str(value).strip().lower()[:_MAX_NAME]


def _bad(where: str, en: str, zh: str) -> BadInput:
    return BadInput(where, Text(en, zh), Text("update the device's firmware", "请升级设备固件"))


def _text(wire: bytes) -> str:
    try:
        text = wire.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = wire.decode("gb18030", "replace")
    return _ILLEGAL.sub("", text).strip()


def _json(text: str, root: str) -> Any:
    tree = json.loads(text, strict=False, parse_constant=lambda _: None)
    inner = tree.get(root)
    return inner if isinstance(inner, dict) else tree


def _xml(text: str) -> Element:
    clean = _BARE_AMPERSAND.sub("&amp;", _DECLARATION.sub("", text))
    root: Element = ElementTree.fromstring(clean, forbid_dtd=True)
    return root


def _tree(element: Element, depth: int = 0) -> Any:
    """Elements → dict by local name, repeated ones as a list; a leaf is its text."""
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    if not len(element):
        return (element.text or "").strip()
    found: dict[str, list[Any]] = {}
    for child in element:
        found.setdefault(child.tag.rpartition("}")[2], []).append(_tree(child, depth + 1))
    return {name: values if len(values) > 1 else values[0] for name, values in found.items()}


def _scalars(node: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """(name, value) of every leaf, in order, without what is personal and what lies below it."""
    if depth > _MAX_DEPTH or (name and _PERSONAL.search(name)):
        return
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _scalars(value, str(key), depth + 1)
    elif isinstance(node, list):
        for value in node:
            yield from _scalars(value, name, depth + 1)
    elif node is not None:
        yield name, node


def _values(node: Any, name: str) -> Iterator[Any]:
    """Every leaf of that name."""
    return (value for key, value in _scalars(node) if key == name)


def _plain(value: Any) -> bool | int | float | str:
    """Numbers and truth values out of their texts; what is neither stays a text."""
    if isinstance(value, bool) or (isinstance(value, float) and math.isfinite(value)):
        return value
    text = str(value).strip()
    if _NUMBER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    return {"true": True, "false": False}.get(text.lower(), text[:_MAX_NAME])
