"""Looks through a door controller's memory: what no notification told is found there. (An underscore: no driver.)

Needed after an outage, where a count has a hole, and for firmware that sends its notifications of days ago before
those of now. Done a few pages at a time, so that a long search holds up nothing that happens meanwhile.
"""

import math
from dataclasses import dataclass

from drivers._alert import whole
from drivers._http import Http, ask
from drivers._isapi_config import Config
from drivers._isapi_desk import Desk
from drivers._isapi_history import PATH, NoMemory, Page, Search, page, search
from gateway.clock import Clock
from gateway.driver import offset_time
from gateway.errors import NeedsPerson, Text

PAGES = 10  # in one go
REFUSED_S = 300.0  # after a refused login, or the device locks the account
SOON_S = 5.0  # while the device repeats what it told before, its news may be a long time coming
MOST_RECORDS = 500_000  # of one search


@dataclass
class _Run:
    """A search that goes on."""

    search: Search
    position: int = 0
    old: int | None = None  # so many records there were when it began; what comes behind them happens now


class Memory:
    """Of one device. `look()` when `due` has come."""

    def __init__(self, config: Config, http: Http, desk: Desk, clock: Clock) -> None:
        self.due = -math.inf  # monotonic seconds
        self._config, self._http, self._desk, self._clock = config, http, desk, clock
        self._late = True  # what is found is of an outage
        self._open: _Run | None = None
        self._by_serial = True
        self._repeats = 0

    def interrupted(self) -> None:
        """The device was away: there may be something to find, at once."""
        self.due, self._late, self._open = -math.inf, True, None

    def heard(self) -> None:
        """Something was told: a hole is looked into at once; a device that repeats itself may have news that wait."""
        repeats, self._repeats = self._repeats, self._desk.repeats
        if math.isinf(self.due):
            return
        if self._desk.book.ledger.holes:
            self.due = -math.inf
        elif self._desk.repeats > repeats:
            self.due = min(self.due, self._clock.monotonic() + SOON_S)

    async def look(self) -> None:
        """Takes what is new. Unreachable, BadInput, StorageError: it is tried again later."""
        self.due = self._clock.monotonic() + self._config.records
        try:
            if self._desk.book.ledger.last is None:
                await self._begin()
            elif await self._fill():
                self._desk.book.settle()
                self._late = False
            else:
                self.due = -math.inf
        except NoMemory as error:
            self._refused(error)
            return
        except NeedsPerson as error:  # the right to search is one of its own
            self._desk.book.say(error.what)
            self.due = self._clock.monotonic() + REFUSED_S
            return

    def _refused(self, error: NoMemory) -> None:
        self._open = None
        if self._by_serial and self._desk.book.ledger.last is not None:
            self._by_serial, self.due = False, -math.inf  # once more, by time alone
            return
        self.due = math.inf  # a camera; or a controller that does not let us
        if self._desk.book.ledger.last is not None:
            self._desk.book.say(
                Text(
                    f"its memory cannot be read ({error}): what it does not tell by itself after an outage is lost; "
                    "give the user the right to search for records",
                    f"无法读取设备记录({error}):断线期间的记录可能丢失;请授予该用户查询记录的权限",
                )
            )

    async def _begin(self) -> None:
        """A device that is new to us: its newest record is where we begin. Firmware sorts either way."""
        wanted = search(1, None, self._clock.utc(), by_serial=False)
        first = await self._page(wanted, 0, 1)
        entries = list(first.entries)
        if first.total > 1:
            entries += (await self._page(wanted, first.total - 1, 1)).entries
        newest = max(entries, key=lambda entry: whole(entry.get("serialNo")) or 0, default={})
        self._desk.book.begin(whole(newest.get("serialNo")) or 0, offset_time(str(newest.get("time", ""))))
        self._late = False

    async def _fill(self) -> bool:
        """A few pages; True when nothing is missing any more."""
        run = self._open or self._search()
        before = None
        for _ in range(PAGES):
            found = await self._page(run.search, run.position)
            run.old = found.total if run.old is None else run.old
            await self._desk.take_memory(found.entries, late=run.old - run.position if self._late else 0)
            run.position += len(found.entries)
            if not found.more or found.entries == before or run.position >= MOST_RECORDS:
                self._open = None
                return True
            before = found.entries
        self._open = run
        return False

    def _search(self) -> "_Run":
        ledger = self._desk.book.ledger
        return _Run(search(ledger.first_missing, ledger.since, self._clock.utc(), by_serial=self._by_serial))

    async def _page(self, wanted: Search, position: int, most: int | None = None) -> Page:
        body = wanted.body(position) if most is None else wanted.body(position, most)
        return page(self._config.id, await ask(self._http, "POST", PATH, body))
