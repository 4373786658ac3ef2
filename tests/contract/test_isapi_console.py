"""`gateway simulate isapi` beside the driver: what its words make happen, and what it shows of what it is told."""

import asyncio

import pytest

from drivers.isapi import DRIVER, Config
from drivers.sim.console.isapi import stage
from gateway.clock import SystemClock
from gateway.driver import Line
from gateway.errors import Text
from gateway.fields import Wrong
from tests.fakes import RecordingLink


async def test_words_and_what_comes_of_them() -> None:
    link, told = RecordingLink(clock=SystemClock()), list[Text]()
    async with stage(0, ("admin", "camera-1234"), told.append) as made:
        url = made.config.partition('url: "')[2].partition('"')[0]
        given = {
            "id": "door",
            "driver": "isapi",
            "place": "gate",
            "url": url,
            "password": "camera-1234",
            "records": "50ms",
        }
        running = asyncio.ensure_future(DRIVER.run(Line("door", None, (Config.model_validate(given),)), link))
        try:
            await link.until(lambda: link.secrets)
            for line in ("access 5 27", "missed 5 9 4711", "replay", "access 5 26"):
                await made.perform(line)
            await link.until(lambda: link.of("access.denied") and not link.active("door"))
            assert [r.raw["serialNo"] for r in link.of("door.*")] == [1, 3, 3]
            await made.perform("reset")
            assert (await link.command("door", "release")).code == "ok"
            assert (await link.command("door", "output", number=1, state=True)).code == "ok"
            assert [text.en for text in told[-2:]] == ["door 1: alwaysOpen", "alarm output 1: high"]
            with pytest.raises(Wrong, match="write it so: missed MAJOR MINOR"):
                await made.perform("missed 5")
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
