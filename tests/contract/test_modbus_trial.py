"""`gateway profile test`: what it says of a profile, and of a device on a real wire, in both languages."""

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from drivers.modbus import DRIVER
from drivers.sim.modbus import Line as Wire
from drivers.sim.modbus import Slave
from gateway.cli import language, run
from gateway.driver import Finding
from gateway.errors import Unreachable
from gateway.fields import BusConfig, Wrong
from tests.contract.test_modbus import bus_of
from tests.fakes import FastClock

TRIAL: Any = DRIVER.trial
HEAD = "title: {en: A, zh: 甲}\nkind: smoke\nsource: a test of the driver\nconfidence: memory\n"
CHINESE = re.compile("[一-鿿]")


async def found(wire: Wire, name: str, **keys: Any) -> list[Finding]:
    """What one round finds; each meaning is checked to be in both languages."""
    rounds = [each async for each in TRIAL.run(name, bus_of(wire), {"timeout": "60ms", **keys}, FastClock(), 1)]
    assert len(rounds) == 1
    for finding in rounds[0]:
        assert CHINESE.search(finding.meaning.zh)
        assert not CHINESE.search(finding.meaning.en)
    return list(rounds[0])


def meanings(findings: list[Finding]) -> dict[str, str]:
    return {finding.name or finding.where: finding.meaning.en for finding in findings}


async def test_each_register_is_read_and_explained() -> None:
    smoke, gas = Slave(1, "lt-001-m1920"), Slave(2, "hnag1000")
    smoke.set_value("temperature", 23.5)
    smoke.set_value("smoke_concentration", 320)
    async with Wire(smoke, gas) as wire:
        temperature, humidity, concentration = await found(wire, "lt-001-m1920")
        said = meanings(await found(wire, "hnag1000", address=2))
    assert (temperature.where, temperature.raw, temperature.value) == ("F3 0x0000", "235 (0xEB)", "23.5 °C")
    assert humidity.meaning.en == "a value that is only looked at"
    assert concentration.meaning.en == "fire.smoke (Smoke alarm) after 2 such reads"
    assert concentration.meaning.zh == "fire.smoke(感烟火警),连续 2 次后报警"
    assert said["gas_concentration"] == "normal; fire.gas from 25 %LEL"


async def test_a_value_that_nobody_described_is_not_good() -> None:
    smoke = Slave(1, "rs-yg-n01")
    smoke.set_value("status", 7)
    async with Wire(smoke) as wire:
        (status,) = await found(wire, "rs-yg-n01")
        smoke.set_value("status", 0)
        (normal,) = await found(wire, "rs-yg-n01")
    assert (status.good, normal.good, normal.meaning.en) == (False, True, "normal")
    assert "told as device.unmapped" in status.meaning.en


async def test_inputs_and_points_of_the_device_itself() -> None:
    board, panel = Slave(1, "novabo-2di"), Slave(2, "jade-bird", loops={1: 3})
    board.set_input(1, False)
    panel.set_point(1, 2, 1)
    async with Wire(board, panel) as wire:
        inputs = meanings(await found(wire, "novabo-2di", inputs={1: {"type": "door.forced"}}))
        points = meanings(await found(wire, "jade-bird", address=2, loops={1: 3}, states={1: "fire.panel"}))
    assert inputs["input_1"].startswith("door.forced")
    assert [points[f"point_1_{n}"].partition(" ")[0] for n in (1, 2, 3)] == ["normal", "fire.panel", "normal"]


async def test_silence_says_what_to_look_at() -> None:
    async with Wire(Slave(1, "rs-yg-n01")) as wire:
        (finding,) = await found(wire, "rs-yg-n01", address=9)
    assert not finding.good
    assert "baud rate" in finding.meaning.en


@pytest.mark.parametrize(
    ("read", "hint"),
    [
        ("{name: a, function: 3, address: 0x0004}", "F3 0x0003 = 1"),  # the manual counts from 1
        ("{name: a, function: 4, address: 0x0003}", "F3 0x0003 = 1"),  # input and holding registers mixed up
    ],
)
async def test_a_register_that_is_refused_is_looked_for_nearby(tmp_path: Path, read: str, hint: str) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text(HEAD + f"reads: [{read}]\n", "utf-8")
    smoke = Slave(1, "rs-yg-n01")
    smoke.set_condition("fire.smoke", True)
    async with Wire(smoke) as wire:
        (finding,) = await found(wire, str(profile))
        smoke.exception = 4
        (broken,) = await found(wire, str(profile))
    assert (finding.good, hint in finding.meaning.en, hint in finding.meaning.zh) == (False, True, True)
    assert broken.meaning.en == "the device refuses this (device-failure)"


class Listening(Slave):
    """Remembers the functions it was asked with."""

    def hear(self, pdu: bytes) -> bytes:
        self.tables.by_function[3][pdu[0]] = 1
        return super().hear(pdu)


async def test_it_only_reads() -> None:
    board = Listening(1, "waveshare-relay-8")
    async with Wire(board) as wire:
        await found(wire, "waveshare-relay-8")
    assert set(board.tables.by_function[3]) == {1}


async def test_a_port_that_is_not_there() -> None:
    rounds = TRIAL.run("rs-yg-n01", BusConfig.model_validate({"serial": "/dev/nothing"}), {}, FastClock(), 1)
    with pytest.raises(Unreachable, match="there is no serial port /dev/nothing"):
        await anext(rounds)


@pytest.mark.parametrize(
    ("name", "keys", "says"),
    [
        ("rs-yg-n1", {}, "did you mean rs-yg-n01"),
        ("rs-yg-n01", {"address": 0}, "address: Input should be"),
        ("jade-bird", {}, "which points are asked"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_asked(name: str, keys: dict[str, Any], says: str) -> None:
    with pytest.raises(Wrong, match=says):
        TRIAL.explain(name, keys)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        status = run(["profile", "test", *arguments])
    finally:
        language.choose([], {})
    return status, *capsys.readouterr()


def test_a_profile_is_checked_without_a_device(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, out, _ = said(capsys, "rs-yg-n01", "--lang", "en")
    assert status == 0
    assert "the map is from memory: believe nothing before you have triggered it" in out
    status, out, _ = said(capsys, "rs-yg-n01", "--lang", "zh")
    assert "建大仁科 RS-YG-N01" in out
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(HEAD + "reads: [{name: a, function: 9, address: 0}]\n", "utf-8")
    status, _, err = said(capsys, str(wrong), "--lang", "en")
    assert status == 2
    assert re.search(r"wrong\.yaml:5:\d+: reads\[0\]\.function", err)


@pytest.mark.parametrize("more", [("--device", "loops: {1"), ("--port", "/dev/a", "--tcp", "a:502"), ("--tcp", "a")])
def test_wrong_use(capsys: pytest.CaptureFixture[str], more: tuple[str, ...]) -> None:
    assert said(capsys, "rs-yg-n01", *more)[0] == 2


async def command(*arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "profile", "test", *arguments), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(30):
        out, _ = await process.communicate()
    return process.returncode, out.decode()


async def test_the_command_on_a_real_pty() -> None:
    smoke = Slave(5, "rs-yg-n01")
    smoke.set_condition("fire.smoke", True)
    async with Wire(smoke) as wire:
        status, out = await command("rs-yg-n01", "--port", wire.port, "--address", "5", "--lang", "zh")
        _, told = await command("rs-yg-n01", "--port", wire.port, "--address", "5", "--json")
    assert status == 0
    assert re.search(r"status +F3 0x0003 +1 \(0x1\) +1 +fire.smoke", out)
    assert json.loads(told)[0]["good"] is True


async def test_the_command_says_what_changes_while_it_watches() -> None:
    smoke = Slave(5, "rs-yg-n01")
    async with Wire(smoke) as wire:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "profile", "test", "rs-yg-n01", "--port", wire.port),
            *("--address", "5", "--device", "poll: 10ms", "--watch", "--lang", "en"),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        async with asyncio.timeout(30):
            async for line in process.stdout:
                if b"all of it was understood" in line:
                    smoke.set_condition("fire.smoke", True)
                if b"0 \xe2\x86\x92 1" in line:
                    break
        process.terminate()
        await process.wait()
    assert line.decode().rstrip().endswith("status: 0 → 1  fire.smoke (Smoke alarm) after 2 such reads")
