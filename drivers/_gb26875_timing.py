"""A device's clock: each frame shows it, and where it is off it is set (type 90). (An underscore: no driver.)"""

import asyncio
from datetime import timedelta

from drivers._gb26875_config import Config
from drivers._gb26875_dialogue import Denied, Dialogue, Silent
from drivers._gb26875_frame import Code, Frame
from drivers._gb26875_unit import read_time, write_time
from gateway.clock import TRUSTED
from gateway.driver import Link

SETTLE_S = 3600.0  # a clock that stays off is set so often at most
SET_CLOCK = 90  # data type


class Timing:
    """Of one device."""

    def __init__(self, config: Config, link: Link, dialogue: Dialogue) -> None:
        self._config, self._link, self._dialogue = config, link, dialogue
        self._off = asyncio.Event()
        self._failed = False
        self.anew()

    def anew(self) -> None:
        """It has connected: its clock may be set at once."""
        self._set_s = -SETTLE_S

    @property
    def wanted(self) -> bool:
        """It is about to be set."""
        return self._off.is_set()

    def look(self, frame: Frame) -> None:
        """Is the clock that this frame shows off? Ours must be right itself, before it sets others."""
        clock, limit = self._link.clock, timedelta(seconds=self._config.clock_off)
        if not self._config.set_clock or clock.quality() not in TRUSTED:
            return
        shown = read_time(frame.tag)
        right = shown is not None and abs(shown - clock.utc()) <= limit
        if not right and clock.monotonic() - self._set_s >= SETTLE_S:
            self._set_s = clock.monotonic()
            self._off.set()

    async def keep(self) -> None:
        """Sets the clock whenever it was seen to be off."""
        while True:
            await self._off.wait()
            self._off.clear()
            try:
                await self._dialogue.ask(Code.CONTROL, bytes([SET_CLOCK, 1]) + write_time(self._link.clock.utc()))
                self._failed = False
                self._link.log.info("%s: its clock was off and has been set", self._config.id)
            except (Silent, Denied) as error:
                said = "it denied" if isinstance(error, Denied) else "no answer"
                if not self._failed:
                    self._link.log.warning("%s: its clock is off and cannot be set (%s)", self._config.id, said)
                self._failed = True
