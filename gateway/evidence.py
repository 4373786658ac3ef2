"""Machine evidence for a case: what became of its alarms, as the book and the events on disk say."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.alarms import Alarm
from gateway.alarmview import moment
from gateway.database import TABLES, Row, read_rows
from gateway.event import Lane
from gateway.identity import moment_ms

SEARCHED_ROWS = 5000  # behind the event that opened an alarm, for the one that ended it
DOOR_OPEN = "door.open"


@dataclass(frozen=True)
class Proof:
    """What is known of one alarm of a case, or of a door's contact (`alarm` is "" then)."""

    alarm: str
    device: str = ""
    type: str = ""
    active: bool = False
    normal_ms: int = 0  # since when it is back to normal, since 1970; 0: not known

    @property
    def key(self) -> str:
        """What there is one of in a case."""
        return self.alarm or f"{self.device} {self.type}"

    def document(self) -> dict[str, Any]:
        """As it stands in `data.evidence`."""
        known: dict[str, Any] = {"alarm": self.alarm, "device": self.device, "type": self.type}
        told = {name: value for name, value in known.items() if value}
        if self.normal_ms and not self.active:
            return told | {"back_to_normal": moment(self.normal_ms)}
        return told | {"state": "active" if self.active else "inactive" if self.device else "unknown"}


def of_alarm(alarm: Alarm) -> Proof:
    """As the book has it."""
    ends = [step.time_ms for step in alarm.history if step.step == "clear"]
    normal_ms = 0 if alarm.active or not ends else ends[-1]
    return Proof(alarm.id, alarm.device, alarm.type, alarm.active, normal_ms)


def search(connection: sqlite3.Connection, alarm_id: str) -> Proof:
    """Of an alarm that the book has forgotten: by its id, which is that of the event which opened it."""
    for lane in (Lane.ALARM, Lane.EVENT):
        row = _with_id(connection, lane, alarm_id)
        if row is None:
            continue
        event = json.loads(row.body)
        ends_ms = 0
        for later in read_rows(connection, lane, row.seq, SEARCHED_ROWS):
            if alarm_id in later.body and _ends(told := json.loads(later.body), alarm_id):
                ends_ms = moment_ms(told["id"])
        return Proof(alarm_id, event["subject"], event["type"], normal_ms=ends_ms)
    return Proof(alarm_id)


def _ends(event: Mapping[str, Any], alarm_id: str) -> bool:
    return bool(event["phase"] == "clear" and event["data"].get("alarm") == alarm_id)


def _with_id(connection: sqlite3.Connection, lane: Lane, wanted: str) -> Row | None:
    """By halving: ids grow with the rows of a lane (RFC 9562, 5.7), and as text too."""
    low, high = connection.execute(f"SELECT MIN(seq), MAX(seq) FROM {TABLES[lane]}").fetchone()  # noqa: S608
    if low is None:
        return None
    while low <= high:
        middle = (low + high) // 2
        row = next(iter(read_rows(connection, lane, middle - 1, 1)), None)
        found = json.loads(row.body)["id"] if row is not None else wanted
        if row is not None and found == wanted:
            return row
        if row is None or found > wanted:
            high = middle - 1
        else:
            low = row.seq + 1
    return None
