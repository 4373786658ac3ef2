"""Escalation in a whole gateway: steps in time, messages over a real wire, nothing once somebody is there."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway import callout, courier
from gateway.app import standing
from gateway.audit import By, lines
from gateway.config import Config
from gateway.errors import Text
from gateway.event import Phase, Reading
from gateway.house import House
from tests.brokers import Mosquitto, free_port, subscribed
from tests.houses import WAIT_S, Puppets, config, disk, living, to, until

LI = By("li", "duty", "page")
DEVICES = {"smoke-1": "smoke", "smoke-2": "smoke", "smoke-3": "smoke", "door-1": "door"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((callout, "TICK_S"), (courier, "TICK_S"), (courier, "SPACING_S")):
        monkeypatch.setattr(module, name, 0.02)


class Hook:
    """A duty desk that takes web hooks; `status` is what it answers."""

    def __init__(self) -> None:
        self.status = 200
        self.came: list[dict[str, Any]] = []
        self._changed = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        """One message."""
        self.came.append(await request.json())
        self._changed.set()
        return web.Response(status=self.status, headers={"Retry-After": "0"})

    async def until(self, condition: Callable[[], object]) -> None:
        """Looked at with each message."""
        async with asyncio.timeout(WAIT_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
def puppets() -> Puppets:
    return Puppets()


@asynccontextmanager
async def desk() -> AsyncIterator[tuple[Hook, str]]:
    """A duty desk, and its address."""
    hook, app = Hook(), web.Application()
    app.router.add_post("/", hook.take)
    async with TestServer(app) as server:
        yield hook, str(server.make_url("/"))


def made(folder: Path, url: str, *steps: Any, uplinks: dict[str, Any] | None = None, **contact: Any) -> Config:
    """Fire is escalated by these steps, to a contact called 值班."""
    bare = config(folder, DEVICES, uplinks)
    entry = {"lead": "消控室", "assist": ["经理"], "escalate": list(steps), "basis": "预案"}
    return Config.model_validate(
        {**dict(bare), "contacts": {"值班": {"webhook": url, **contact}}, "responsibility": {"*": entry}}
    )


async def escalations(house: House) -> list[tuple[str, str]]:
    """(to whom, what came of it) of each event of an escalation."""
    events = [event for event in await disk(house) if event["type"] == "gateway.escalation"]
    return [(event["data"]["to"], event["data"]["result"]) for event in events]


async def escalated(house: House, *expected: tuple[str, str]) -> None:
    """Until this stands on disk, and no more."""
    async with asyncio.timeout(WAIT_S):
        while (found := await escalations(house)) != list(expected):
            assert len(found) <= len(expected), found


def now(to: str) -> dict[str, str]:
    """A step that is due at once."""
    return {"after": "0s", "to": to}


async def test_each_step_is_an_event_an_audit_line_and_a_message(tmp_path: Path, puppets: Puppets) -> None:
    async with desk() as (hook, url), living(made(tmp_path, url, now("page"), now("值班")), puppets) as house:
        alarm = await puppets.emit("smoke-1", "fire.smoke", "raise")
        await hook.until(lambda: hook.came)
        await escalated(house, ("page", "ok"), ("值班", "sending"), ("值班", "ok"))
        audited = [entry for _, entry in await house.store.read(lambda c: lines(c, 0, 100))]
        assert [entry["what"] for entry in audited] == ["gateway.escalation"] * 2
        (told,) = [event for event in await disk(house) if event["data"].get("to") == "page"]
    assert told["subject"] == "smoke-1"
    assert {"alarm": alarm, "step": 1, "type": "fire.smoke", "from": "rule:escalation"}.items() <= told["data"].items()
    (message,) = hook.came
    assert message["title"] == "[ALARM] Smoke alarm, 大门"
    assert (message["alarms"], message["lead"], message["assist"]) == ([alarm], "消控室", ["经理"])


async def test_alarms_show_who_leads_and_what_comes_next(tmp_path: Path, puppets: Puppets) -> None:
    async with living(made(tmp_path, "http://127.0.0.1/", "page", "值班"), puppets) as house:
        identity = await puppets.emit("smoke-1", "fire.smoke", "raise")
        (alarm,) = house.alarms()
        assert (alarm["lead"], alarm["assist"], alarm["next"]["to"]) == ("消控室", ["经理"], "page")
        assert alarm["next"]["at"] > alarm["first"]
        await house.duty.acknowledge(identity, LI)
        assert "next" not in house.alarms()[0]


async def test_somebody_who_is_there_ends_it(tmp_path: Path, puppets: Puppets) -> None:
    steps = ({"after": "200ms", "to": "值班"}, now("page"))
    async with desk() as (hook, url), living(made(tmp_path, url, *steps), puppets) as house:
        first = await puppets.emit("smoke-1", "fire.smoke", "raise")
        await house.duty.acknowledge(first, LI)
        await puppets.emit(
            "smoke-2", "fire.smoke", "raise"
        )  # the next one is called for: it shows that time has passed
        await hook.until(lambda: hook.came)
        assert first not in [alarm for message in hook.came for alarm in message["alarms"]]


async def test_one_that_cannot_be_told_is_tried_again_and_its_failure_told_once(
    tmp_path: Path, puppets: Puppets
) -> None:
    async with desk() as (hook, url), living(made(tmp_path, url, now("值班")), puppets) as house:
        hook.status = 429
        await puppets.emit("smoke-1", "fire.smoke", "raise")
        await hook.until(lambda: hook.came)
        await escalated(house, ("值班", "sending"), ("值班", "failed"))
        hook.status = 200
        await escalated(house, ("值班", "sending"), ("值班", "failed"), ("值班", "ok"))


async def test_many_of_one_kind_in_one_building_go_as_one(tmp_path: Path, puppets: Puppets) -> None:
    async with desk() as (hook, url):
        async with standing(made(tmp_path, url, now("值班")), puppets.drivers) as house:
            readings = [Reading(f"smoke-{n}", "fire.smoke", Phase.RAISE) for n in (1, 2, 3)]
            await house.pipeline.accept(readings)  # before anything runs
        async with living(made(tmp_path, url, now("值班")), puppets):
            await hook.until(lambda: hook.came)
        (message,) = hook.came
        assert (message["count"], message["title"]) == (3, "[ALARM] Smoke alarm ×3, 大门")


async def test_a_restart_repeats_no_step_and_misses_none(tmp_path: Path, puppets: Puppets) -> None:
    async with desk() as (hook, url):
        async with living(made(tmp_path, url, now("page"), {"after": "300ms", "to": "值班"}), puppets) as house:
            await puppets.emit("smoke-1", "fire.smoke", "raise")
            await escalated(house, ("page", "ok"))
        again = Puppets()
        async with living(made(tmp_path, url, now("page"), {"after": "300ms", "to": "值班"}), again) as house:
            await hook.until(lambda: hook.came)
            await escalated(house, ("page", "ok"), ("值班", "sending"), ("值班", "ok"))
        assert len(hook.came) == 1


@pytest.mark.parametrize("drills", [False, True])
async def test_a_drill_calls_those_only_who_want_to_hear_of_it(tmp_path: Path, puppets: Puppets, drills: bool) -> None:
    steps = (now("page"), now("值班"))
    async with desk() as (hook, url), living(made(tmp_path, url, *steps, drills=drills), puppets) as house:
        await house.covers.drill("smoke-1", 600, LI)
        await puppets.emit("smoke-1", "fire.smoke", "raise")
        await puppets.emit("smoke-2", "fire.smoke", "raise")
        await hook.until(lambda: len(hook.came) == (2 if drills else 1))
        assert sorted(message["test"] for message in hook.came) == ([False, True] if drills else [False])
        assert [to for to, _ in await escalations(house)].count("page") == 1
    assert [m["title"][:7] for m in hook.came if m["test"]] == (["[DRILL,"] if drills else [])


async def test_what_is_shielded_or_shelved_calls_nobody(tmp_path: Path, puppets: Puppets) -> None:
    async with desk() as (hook, url), living(made(tmp_path, url, now("值班")), puppets) as house:
        await house.covers.shield("smoke-1", 600, "维修", LI)
        await puppets.emit("smoke-1", "fire.smoke", "raise")
        second = await puppets.emit("smoke-2", "fire.smoke", "raise")
        await hook.until(lambda: hook.came)
        assert hook.came[0]["alarms"] == [second]
        await house.covers.unshield("smoke-1", "修好", LI)
        await until(house, lambda: len([a for a in house.alarms() if _has(a, "escalate")]) == 2)


async def test_sound_is_heard_again_though_somebody_silenced_it(tmp_path: Path, puppets: Puppets) -> None:
    async with living(made(tmp_path, "http://127.0.0.1/", {"after": "300ms", "to": "sound"}), puppets) as house:
        await puppets.emit("smoke-1", "fire.smoke", "raise")
        await house.duty.silence(LI)
        assert house.alarms()[0]["flags"]["silenced"]
        await until(house, lambda: not house.alarms()[0]["flags"]["silenced"])


async def test_an_uplink_hears_of_it_whatever_it_gets_otherwise(tmp_path: Path, puppets: Puppets) -> None:
    """Its filter leaves the alarm out: what was escalated to it passes; what goes to others does not."""
    async with Mosquitto(tmp_path) as broker, subscribed(broker.port) as city:
        uplinks = {"police": to(broker.port, types=["access.*"]), "away": to(free_port(), types=["access.*"])}
        steps = (now("page"), now("away"), now("police"))
        async with living(made(tmp_path, "http://127.0.0.1/", *steps, uplinks=uplinks), puppets):
            await puppets.emit("smoke-1", "fire.smoke", "raise")
            await city.until(lambda: city.events())
            await puppets.emit("door-1", "access.granted")
            await city.until(lambda: len(city.events()) == 2)
        escalated, granted = city.events()
    assert (escalated["type"], escalated["data"]["to"], escalated["data"]["type"]) == (
        "gateway.escalation",
        "police",
        "fire.smoke",
    )
    assert escalated["data"]["place"]["path"] == "gate"
    assert granted["type"] == "access.granted"


async def test_a_rule_s_word_goes_to_a_contact(tmp_path: Path, puppets: Puppets) -> None:
    async with desk() as (hook, url), living(made(tmp_path, url), puppets) as house:
        said = Text("tank low", "水箱水位低")
        assert await house.callout.notify("值班", said)
        assert await house.callout.notify("page", said)  # which sees the rule's own event
        assert not await house.callout.notify("nobody", said)
        assert "tank low" in hook.came[0]["text"]
        hook.status = 500
        assert not await house.callout.notify("值班", said)


def _has(alarm: dict[str, Any], word: str) -> bool:
    return word in [step["step"] for step in alarm["history"]]
