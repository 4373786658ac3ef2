"""What a door controller remembers: `POST /ISAPI/AccessControl/AcsEvent`, pages of records. (An underscore: no driver.)

The search takes a lowest serial number (`beginSerialNo`) and two times; firmware that does not know the number ignores
it or refuses the search, so the times bound it as well, by the device's own clock. A page has at most 30 records.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from drivers._alert import read, whole
from drivers._http import Reply
from gateway.errors import BadInput, Text, Unreachable
from gateway.event import Json

PATH = "/ISAPI/AccessControl/AcsEvent?format=json"
PAGE = 30  # records; more is cut down or refused
MARGIN = timedelta(days=1)  # a device's clock may be put back
NOT_NOW = frozenset({500, 502, 503, 504})  # RFC 9110, 15.6
AHEAD = timedelta(days=365)  # and we may be wrong about the time


@dataclass(frozen=True)
class Search:
    """One search, which goes on page by page under its id."""

    begin: int  # lowest serial number
    since: datetime | None  # by the device's clock
    until: datetime
    identity: str
    by_serial: bool = True  # False for firmware that refuses to be asked so

    def body(self, position: int, most: int = PAGE) -> bytes:
        """The request for the records from `position` on."""
        wanted: dict[str, Json] = {
            "searchID": self.identity,
            "searchResultPosition": position,
            "maxResults": most,
            "major": 0,
            "minor": 0,
        }
        if self.since is not None:
            wanted["startTime"] = self.since.isoformat(timespec="seconds")
            wanted["endTime"] = self.until.isoformat(timespec="seconds")
        if self.by_serial:
            wanted |= {"timeReverseOrder": False, "beginSerialNo": self.begin}
        return json.dumps({"AcsEventCond": wanted}).encode()


def search(begin: int, since: datetime | None, now: datetime, *, by_serial: bool = True) -> Search:
    """From a serial number on; `since` is the device's time up to which nothing is missing, `now` is ours."""
    start = None if since is None else since - MARGIN
    end = max(now, since or now).astimezone(None if since is None else since.tzinfo) + AHEAD
    return Search(begin, start, end, secrets.token_hex(8), by_serial)


@dataclass(frozen=True)
class Page:
    """One page: its records as the device wrote them, whether more follow, how many there are in all."""

    entries: list[Mapping[str, Any]]
    more: bool
    total: int


class NoMemory(Exception):
    """This device cannot be asked for records: it has none, or does not let us."""


def page(where: str, reply: Reply) -> Page:
    """An answer's records. NoMemory: the device refuses. Unreachable: not now. BadInput: it cannot be understood."""
    if reply.status in NOT_NOW:
        what = Text(f"its memory answers HTTP {reply.status}", f"查询设备记录返回 HTTP {reply.status}")
        raise Unreachable(where, what, Text("it is asked again", "将自动重试"))
    if reply.status != 200:
        raise NoMemory(f"HTTP {reply.status}")
    tree = read(where, reply.body, "AcsEvent")
    status = str(tree.get("responseStatusStrg", "")).strip().upper()
    if not status and "statusCode" in tree:
        raise NoMemory(str(tree.get("statusString") or tree["statusCode"]))
    if status not in ("OK", "MORE", "NO MATCH"):
        what = Text("the search for records is answered with something else", "记录查询的应答无法识别")
        raise BadInput(where, what, Text("update the device's firmware", "请升级设备固件"))
    entries = _entries(tree.get("InfoList"))
    return Page(entries, status == "MORE" and bool(entries), whole(tree.get("totalMatches")) or len(entries))


def _entries(listed: Any) -> list[Mapping[str, Any]]:
    """JSON has a list; XML has one element, or several of one name, inside another."""
    if isinstance(listed, dict):
        inner = list(listed.values())
        listed = [listed] if "serialNo" in listed else inner[0] if len(inner) == 1 else inner
    if isinstance(listed, dict):
        listed = [listed]
    return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
