"""Linkage in a whole gateway whose devices are puppets: what is told, what is refused, what a bad driver does."""

from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.audit import By, lines
from gateway.driver import Command, Handler, Outcome, Picture
from gateway.errors import StorageError, Text
from gateway.house import House
from gateway.rulebook import Rule
from tests.houses import Puppets, config, disk, living, until
from tests.rig import refusing

DEVICES = {"smoke-1": "smoke", "door-1": "door", "cam-1": "camera", "supply-1": "input"}
WANG = By("王师傅", "manager", "page")
RELEASE = {"action": "release", "devices": {"kind": "door"}}
FIRE = {"name": "fire", "when": {"type": "fire.*"}, "do": [RELEASE]}
Event = dict[str, Any]


@dataclass
class Stage:
    """A gateway with these rules; `made` is what its devices were told to do, each answered as `answers` says."""

    house: House
    puppets: Puppets
    made: list[tuple[str, str]] = field(default_factory=list)
    answers: dict[str, Handler] = field(default_factory=dict)

    async def take(self, command: Command) -> Outcome:
        """A device's driver."""
        self.made.append((command.device, command.action))
        return await self.answers[command.device](command) if command.device in self.answers else Outcome()

    async def acted(self, count: int = 1) -> list[Event]:
        """The data of so many linkage events, with their severity."""
        found: list[Event] = []

        async def look() -> bool:
            events = await disk(self.house)
            found[:] = [e["data"] | {"severity": e["severity"]} for e in events if e["type"] == "gateway.action"]
            return len(found) >= count

        while not await look():
            await until(self.house, lambda: True)
        return found

    def conditions(self, device: str) -> set[str]:
        """What is so there now."""
        return {alarm.type for alarm in self.house.pipeline.shown.of(device) if alarm.active}


@asynccontextmanager
async def stage(folder: Path, *rules: Mapping[str, Any]) -> AsyncIterator[Stage]:
    made = config(folder, DEVICES).model_copy(update={"rules": tuple(map(Rule.model_validate, rules))})
    puppets = Puppets()
    async with living(made, puppets) as house:
        set_up = Stage(house, puppets)
        with ExitStack() as stack:
            for device in DEVICES:
                link = await puppets.link(device)
                actions = ("release", "lock", "lockdown", "snapshot", "output")
                stack.enter_context(link.handle(device, actions, set_up.take))
            yield set_up


async def resets(house: House, type: str = "fire.smoke") -> None:
    """A person acknowledges, disposes of, and so resets the alarm."""
    (alarm,) = [a for a in house.pipeline.shown if a.type == type]
    await house.duty.dispose(alarm.id, WANG, "real")


async def test_a_release_is_told_with_its_proof_and_cause_and_audited(tmp_path: Path) -> None:
    async with stage(tmp_path, FIRE) as made:
        fire = await made.puppets.emit("smoke-1", "fire.smoke", "raise")
        (told,) = await made.acted()
        said = {name: told[name] for name in ("rule", "action", "result", "cause", "proof", "severity")}
        assert said == {"rule": "fire", "action": "release", "result": "ok", "cause": fire, "proof": "relay",
                        "severity": "info"}  # fmt: skip
        assert "door.released" in made.conditions("door-1")
        audit = [entry for _, entry in await made.house.store.read(lambda c: lines(c, 0, 100))]
        mine = [(e["what"], e["subject"], e["outcome"]) for e in audit if e["from"] == "rule:fire"]
        assert mine == [("release", "door-1", "asked"), ("release", "door-1", "ok")]


async def test_nobody_locks_it_until_the_alarm_is_reset(tmp_path: Path) -> None:
    async with stage(tmp_path, FIRE) as made:
        await made.puppets.emit("smoke-1", "fire.smoke", "raise")
        await made.acted()
        refused = await made.house.supervisor.command(Command("1", "door-1", "lock"))
        assert refused.code == "not-allowed"
        assert refused.said is not None
        assert refused.said.en.endswith("once the alarm is over and disposed of")
        assert refused.said.zh == "火警已打开此门,报警消除并处置后才可上锁"
        assert made.made == [("door-1", "release")]
        await made.puppets.emit("smoke-1", "fire.smoke", "clear")
        await resets(made.house)
        await made.acted(2)
        assert made.made == [("door-1", "release"), ("door-1", "lock")]
        assert "door.released" not in made.conditions("door-1")
        assert (await made.house.supervisor.command(Command("2", "door-1", "lock"))).code == "ok"


async def test_a_disk_that_takes_nothing_keeps_no_door_shut(tmp_path: Path) -> None:
    async with stage(tmp_path, FIRE) as made:
        await made.acted(0)
        with refusing(tmp_path / "state"):
            for _ in range(3):  # as a driver does that is not heard
                with pytest.raises(StorageError):
                    await made.puppets.emit("smoke-1", "fire.smoke", "raise")
            await until(made.house, lambda: made.made == [("door-1", "release")])
        await made.puppets.emit("smoke-1", "fire.smoke", "raise")
        await made.acted()
        assert made.made == [("door-1", "release")] * 2
        assert made.house.linkage.guard(Command("1", "door-1", "lock")) is not None


async def test_an_open_door_is_the_better_proof(tmp_path: Path) -> None:
    async with stage(tmp_path, FIRE) as made:
        await made.puppets.emit("door-1", "door.open", "raise")
        await made.puppets.emit("smoke-1", "fire.smoke", "raise")
        assert (await made.acted())[0]["proof"] == "contact"


async def test_and_is_told_when_it_comes_later_once(tmp_path: Path) -> None:
    async with stage(tmp_path, FIRE) as made:
        await made.puppets.emit("smoke-1", "fire.smoke", "raise")
        await made.acted()
        for phase in ("raise", "clear", "raise"):
            await made.puppets.emit("door-1", "door.open", phase)
        await made.acted(2)
        await made.puppets.emit("smoke-1", "fire.smoke", "clear")
        await resets(made.house)
        told = [(event["action"], event["proof"]) for event in await made.acted(3)]
        assert told == [("release", "relay"), ("release", "contact"), ("lock", "relay")]


async def test_a_driver_that_breaks_is_told_and_ends_nothing(tmp_path: Path) -> None:
    shot = {"action": "snapshot", "devices": {"kind": "camera"}}
    async with stage(tmp_path, FIRE | {"do": [shot]}) as made:

        async def breaks(_: Command) -> Outcome:
            raise RuntimeError("a bug")

        async def works(_: Command) -> Outcome:
            return Outcome(picture=Picture(b"\xff\xd8\xff", "image/jpeg"))

        made.answers["cam-1"] = breaks
        await made.puppets.emit("smoke-1", "fire.smoke", "raise")
        (failed,) = await made.acted()
        assert (failed["result"], failed["severity"]) == ("driver-error", "medium")
        assert [a.type for a in made.house.pipeline.shown.of("cam-1")] == ["gateway.action"]  # an alarm, to be seen
        made.answers["cam-1"] = works
        await made.puppets.emit("smoke-1", "fire.smoke", "clear")
        await made.puppets.emit("smoke-1", "fire.smoke", "raise")
        told = (await made.acted(2))[1]
        assert await made.house.pictures.read(told["picture"]["ref"]) == b"\xff\xd8\xff"


async def test_a_drill_moves_nothing(tmp_path: Path) -> None:
    sound = {"action": "sound", "text": "演练"}
    drilled = {"name": "drilled", "when": {"type": "fire.*", "test": True}, "do": [sound]}
    async with stage(tmp_path, FIRE, drilled) as made:
        await made.house.covers.drill("", 60, WANG)
        await made.puppets.emit("smoke-1", "fire.smoke", "raise")
        (told,) = await made.acted()
        assert (told["rule"], told["test"], made.made) == ("drilled", True, [])
        (sounding,) = made.house.linkage.doings.sounds.values()
        assert (sounding.text, sounding.test) == ("演练", True)
        await made.puppets.emit("smoke-1", "fire.smoke", "clear")
        await made.acted(2)
        assert made.house.linkage.doings.sounds == {}


async def test_people_are_told_by_whoever_can(tmp_path: Path) -> None:
    rule = FIRE | {"do": [{"action": "notify", "target": "物业经理"}]}
    async with stage(tmp_path, rule) as made:
        await made.puppets.emit("smoke-1", "fire.smoke", "raise")
        (failed,) = await made.acted()
        assert (failed["result"], failed["target"]) == ("timeout", "物业经理")  # no contact is called so
        heard: list[tuple[str, Text]] = []

        async def notify(target: str, text: Text) -> bool:
            heard.append((target, text))
            return True

        made.house.linkage.doings.notify = notify
        await made.puppets.emit("smoke-1", "fire.smoke", "clear")
        await made.puppets.emit("smoke-1", "fire.smoke", "raise")
        await made.acted(2)
        assert heard == [("物业经理", Text("rule fire: smoke-1 Smoke alarm", "联动规则 fire:smoke-1 感烟火警"))]


async def test_one_cause_suppresses_what_follows_from_it(tmp_path: Path) -> None:
    do = {"action": "suppress", "type": "device.fault", "devices": {"ids": ["cam-1"]}}
    rule = {"name": "power", "when": {"type": "device.power_fault"}, "do": [do]}
    async with stage(tmp_path, rule) as made:
        await made.puppets.emit("supply-1", "device.power_fault", "raise")
        await made.acted()
        await made.puppets.emit("cam-1", "device.fault", "raise")

        def shown() -> dict[str, Any]:
            (fault,) = [a for a in made.house.alarms() if a["type"] == "device.fault"]
            return fault

        await until(made.house, lambda: shown()["state"] == "suppressed")
        assert shown()["suppressed_by"] == "supply-1 device.power_fault"
        await made.puppets.emit("supply-1", "device.power_fault", "clear")
        await until(made.house, lambda: shown()["state"] == "active_unacked")


async def test_alarms_of_a_device_rest_for_a_while(tmp_path: Path) -> None:
    do = {"action": "shelve", "hold": "1h", "devices": {"ids": ["cam-1"]}, "text": "维修"}
    async with stage(tmp_path, {"name": "works", "when": {"type": "device.power_fault"}, "do": [do]}) as made:
        await made.puppets.emit("cam-1", "device.fault", "raise")
        await made.puppets.emit("supply-1", "device.power_fault", "raise")
        await until(made.house, lambda: any(a["state"] == "shelved" for a in made.house.alarms()))


async def test_an_output_goes_back(tmp_path: Path) -> None:
    do = {"action": "output", "number": 2, "state": True, "devices": {"ids": ["supply-1"]}, "until": "cleared"}
    async with stage(tmp_path, {"name": "siren", "when": {"type": "safety.panic"}, "do": [do]}) as made:
        states: list[Any] = []

        async def take(command: Command) -> Outcome:
            states.append((command.args["number"], command.args["state"]))
            return Outcome()

        made.answers["supply-1"] = take
        await made.puppets.emit("supply-1", "safety.panic", "raise")
        await made.acted()
        await made.puppets.emit("supply-1", "safety.panic", "clear")
        await made.acted(2)
        assert states == [(2, True), (2, False)]


async def test_a_plan_that_cannot_be_read_keeps_no_door_shut(tmp_path: Path) -> None:
    from gateway.database import put_fact
    from gateway.linkage import FACT

    async with stage(tmp_path, FIRE) as made:
        await made.puppets.emit("smoke-1", "fire.smoke", "raise")
        await made.acted()
        await made.house.store.transact(lambda connection: put_fact(connection, FACT, "[{"))
    async with stage(tmp_path, FIRE) as made:
        await made.acted(2)
        assert made.made[0] == ("door-1", "release")


async def test_a_disk_that_takes_no_plan_keeps_no_door_shut(tmp_path: Path) -> None:
    async with stage(tmp_path, FIRE) as made:
        with refusing(tmp_path / "state", "fact"):
            await made.puppets.emit("smoke-1", "fire.smoke", "raise")
            await until(made.house, lambda: ("door-1", "release") in made.made)
        assert (await made.acted())[0]["result"] == "ok"
