"""What the gateway itself is asked to do, from the command line: alarms, drills, restart, diagnostics, refusals."""

import asyncio
import hashlib
import json
import tarfile
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.arguments import ARGUMENTS
from gateway.audit import By, lines
from gateway.bundle import MOST_KEPT
from gateway.chores import ENDS_S, send
from gateway.commands import Order
from gateway.config import CredentialsConfig
from gateway.deeds import NotFound, NotNow
from gateway.house import House
from tests.houses import Puppets, ask, config, disk, living

PERSON = By("li", "installer", "cli")
DEVICES = {"smoke-1": "smoke", "door-1": "door"}


@pytest.fixture
def puppets() -> Puppets:
    return Puppets()


@pytest.fixture
async def house(tmp_path: Path, puppets: Puppets) -> AsyncIterator[House]:
    async with living(config(tmp_path, DEVICES), puppets) as house:
        yield house


async def sent(house: House, action: str, device: str = "gateway", /, **args: Any) -> dict[str, Any]:
    answer = await send(house, device, action, args, PERSON)
    assert answer["message"]["zh"]
    return answer


async def test_an_alarm_to_its_end(house: House, puppets: Puppets) -> None:
    alarm = await puppets.emit("smoke-1", "fire.smoke", "raise")
    assert (await sent(house, "silence"))["result"] == {"alarms": [alarm]}
    held = await sent(house, "reset", alarm=alarm)
    assert (held["status"], held["code"]) == ("refused", "not-allowed")
    assert "its cause still lasts" in held["message"]["en"]
    seen = await sent(house, "acknowledge", alarm=alarm[-6:], note="I go and look")
    assert (seen["code"], seen["result"]["state"]) == ("ok", "active_acked")
    await puppets.emit("smoke-1", "fire.smoke", "clear")
    over = await sent(house, "dispose", alarm=alarm, outcome="false", cause="steam")
    assert (over["result"]["state"], over["result"]["flags"]["latched"]) == ("normal", False)
    assert (await sent(house, "acknowledge", alarm=alarm))["code"] == "bad-arguments"
    told = [event["type"] for event in await disk(house) if event["type"].startswith("operator.")]
    assert told == ["operator.silence", "operator.ack", "operator.dispose"]


async def test_a_drill_of_all_of_the_site_or_a_place(house: House, puppets: Puppets) -> None:
    for scope in ({}, {"place": "gate"}, {"device": "smoke-1"}):
        assert (await sent(house, "drill", seconds=600, **scope))["code"] == "ok"
        await puppets.emit("smoke-1", "fire.smoke", "raise")
        assert (await disk(house))[-1]["data"]["test"] is True
        await puppets.emit("smoke-1", "fire.smoke", "clear")
        assert (await sent(house, "drill", seconds=0, **scope))["code"] == "ok"
    assert (await sent(house, "drill", seconds=60, place="nowhere"))["code"] == "bad-arguments"
    assert (await sent(house, "drill", seconds=60, place="gate", device="door-1"))["code"] == "bad-arguments"


REFUSED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "unknown-device": ("unlock", "door-9", {}),
    "unknown-action": ("ping", "gateway", {}),
    "bad-arguments": ("unlock", "door-1", {"seconds": -1}),
    "device-offline": ("unlock", "door-1", {"seconds": 1}),
    "not-allowed": ("reload", "gateway", {}),
}


@pytest.mark.parametrize("code", REFUSED)
async def test_refusals_and_their_lines_in_the_audit_log(house: House, code: str) -> None:
    action, device, args = REFUSED[code]
    answer = await sent(house, action, device, **args)
    assert answer["code"] == code
    assert answer["status"] == ("failed" if code == "device-offline" else "refused")
    found = (await house.store.read(lambda connection: lines(connection, 0, 100)))[-1][1]
    line = {name: found[name] for name in ("who", "role", "from", "what", "subject", "outcome", "command")}
    assert line == {
        "who": "li", "role": "installer", "from": "cli", "what": f"command.{action}", "subject": device,
        "outcome": code, "command": answer["id"],
    }  # fmt: skip


async def test_shelving_is_refused_for_fire(house: House, puppets: Puppets) -> None:
    await puppets.emit("smoke-1", "fire.smoke", "raise")
    assert (await sent(house, "shelve", "smoke-1", seconds=60, reason="dust"))["code"] == "ok"
    (shown,) = house.alarms()
    assert (shown["state"], shown["flags"]["shelved"]) == ("active_unacked", False)


async def test_restart_is_answered_then_the_process_ends(house: House) -> None:
    answer = await sent(house, "restart")
    assert answer["result"] == {"ends_in_s": ENDS_S}
    assert not house.ending.asked.is_set()
    async with asyncio.timeout(10 * ENDS_S):
        await house.ending.asked.wait()
    assert house.ending.again


async def test_without_a_file_there_is_nothing_to_load(house: House) -> None:
    answer = await sent(house, "reload")
    assert (answer["code"], house.ending.asked.is_set()) == ("not-allowed", False)


async def test_a_bundle_tells_how_it_is_and_no_secret(tmp_path: Path, puppets: Puppets) -> None:
    secret = {"url": "mqtt://127.0.0.1:1", "username": "gw", "password": "never-to-be-seen"}
    cards = {"key": "k" * 40, "list": [{"card": "hmac-sha256:" + "A" * 43, "doors": ["*"], "note": "Mr. Wang"}]}
    made = config(tmp_path, DEVICES, {"district": secret})
    made = made.model_copy(update={"credentials": CredentialsConfig.model_validate(cards)})
    async with living(made, puppets) as house:
        await puppets.emit("smoke-1", "fire.smoke", "raise")
        for _ in range(MOST_KEPT + 1):
            result = (await sent(house, "bundle"))["result"]
    texts = unpacked(Path(result["path"]), result)
    everything = "".join(texts.values())
    for hidden in ("never-to-be-seen", "k" * 40, "hmac-sha256:", "Mr. Wang"):
        assert hidden not in everything
    assert json.loads(texts["bundle/config.json"])["credentials"] == {"count": 1}
    assert [event["type"] for event in json.loads(texts["bundle/events.json"])] == ["fire.smoke"]
    assert json.loads(texts["bundle/health.json"])["gateway"] == "gw-0001"


def unpacked(path: Path, result: dict[str, Any]) -> dict[str, str]:
    """Its files' texts, by name; it is what the answer says of it, and only its owner's."""
    assert (path.stat().st_mode & 0o777, path.stat().st_size) == (0o600, result["bytes"])
    assert hashlib.sha256(path.read_bytes()).hexdigest() == result["sha256"]
    assert len(list(path.parent.iterdir())) == MOST_KEPT
    texts = {}
    with tarfile.open(path) as tar:
        for member in tar.getmembers():
            file = tar.extractfile(member)
            assert file is not None
            texts[member.name] = file.read().decode()
    return texts


async def test_through_the_socket(house: House) -> None:
    state = house.config.gateway.state_dir
    answer = await ask(state, "send", device="door-1", action="shield", args={"seconds": 60, "reason": "x"}, who="li")
    assert answer["code"] == "ok"
    (told,) = [event for event in await disk(house) if event["type"] == "operator.shield"]
    assert (told["data"]["who"], told["data"]["from"]) == ("li", "cli")


async def test_a_department_handles_the_alarms_that_it_gets_and_no_others(tmp_path: Path, puppets: Puppets) -> None:
    doors = {"url": "mqtt://127.0.0.1:1", "types": ["door.*"], "commands": ["silence", "acknowledge"]}
    by = By("dispatcher", "platform", "uplink:doors")
    async with living(config(tmp_path, DEVICES, {"doors": doors}), puppets) as house:
        fire = await puppets.emit("smoke-1", "fire.smoke", "raise")
        forced = await puppets.emit("door-1", "door.forced", "raise")
        expires = house.vitals.clock.utc() + timedelta(minutes=1)

        async def ask(action: str, **args: Any) -> Any:
            model = ARGUMENTS[action].model_validate(args)
            return await house.actions[action](Order("c-1", "gateway", action, model, by, expires))

        assert await ask("silence") == {"alarms": [forced]}
        with pytest.raises(NotFound):
            await ask("acknowledge", alarm=fire)
        assert (await ask("acknowledge", alarm=forced))["alarm"] == forced


async def test_a_reset_that_is_refused_stands_in_the_audit_log(house: House, puppets: Puppets) -> None:
    fire = await puppets.emit("smoke-1", "fire.smoke", "raise")
    with pytest.raises(NotNow):
        await house.duty.reset(fire, PERSON)
    found = (await house.store.read(lambda connection: lines(connection, 0, 100)))[-1][1]
    assert (found["what"], found["outcome"], found["reason"]) == ("operator.reset", "refused", "its cause still lasts")
