"""Which records of a door controller have been told: by the device's own count, through outages and restarts. Pure.

Records carry a serial number that grows by one, so the highest one told and the holes below it are all there is to
remember. A device repeats records (after a reconnect, when an acknowledgement got lost, out of its memory): whatever
is neither above the highest nor in a hole has been told. A reset begins the count anew; that is seen by a record that
is told as it happens, has a low number, and is none of the newest ones.
"""

import json
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from enum import Enum

from drivers._isapi_access import Record
from gateway.driver import offset_time

MOST_HOLES = 64
MOST_REMEMBERED = 64  # of the newest records, by their keys


class Standing(Enum):
    """How a record stands to what has been told."""

    NEW = "new"
    LATE = "late"  # not told yet, but something that came after it was
    KNOWN = "known"


class Ledger:
    """Of one device. `take` changes it: take on a copy, and keep that when what was taken is on disk."""

    def __init__(self) -> None:
        self.last: int | None = None  # the highest serial number told; None: nothing is known of this device
        self.newest: datetime | None = None  # what the device's clock said in the newest record
        self.since: datetime | None = None  # up to there nothing is missing, by the device's clock
        self.holes: list[tuple[int, int]] = []  # first and last serial number of what may be missing
        self._recent: deque[str] = deque(maxlen=MOST_REMEMBERED)

    @property
    def first_missing(self) -> int:
        """The lowest serial number that may not have been told."""
        return self.holes[0][0] if self.holes else (self.last or 0) + 1

    def begin(self, last: int, newest: datetime | None) -> None:
        """What the device remembers from before it was ours is not told."""
        self.last, self.newest, self.since = last, newest, newest

    def take(self, record: Record, *, stored: bool = False) -> Standing:
        """Counts a record in. `stored`: the device was asked for it, so it says nothing of a reset."""
        serial = record.serial
        if serial is None:
            return Standing.NEW
        if self.last is None or serial > self.last:
            self._grow(record, serial)
        elif self._fill(serial):
            self._remember(record)
            return Standing.LATE
        elif stored or not self._began_anew(record):
            return Standing.KNOWN
        else:
            self.last, self.holes = 0, []
            self._grow(record, serial)
        return Standing.NEW

    def settle(self) -> None:
        """The device has been asked for all that was missing: what it did not give there is not there."""
        self.holes, self.since = [], self.newest

    def copy(self) -> "Ledger":
        """For what may fail."""
        made = Ledger()
        made.last, made.newest, made.since = self.last, self.newest, self.since
        made.holes, made._recent = list(self.holes), self._recent.copy()
        return made

    def _grow(self, record: Record, serial: int) -> None:
        if self.last is not None:
            before = serial - 1 if record.front is None else min(record.front, serial - 1)
            if before > self.last:
                self.holes = [*self.holes, (self.last + 1, before)][-MOST_HOLES:]
        self.last, self.newest = serial, record.time or self.newest
        if not self.holes:
            self.since = self.newest
        self._remember(record)

    def _remember(self, record: Record) -> None:
        self._recent.append(record.key)

    def _fill(self, serial: int) -> bool:
        for place, (first, last) in enumerate(self.holes):
            if first <= serial <= last:
                rest = [(first, serial - 1), (serial + 1, last)]
                self.holes[place : place + 1] = [(low, high) for low, high in rest if low <= high]
                return True
        return False

    def _began_anew(self, record: Record) -> bool:
        if record.current is False or record.key in self._recent:
            return False
        return record.time is None or self.newest is None or record.time > self.newest

    # --- through a restart of the gateway

    def dump(self) -> bytes:
        """As it is kept."""
        times = {
            name: moment.isoformat() for name, moment in (("newest", self.newest), ("since", self.since)) if moment
        }
        return json.dumps({"last": self.last, **times, "holes": self.holes, "recent": list(self._recent)}).encode()

    @classmethod
    def load(cls, kept: bytes | None) -> "Ledger":
        """What was kept. ValueError: it is nothing that `dump` made."""
        made = cls()
        if kept is None:
            return made
        said = json.loads(kept)
        try:
            made.last = None if said["last"] is None else int(said["last"])
            made.newest, made.since = (offset_time(said.get(name, "")) for name in ("newest", "since"))
            made.holes = _ordered((int(first), int(last)) for first, last in said["holes"])
            made._recent.extend(str(key) for key in said["recent"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(str(error)) from error
        return made


def _ordered(holes: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    return sorted((first, last) for first, last in holes if 0 < first <= last)[-MOST_HOLES:]
