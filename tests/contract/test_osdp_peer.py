"""The simulated OSDP reader judged by a control panel of others: the package `osdp`, in a process of its own."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from drivers._wiegand import encode
from drivers.sim import osdp as sim
from gateway.event import Credential
from tests.brokers import WAIT_S

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / "build/peers/bin/python"
MASTER = "4c1f9a0243d5e86b10b7c2954e3fa6d1"
KEY = bytes.fromhex("7c1f9a0243d5e86b10b7c2954e3fa681")
CARD = encode(Credential("wiegand-26", 90, 324))


class Panel:
    """The other process: `say` is the next thing of one kind that it did or heard."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[list[Any]] = []

    async def say(self, kind: str) -> list[Any]:
        """Reads on to the next line of that kind → what follows the word."""
        assert self.process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            async for line in self.process.stdout:
                self.said.append(json.loads(line))
                if self.said[-1][0] == kind:
                    return self.said[-1][1:]
        raise AssertionError(f"no {kind}, but {self.said}")

    async def complaint(self, text: str) -> bool:
        """Reads its log on to a line with that text."""
        assert self.process.stderr is not None
        async with asyncio.timeout(WAIT_S):
            async for line in self.process.stderr:
                if text in line.decode():
                    return True
        return False


@asynccontextmanager
async def panel(line: sim.Line, master: str = "") -> AsyncIterator[Panel]:
    """A panel on that line; with `master` in a secure channel only."""
    assert PYTHON.exists(), "run: deploy/environment.sh test"
    port = line.port or "{}:{}".format(*line.address)
    script = ROOT / "tests/peers/panel.py"
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(PYTHON, script, port, master, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        yield Panel(process)
    finally:
        process.kill()
        await process.communicate()


async def served(reader: sim.Reader, by: Panel) -> None:
    """Whatever the panel asks and commands is answered and done; what the reader has to say arrives."""
    assert await by.say("id") == ["bebafe", 1, 1, 0xDEADBEAF]
    (has,) = await by.say("has")
    assert (has["OutputControl"], has["ReaderLEDControl"]) == ([1, 2], [1, 1])
    assert [await by.say(command) for command in ("output", "led", "buzzer")] == [[True]] * 3
    output, led, buzzer = (reader.ledger.of(command)[0].detail for command in ("output", "led", "buzzer"))
    assert (output["output_no"], output["control_code"], output["timer_count"]) == (0, 5, 30)
    assert (led["on_color"], led["on_count"], led["off_count"], led["timer_count"]) == (2, 1, 2, 50)
    assert (buzzer["on_count"], buzzer["off_count"], buzzer["rep_count"]) == (2, 1, 3)
    reader.present(*CARD)
    assert await by.say("card") == [1, 26, CARD[1].hex()]
    reader.press("1234#")
    assert await by.say("keys") == [1, b"1234\r".hex()]
    reader.tamper(True)
    assert await by.say("local") == [1, True, False]


async def test_anothers_panel_reads_and_commands_our_reader_on_a_pty() -> None:
    reader = sim.Reader(1)
    async with sim.Line([reader]) as line, panel(line) as by:
        await served(reader, by)
    assert ["nak"] not in [words[:1] for words in by.said]


async def test_anothers_panel_gives_our_reader_a_key_and_works_in_its_secure_channel_over_tcp() -> None:
    """From the key of delivery (SCBK-D) to a key of its own, as SIA OSDP 2.2, annex D, has it."""
    reader = sim.Reader(1)
    async with sim.Line([reader], tcp=True) as line, panel(line, MASTER) as by:
        await served(reader, by)
        given = reader.ledger.of("keyset")[0].detail["data"]
        assert reader.key == given
    async with sim.Line([sim.Reader(1, given)]) as line, panel(line, MASTER) as by:  # the key is kept
        assert await by.say("output") == [True]


async def test_our_reader_proves_its_key_and_with_another_key_there_is_no_channel() -> None:
    reader = sim.Reader(1, KEY)
    async with sim.Line([reader]) as line, panel(line, MASTER) as by:
        assert await by.complaint("Invalid client cryptogram")
        assert reader.ledger.entries == []
