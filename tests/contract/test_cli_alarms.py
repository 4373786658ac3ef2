"""Alarms on the command line against a real daemon: every step, what lies over them, the audit, and kill -9 between."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import free_port
from tests.contract.test_cli import PANIC, Said, daemon, gateway, post
from tests.faults.daemon import Daemon, webhook

DEVICES = [*PANIC, webhook("door", "door")]


def at(folder: Path) -> tuple[str, Path]:
    """Where the daemon is."""
    return "--config", folder / "gateway.yaml"


async def done(folder: Path, *arguments: str) -> Said:
    """A command that must succeed."""
    said = await gateway(*arguments, *at(folder))
    assert (said.status, said.err) == (0, "")
    return said


async def shown(folder: Path, *arguments: str) -> Any:
    """Its document."""
    return (await done(folder, *arguments, "--json")).json()


async def alarm(folder: Path, device: str, kind: str) -> dict[str, Any]:
    """The one of this condition, as it is listed."""
    listed = await shown(folder, "alarms")
    (found,) = (one for one in listed if (one["device"], one["type"]) == (device, kind))
    assert isinstance(found, dict)
    return found


async def test_an_alarm_to_its_proven_end(tmp_path: Path) -> None:
    async with daemon(tmp_path, devices=DEVICES) as made:
        await post(made, "raise fire.manual")
        fire = (await alarm(tmp_path, "panic", "fire.manual"))["alarm"]
        assert "(first fire)" in (await done(tmp_path, "alarms")).out
        assert {one["alarm"] for one in await shown(tmp_path, "silence")} >= {fire}
        assert (await done(tmp_path, "silence", "--lang", "zh")).out == "已消音:0 个报警\n"
        refused = await gateway("reset", fire, *at(tmp_path))
        assert refused.status == 1
        assert "its cause still lasts" in refused.err
        await made.kill()  # and all of it stands
        await made.start()
        assert (await alarm(tmp_path, "panic", "fire.manual"))["flags"]["silenced"]
        await post(made, "clear fire.manual")
        await done(tmp_path, "ack", fire)
        refused = await gateway("reset", fire, "--lang", "zh", *at(tmp_path))
        assert (refused.status, "尚未给出处置结论" in refused.err) == (1, True)
        told = await done(tmp_path, "alarms", "--id", fire[-6:])
        assert [line.split()[1] for line in told.out.splitlines()[3:]] == ["began", "silenced", "ended", "acknowledged"]
        one = await shown(tmp_path, "dispose", fire, "--outcome", "false", "--cause", "steam", "--note", "厨房")
        assert (one["state"], one["outcome"]) == ("normal", "false")
        assert (await gateway("dispose", fire, "--outcome", "false", *at(tmp_path))).status == 1
        steps = [event["type"] for event in await shown(tmp_path, "events", "--type", "operator.*")]
        assert steps == ["operator.silence", "operator.ack", "operator.dispose"]


async def test_what_lies_over_alarms(tmp_path: Path) -> None:
    async with daemon(tmp_path, devices=DEVICES) as made:
        await post(made, "raise door.held", "raise door.forced", device="door")
        held = (await alarm(tmp_path, "door", "door.held"))["alarm"]
        shelved = await done(tmp_path, "shelve", held, "2h", "--reason", "moving day", "--lang", "zh")
        assert shelved.out.startswith(f"已暂缓:{held},至 ")
        assert (await alarm(tmp_path, "door", "door.held"))["state"] == "shelved"
        for words, why in (
            (("shelve", held, "9h", "--reason", "x"), "28800 seconds"),
            (("shelve", held, "soon", "--reason", "x"), "a duration with its unit"),
            (("shield", "nobody", "1h", "--reason", "x"), "no such device"),
            (("drill", "nowhere", "1h"), "no such device or place"),
        ):
            said = await gateway(*words, *at(tmp_path))
            assert (said.status != 0, why in said.err) == (True, True), said
        await done(tmp_path, "shield", "door", "1h", "--reason", "painting")
        assert (await alarm(tmp_path, "door", "door.forced"))["state"] == "out_of_service"
        (door,) = (one for one in await shown(tmp_path, "devices") if one["device"] == "door")
        assert door["state"] == "shielded"
        await made.kill()
        await made.start()
        status = await shown(tmp_path, "status")
        assert [status["health"][name] for name in ("shielded", "shelved", "drilled")] == [1, 1, 0]
        assert "shielded, out of service: 1" in (await done(tmp_path, "status")).out
        assert (await done(tmp_path, "unshield", "door", "--reason", "dry")).out == "in service again: door\n"
        assert (await alarm(tmp_path, "door", "door.forced"))["state"] == "active_unacked"


async def test_a_drill_is_a_test_to_its_end(tmp_path: Path) -> None:
    async with daemon(tmp_path, devices=PANIC) as made:
        drill = await shown(tmp_path, "drill", "b3", "10m")
        assert [one["target"] for one in drill["drills"]] == ["b3"]
        await post(made, "raise fire.manual")
        assert (await shown(tmp_path, "status"))["word"] != "fire"
        assert (await done(tmp_path, "drill", "b3", "0")).out == "drill: b3, over\n"
        await post(made, "clear fire.manual")
        events = await shown(tmp_path, "events", "--type", "fire.*")
        assert [(event["phase"], event["data"]["test"]) for event in events] == [("raise", True), ("clear", True)]
        assert (await alarm(tmp_path, "panic", "fire.manual"))["test"]
        await done(tmp_path, "drill", "1m")
        assert (await shown(tmp_path, "drill", "0"))["drills"] == []


async def test_the_audit_log_tells_and_is_verified(tmp_path: Path) -> None:
    async with daemon(tmp_path, devices=PANIC) as made:
        assert (await done(tmp_path, "audit")).out == "no such line\n"
        await post(made, "raise fire.manual")
        await done(tmp_path, "silence")
        await done(tmp_path, "shield", "panic", "1h", "--reason", "painting")
        lines = await shown(tmp_path, "audit", "--since", "1h")
        assert [(line["n"], line["what"], line["from"]) for line in lines] == [
            (1, "operator.silence", "cli"), (2, "operator.shield", "cli"),
        ]  # fmt: skip
        assert "painting 3600" in (await done(tmp_path, "audit", "--limit", "1")).out
        whole = await shown(tmp_path, "audit", "verify")  # beside the running daemon
        assert (whole["whole"], whole["count"]) == (True, 2)
        assert (await shown(tmp_path, "status"))["health"]["audit"] == {"count": 2, "sha256": whole["sha256"]}
        await made.kill()
    with closing(sqlite3.connect(tmp_path / "state" / "events.db", isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER audit_is_final")
        connection.execute("UPDATE audit SET entry = replace(entry, 'silence', 'ack') WHERE n = 1")
    broken = await gateway("audit", "verify", *at(tmp_path))
    assert (broken.status, "line 1: it was changed" in broken.out) == (1, True)
    assert "第 1 行被改动" in (await gateway("audit", "verify", "--lang", "zh", *at(tmp_path))).out


async def listed(made: Daemon, wanted: int) -> list[dict[str, Any]]:
    """The alarms of devices, as soon as so many are shown as suppressed."""
    for _ in range(100):
        found = [one for one in (await gateway("alarms", "--json", *at(made.folder))).json() if "group" in one]
        if sum(one["state"] == "suppressed" for one in found) == wanted:
            return found
    raise AssertionError(json.dumps(found))


async def test_a_silent_bus_is_one_alarm(tmp_path: Path) -> None:
    port = free_port()  # nobody is there
    smoke = "{{id: smoke-{0}, driver: modbus, bus: io, address: {0}, profile: rs-yg-n01, place: b3}}"
    devices = [smoke.format(number) for number in (5, 6, 7)]
    async with daemon(tmp_path, devices=devices, buses={"io": f'{{tcp: "127.0.0.1:{port}"}}'}) as made:
        found = {one["device"]: one for one in await listed(made, 2)}
        assert [found[f"smoke-{n}"]["state"] for n in (5, 6, 7)] == ["active_unacked", "suppressed", "suppressed"]
        assert [found[f"smoke-{n}"]["group"]["head"] for n in (5, 6, 7)] == [True, False, False]
        assert {one["group"]["count"] for one in found.values()} == {3}
        assert found["smoke-6"]["suppressed_by"] == "bus io"
        assert "line io does not answer ×3" in (await done(tmp_path, "alarms")).out
        await made.kill()
        await made.start()
        assert len(await listed(made, 2)) == 3


@pytest.mark.parametrize("command", [["reset", "x"], ["silence"], ["drill", "1m"], ["audit"]])
async def test_no_gateway_runs(command: list[str], tmp_path: Path) -> None:
    said = await gateway(*command, "--state-dir", tmp_path)
    assert (said.status, "no gateway is running" in said.err) == (1, True)
