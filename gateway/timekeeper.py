"""Remembers the time over a restart, and tells when the clock is not right (`gateway.clock_bad`).

What is remembered stands in the database, as a fact: a moment that has passed for certain, in which boot, and whether
the clock had been set by then. It is written every few minutes and at the end.
"""

import asyncio
import json
from contextlib import suppress
from datetime import datetime

from gateway.clock import TRUSTED, Clock, Jump, TimeQuality, rfc3339
from gateway.database import put_fact, read_fact
from gateway.errors import StorageError
from gateway.event import NOTHING, Json, Phase, Reading
from gateway.pipeline import Pipeline
from gateway.store import Store

FACT = "clock"
BAD = "gateway.clock_bad"
SAVE_S = 300.0
PATIENCE_S = 600.0  # a clock that is not set by then is told
SETTLE_S = 60.0  # a clock that was not right before may jump, if it is set so soon after
SAVE_MOST_S = 1.0


class Timekeeper:
    """`await recall()` before anything is taken in, then `await run()` until cancelled; `await save()` at the end."""

    def __init__(self, gateway: str, store: Store, pipeline: Pipeline, clock: Clock) -> None:
        self._gateway = gateway
        self._store = store
        self._pipeline = pipeline
        self._clock = clock
        self._recalled = False
        self._jump: Jump | None = clock.jump  # the last one that needs no more thought
        self._unset_since_s: float | None = None  # since boot

    async def recall(self) -> None:
        """Tell the clock what is remembered. With a failing disk it is tried again later."""
        with suppress(StorageError):
            text = await self._store.read(lambda connection: read_fact(connection, FACT))
            self._recalled = True
            if text is not None:
                _teach(self._clock, text)

    async def save(self) -> None:
        """Remember now, but not before what was remembered has been read. A disk that hangs is not waited for."""
        with suppress(StorageError, TimeoutError):
            async with asyncio.timeout(SAVE_MOST_S):
                if not self._recalled:
                    await self.recall()
                if self._recalled:
                    text = _known(self._clock)
                    await self._store.transact(lambda connection: put_fact(connection, FACT, text))

    async def run(self) -> None:
        """Looks at the clock every second."""
        saved_s = self._clock.monotonic()
        while True:
            with suppress(StorageError):
                await self.look()
            if self._clock.monotonic() - saved_s >= SAVE_S:
                saved_s = self._clock.monotonic()
                await self.save()
            await self._clock.sleep(1.0)

    async def look(self) -> None:
        """Once: tell what is new about the clock. StorageError: it was not told, the next look tells it."""
        quality, now_s = self._clock.quality(), self._clock.since_boot_s()
        if quality is not TimeQuality.UNSYNCED:
            self._unset_since_s = None
        elif self._unset_since_s is None:
            self._unset_since_s = now_s
        alarm = self._pipeline.shown.get((self._gateway, BAD, ""))
        told = alarm is not None and alarm.active
        found = self._found(quality, now_s)
        if found is not None and not told:
            reason, data = found
            await self._pipeline.accept([Reading(self._gateway, BAD, Phase.RAISE, reason=reason, data=data)])
        elif told and quality is TimeQuality.SYNCED:
            await self._pipeline.accept([Reading(self._gateway, BAD, Phase.CLEAR)])
        self._settle(quality, now_s)

    def _found(self, quality: TimeQuality, now_s: float) -> tuple[str, dict[str, Json]] | None:
        jump = self._clock.jump
        if jump is not None and jump is not self._jump and self._counts(jump, quality, now_s):
            return "jumped", {"offset_s": round(jump.offset_s, 3)}
        if self._unset_since_s is not None and now_s - self._unset_since_s >= PATIENCE_S:
            return "unsynced", dict(NOTHING)
        return None

    def _counts(self, jump: Jump, quality: TimeQuality, now_s: float) -> bool:
        """What showed the right time has jumped; or what did not, and it did not make it right."""
        return jump.trusted or (quality is TimeQuality.UNSYNCED and now_s - jump.at_s >= SETTLE_S)

    def _settle(self, quality: TimeQuality, now_s: float) -> None:
        """A jump that was told, or was how the clock got set, is done with."""
        jump = self._clock.jump
        if jump is not None and (quality is not TimeQuality.UNSYNCED or self._counts(jump, quality, now_s)):
            self._jump = jump


def _known(clock: Clock) -> str:
    return json.dumps(
        {
            "utc": rfc3339(clock.at_least()),
            "boot": clock.boot,
            "at": round(clock.since_boot_s(), 3),
            "set": clock.quality() in TRUSTED,
        }
    )


def _teach(clock: Clock, text: str) -> None:
    with suppress(ValueError, KeyError, TypeError):  # as another version wrote it: then nothing is known
        known = json.loads(text)
        clock.learn(datetime.fromisoformat(known["utc"]), known["boot"], known["at"], known["set"])
