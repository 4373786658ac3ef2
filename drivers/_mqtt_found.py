"""Devices that a hub has and the configuration does not: told once each, and listed. (An underscore: no driver.)

Nothing of them goes further until somebody adopts them: copies their line from the list into gateway.yaml.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from drivers._mapping import MISSING, at
from gateway.clock import rfc3339
from gateway.fields import ID_PATTERN

MOST = 500  # of one hub; a list of more is nobody's help
MOST_TEXT = 80  # characters of a name
_NAME = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.:-]*)\}")
_UNFIT = re.compile(r"[^a-z0-9-]+")


def id_of(pattern: str | None, names: Mapping[str, str], body: Any = None) -> str | None:
    """The id that a pattern makes of a topic's parts and of fields of the payload; None: it makes none.

    Capitals become small, anything that no id may have a dash.
    """
    if pattern is None:
        return None
    made = ""
    rest = 0
    for match in _NAME.finditer(pattern):
        there = names.get(match[1], at(body, match[1]))
        if there is MISSING or not isinstance(there, (str, int)) or isinstance(there, bool):
            return None
        made += pattern[rest : match.start()] + _UNFIT.sub("-", str(there).lower())
        rest = match.end()
    made = (made + pattern[rest:]).strip("-")
    return made if re.match(ID_PATTERN, made) else None


@dataclass(frozen=True)
class Find:
    """One of them."""

    address: str
    suggested: str | None  # id, where the hub has a pattern
    about: str  # what it is called there, maker and model
    since: datetime

    def line(self, hub: str) -> str:
        """As it is written under `devices:`."""
        id = self.suggested or "ID"
        quoted = json.dumps(self.address, ensure_ascii=False)
        shown = "".join(letter if letter.isprintable() else f"\\U{ord(letter):08x}" for letter in quoted)
        entry = f"{{id: {id}, driver: mqtt_in, hub: {hub}, address: {shown}, place: PLACE}}"
        return f"  - {entry}  # {self.about or cleaned(self.address)}, {rfc3339(self.since)}"


@dataclass
class Finds:
    """All of one hub."""

    hub: str
    log: Callable[..., object]
    by_address: dict[str, Find] = field(default_factory=dict)
    changed: bool = False

    def tell(self, find: Find) -> None:
        """Once into the log, and into the list."""
        if find.address in self.by_address or len(self.by_address) >= MOST:
            return
        self.by_address[find.address] = find
        self.changed = True
        self.log("found, and left alone until it is adopted: %s", find.line(self.hub).strip(" -"))

    def text(self) -> str:
        """The list, ready to be copied."""
        head = (
            f"# Found by {self.hub}: copy a line under devices: in gateway.yaml, fill in place (and id), restart.\n"
            f"# {self.hub} 发现的设备:把需要的行复制到 gateway.yaml 的 devices: 下,填写 place(和 id)后重启。\n"
        )
        return head + "devices:\n" + "".join(f"{find.line(self.hub)}\n" for find in self.by_address.values())


def cleaned(text: Any) -> str:
    """A name as it may stand in one line of a log or a list."""
    said = text if isinstance(text, str) else ""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in said).split())[:MOST_TEXT]
