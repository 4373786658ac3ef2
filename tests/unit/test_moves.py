"""Orders at devices: one at a time, in time, each an audit line and an event; what a door's contact said."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.arguments import ARGUMENTS
from gateway.audit import By, lines
from gateway.commands import Order, Refused, Result
from gateway.deeds import NotNow
from gateway.driver import Command, Outcome, Picture
from gateway.errors import Text, Unreachable
from gateway.house import House
from gateway.moves import MOST_WAITING
from tests.houses import Puppets, config, disk, living
from tests.rig import refusing

DUTY = By("duty", "platform", "uplink:district")
Handler = Callable[[Command], Awaitable[Outcome]]


class Doors:
    """A house with a door and a camera, whose driver does what the test says."""

    def __init__(self, house: House, puppets: Puppets) -> None:
        self.house = house
        self.puppets = puppets
        self.seen: list[Command] = []
        self.does: Handler = self.well

    async def well(self, _: Command) -> Outcome:
        return Outcome()

    async def handle(self, command: Command) -> Outcome:
        self.seen.append(command)
        return await self.does(command)

    async def ask(self, action: str, device: str = "door-1", within_s: float = 10.0, **args: Any) -> Result:
        expires = self.house.vitals.clock.utc() + timedelta(seconds=within_s)
        model = ARGUMENTS[action].model_validate(args)
        return await self.house.actions[action](Order(f"c-{action}", device, action, model, DUTY, expires))

    async def refused(self, action: str, device: str = "door-1", within_s: float = 10.0, **args: Any) -> Refused:
        with pytest.raises(Refused) as told:
            await self.ask(action, device, within_s, **args)
        return told.value

    async def events(self) -> list[tuple[str, dict[str, Any]]]:
        """What was told of it, without the place."""
        return [(event["type"], without_place(event["data"])) for event in await disk(self.house)]

    async def audited(self) -> list[tuple[str, str, str]]:
        found = await self.house.store.read(lambda connection: lines(connection, 0, 100))
        return [(line["what"], line["subject"], line["outcome"]) for _, line in found]


def without_place(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in ("place", "test")}


@asynccontextmanager
async def standing(folder: Path) -> AsyncIterator[Doors]:
    puppets = Puppets()
    async with living(config(folder, {"door-1": "door", "cam-1": "camera"}), puppets) as house:
        made = Doors(house, puppets)
        with ExitStack() as stack:
            for device in ("door-1", "cam-1"):
                link = await puppets.link(device)
                stack.enter_context(link.handle(device, ("unlock", "lock", "snapshot"), made.handle))
            yield made


@pytest.fixture
async def doors(tmp_path: Path) -> AsyncIterator[Doors]:
    async with standing(tmp_path) as made:
        yield made


async def test_an_order_is_a_line_before_and_an_event_behind(doors: Doors) -> None:
    async def look(_: Command) -> Outcome:
        assert await doors.audited() == [("command.lock", "door-1", "asked")]
        return Outcome(result={"status": 1})

    doors.does = look
    assert await doors.ask("lock") == {"status": 1}
    assert [(c.device, c.action, dict(c.args)) for c in doors.seen] == [("door-1", "lock", {})]
    said = {"who": "duty", "role": "platform", "from": "uplink:district", "action": "lock", "result": "ok"}
    assert await doors.events() == [("gateway.action", said)]


async def test_unlock_ends_with_what_the_contact_said(doors: Doors) -> None:
    relay = {"relay": "confirmed"}
    assert await doors.ask("unlock", seconds=0.05) == relay | {"contact": "unknown"}  # it has none, for all we know

    async def pushed(_: Command) -> Outcome:
        await doors.puppets.emit("door-1", "door.open", "raise")
        await doors.puppets.emit("door-1", "door.open", "clear")
        return Outcome()

    doors.does = pushed
    assert await doors.ask("unlock", seconds=10) == relay | {"contact": "opened"}
    doors.does = doors.well
    assert await doors.ask("unlock", seconds=0.05) == relay | {"contact": "not-opened"}
    await doors.puppets.emit("door-1", "door.open", "raise")  # somebody holds it
    assert await doors.ask("unlock", seconds=10) == relay | {"contact": "opened"}
    told = [data.get("contact") for kind, data in await doors.events() if kind == "gateway.action"]
    assert told == ["unknown", "opened", "not-opened", "opened"]


async def test_the_contact_is_waited_for_while_the_door_opens(doors: Doors) -> None:
    asking = asyncio.create_task(doors.ask("unlock", seconds=10))
    while not doors.seen:
        await disk(doors.house)
    await doors.puppets.emit("door-1", "door.open", "raise")
    assert (await asking)["contact"] == "opened"


async def test_the_answer_comes_before_the_order_is_over(doors: Doors) -> None:
    assert (await doors.ask("unlock", within_s=0.5, seconds=3600))["contact"] == "unknown"


async def test_one_at_a_time_a_few_in_line_and_no_more(doors: Doors) -> None:
    going, under_way, most = asyncio.Event(), 0, 0

    async def slow(_: Command) -> Outcome:
        nonlocal under_way, most
        under_way, most = under_way + 1, max(most, under_way + 1)
        await going.wait()
        under_way -= 1
        return Outcome()

    doors.does = slow
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(doors.ask("lock")) for _ in range(MOST_WAITING)]
        while not under_way:
            await disk(doors.house)
        assert (await doors.refused("lock")).code == "busy"
        beside = group.create_task(doors.ask("snapshot", "cam-1"))  # another device does not wait
        while under_way < 2:
            await disk(doors.house)
        assert (await doors.refused("lock", within_s=-1)).code == "busy"
        going.set()
    assert [task.result() for task in (*asked, beside)] == [{}] * (MOST_WAITING + 1)
    assert len([c for c in doors.seen if c.device == "door-1"]) == MOST_WAITING


async def test_an_order_whose_time_is_over_before_its_turn_is_never_begun(doors: Doors) -> None:
    async def stuck(_: Command) -> Outcome:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    doors.does = stuck
    first = asyncio.create_task(doors.refused("lock", within_s=1.0))
    while not doors.seen:
        await disk(doors.house)
    assert (await doors.refused("unlock", within_s=0.1)).code == "expired"
    assert (await first).code == "timeout"
    assert [command.action for command in doors.seen] == ["lock"]
    assert [(data["action"], data["result"]) for _, data in await doors.events()] == [("lock", "timeout")]


async def test_a_driver_that_fails_harms_nobody(doors: Doors) -> None:
    async def broken(_: Command) -> Outcome:
        raise ZeroDivisionError

    async def away(_: Command) -> Outcome:
        raise Unreachable("door-1", Text("the line is gone", "线路断开"))

    async def strange(_: Command) -> Outcome:
        return Outcome("no-such-code", "oh")

    async def offline(_: Command) -> Outcome:
        return Outcome("device-offline", "silent for 9 s", {"silent_s": 9})

    found = []
    for doors.does in (broken, away, strange, offline):
        refused = await doors.refused("lock")
        assert refused.what.zh != refused.what.en
        found.append((refused.code, refused.what.en.partition(": ")[2], dict(refused.result)))
    assert found == [
        ("device-refused", "its driver failed", {}),
        ("device-refused", "door-1: the line is gone", {}),
        ("device-refused", "oh", {}),
        ("device-offline", "silent for 9 s", {"silent_s": 9}),
    ]


async def test_a_picture_is_kept_and_told_and_handed_out_in_pieces(doors: Doors) -> None:
    body = b"\xff\xd8 a picture" * 5000

    async def shoot(_: Command) -> Outcome:
        return Outcome(picture=Picture(body, "image/jpeg"))

    doors.does = shoot
    kept = (await doors.ask("snapshot", "cam-1"))["picture"]
    told = {"content_type": "image/jpeg", "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    assert kept == {"ref": kept["ref"], **told}
    assert (await doors.events())[-1][1]["picture"] == kept
    found = b""
    offset: int | None = 0
    while offset is not None:
        piece = await doors.ask("picture", "gateway", ref=kept["ref"], offset=offset)
        found, offset = found + base64.b64decode(piece["data"]), piece.get("next")
    assert found == body
    assert (await doors.refused("picture", "gateway", ref="none")).code == "bad-arguments"


async def test_nothing_moves_without_its_line_and_what_moved_is_answered_without_its_event(tmp_path: Path) -> None:
    async with standing(tmp_path) as doors:
        with refusing(tmp_path / "state", "audit"), pytest.raises(Exception, match="no room"):
            await doors.ask("lock")
        assert not doors.seen
        with refusing(tmp_path / "state", "event_lane"):
            assert await doors.ask("lock") == {}
        assert len(doors.seen) == 1


async def test_what_lies_over_any_device_is_the_gateways_own(doors: Doors) -> None:
    await doors.ask("shield", "cam-1", seconds=60, reason="painting")
    await doors.ask("unshield", "cam-1", reason="painted")
    with pytest.raises(NotNow, match="not shielded"):
        await doors.ask("unshield", "cam-1", reason="painted")
    await doors.ask("shelve", "cam-1", seconds=60, reason="dust")
    await doors.ask("test", "cam-1", seconds=60)  # its driver has none of its own
    assert not doors.seen
    told = [(kind, data["who"], data["from"]) for kind, data in await doors.events() if kind.startswith("operator.")]
    kinds = ["operator.shield", "operator.unshield", "operator.shelve", "operator.drill"]
    assert told == [(kind, "duty", "uplink:district") for kind in kinds]
