"""The composer: stages of the end, lines of devices, what is told when something is missing, lost uplinks."""

import asyncio
import json
import logging
import os
import re
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway import app, build, delivery, documents
from gateway.access import GRANTED_UNSURE, hash_card
from gateway.clock import TimeQuality
from gateway.config import Config
from gateway.covers import Covers
from gateway.credentials import CredentialsConfig
from gateway.driver import registry
from gateway.errors import Misconfigured, NeedsPerson, StateError, Text, Unreachable
from gateway.event import Credential
from gateway.folder import held
from gateway.house import Filter, House
from gateway.mqtt import Target
from gateway.target import target
from tests.brokers import Mosquitto, Wire, free_port, subscribed
from tests.fakes import FastClock
from tests.houses import PLACES, Puppets, config, disk, living, to, until

DEVICES = {"smoke-1": "smoke", "door-1": "door"}
UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "community-gateway.service"
STOP_MOST_S = 10.0  # issue and contract: SIGTERM ends within this


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FastClock:
    """Every house of the test runs on it."""
    made = FastClock(50)
    monkeypatch.setattr("gateway.build.SystemClock", lambda: made)
    return made


# --- the end in stages


def test_the_stages_add_up_below_10_s_and_below_systemd_s_patience() -> None:
    stages = (app.DRIVERS_STOP_S, delivery.FLUSH_S, delivery.FAREWELL_S, app.STORE_STOP_S)
    assert sum(stages) == app.STOP_S < STOP_MOST_S
    found = re.search(r"^TimeoutStopSec=(\d+)$", UNIT.read_text("utf-8"), re.MULTILINE)
    assert found is not None
    assert app.STOP_S < STOP_MOST_S < int(found[1])


async def test_a_driver_that_will_not_stop_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "DRIVERS_STOP_S", 0.1)
    puppets, gate = Puppets(), asyncio.Event()

    async def stubborn(line: Any, link: Any) -> None:
        puppets.starts.append(line.name)
        try:
            await asyncio.Event().wait()
        finally:
            await gate.wait()

    puppets._run = stubborn  # type: ignore[method-assign]
    loop = asyncio.get_running_loop()
    async with living(config(tmp_path, {"door-1": "door"}), puppets) as house:
        await until(house, lambda: puppets.starts)
        loop.call_later(0.3, gate.set)
        began_s = loop.time()
    assert loop.time() - began_s < 1.0


# --- lines


def community(*devices: dict[str, Any], buses: dict[str, Any] | None = None) -> Config:
    from gateway.fields import DeviceConfig

    class OnBus(DeviceConfig):
        bus: str

    class Listening(DeviceConfig):
        listen: str

    made = [
        (OnBus if "bus" in device else Listening if "listen" in device else DeviceConfig).model_validate(
            {"driver": "a", "place": "gate"} | device
        )
        for device in devices
    ]
    area = {"district": "310104", "street": "013", "community": "002"}
    return Config.model_validate(
        {
            "gateway": {"id": "gw-0001"},
            "site": {"name": "阳光花园", "area": area, "places": PLACES},
            "buses": buses or {},
            "devices": made,
        }
    )


def test_devices_of_one_bus_share_a_line_others_stand_alone() -> None:
    buses = {name: {"serial": f"/dev/{name}"} for name in ("one", "two")}
    made = build.lines(
        community(
            {"id": "a1", "bus": "one"},
            {"id": "b1", "bus": "two", "driver": "b"},
            {"id": "c1", "driver": "c"},
            {"id": "a2", "bus": "one"},
            {"id": "c2", "driver": "c"},
            buses=buses,
        )
    )
    assert [(driver, line.name, [device.id for device in line.devices]) for driver, line in made] == [
        ("a", "one", ["a1", "a2"]), ("b", "two", ["b1"]), ("c", "c1", ["c1"]), ("c", "c2", ["c2"]),
    ]  # fmt: skip
    assert [line.bus.serial if line.bus else None for _, line in made] == ["/dev/one", "/dev/two", None, None]


def test_devices_of_one_listener_share_a_line_but_not_with_another_driver_s() -> None:
    made = build.lines(
        community(
            {"id": "a1", "listen": "0.0.0.0:5200"},
            {"id": "a2", "listen": "0.0.0.0:5200"},
            {"id": "a3", "listen": "udp://0.0.0.0:5200"},
        )
    )
    assert [[device.id for device in line.devices] for _, line in made] == [["a1", "a2"], ["a3"]]


def test_a_line_is_named_by_its_listening_address_as_people_write_it() -> None:
    config, driver = community(), registry()["zkteco"]
    keys = {"driver": "zkteco", "place": "gate", "listen": "127.0.0.1:18081"}
    doors = [driver.Config.model_validate({"id": f"door-{serial}", "address": serial, **keys}) for serial in "12"]
    made = build.lines(config.model_copy(update={"devices": doors}))
    assert [(name, line.name, len(line.devices)) for name, line in made] == [("zkteco", "127.0.0.1:18081", 2)]


def test_no_devices_no_lines() -> None:
    assert build.lines(community()) == []


# --- trouble


def told(caplog: pytest.LogCaptureFixture, part: str) -> list[str]:
    """Log lines from warnings up that contain it."""
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING and part in r.getMessage()]


@pytest.mark.parametrize(("kind", "reason"), [(Unreachable, "unreachable"), (NeedsPerson, "refused")])
async def test_a_line_in_trouble_is_tried_again_and_told_once(
    tmp_path: Path, clock: FastClock, caplog: pytest.LogCaptureFixture, kind: type[Exception], reason: str
) -> None:
    clock.times = 1000 if kind is NeedsPerson else 200
    puppets = Puppets()
    error = [kind("door-1", Text("no answer", "没有应答"), Text("look at the cable", "请检查线缆")) for _ in range(4)]
    puppets.trouble["door-1"] = list(error)
    async with living(config(tmp_path, DEVICES), puppets) as house:
        await puppets.link("door-1")
        await (await puppets.link("smoke-1")).seen("smoke-1")  # the others work
        events = await house.events(Filter(types=("device.offline",)), 100)
        await (await puppets.link("door-1")).seen("door-1")
        back = await house.events(Filter(types=("device.offline",)), 100)
    assert puppets.starts.count("door-1") == 5
    assert [(e["phase"], e["data"]["reason"]) for e in events] == [("raise", reason)]
    assert [e["phase"] for e in back] == ["raise", "clear"]
    assert told(caplog, "no answer") == ["door-1: no answer; look at the cable"]


async def test_a_line_that_cannot_work_as_configured_stops_and_the_others_go_on(
    tmp_path: Path, clock: FastClock, caplog: pytest.LogCaptureFixture
) -> None:
    puppets = Puppets()
    clock.times = 500
    puppets.trouble["door-1"] = [Misconfigured("door-1", Text("no such profile", "没有"), Text("name one", "请修改"))]
    async with living(config(tmp_path, DEVICES), puppets) as house:
        await until(house, lambda: house.supervisor.lines[1].state == "stopped")
        await clock.sleep(100)
        await puppets.emit("smoke-1", "fire.smoke", "raise")
    assert puppets.starts.count("door-1") == 1
    assert told(caplog, "no such profile") == ["door-1: no such profile; name one"]


async def test_a_bug_in_a_driver_ends_nothing_else_and_shows_its_trace_once(
    tmp_path: Path, clock: FastClock, caplog: pytest.LogCaptureFixture
) -> None:
    puppets = Puppets()
    puppets.trouble["door-1"] = [KeyError("bug") for _ in range(3)]
    async with living(config(tmp_path, DEVICES), puppets):
        await puppets.link("door-1")
        await puppets.emit("smoke-1", "fire.smoke", "raise")
    assert [record.exc_info is not None for record in caplog.records if "bug" in record.getMessage()] == [True]


async def test_a_bug_in_an_uplink_ends_no_other(
    tmp_path: Path, clock: FastClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bugs = [RuntimeError("a bug") for _ in range(2)]

    def buggy(name: str, *more: Any) -> Target:
        if name == "sick" and bugs:
            raise bugs.pop()
        return target(name, *more)

    monkeypatch.setattr(build, "target", buggy)
    async with Mosquitto(tmp_path) as broker, subscribed(broker.port) as district:
        uplinks = {"sick": to(broker.port, root="sick"), "well": to(broker.port, root="well")}
        puppets = Puppets()
        async with living(config(tmp_path, DEVICES, uplinks), puppets) as house:
            await puppets.emit("door-1", "access.granted")
            await district.until(lambda: len(district.events()) == 2)
            assert all(uplink.connected for uplink in house.uplinks)
    assert len(told(caplog, "uplink sick failed")) == 2


async def test_a_bug_in_a_part_ends_nothing(
    tmp_path: Path, clock: FastClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bugs, mended = [RuntimeError("a bug") for _ in range(2)], asyncio.Event()

    async def buggy(_: Covers) -> None:
        if bugs:
            raise bugs.pop()
        mended.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Covers, "keep_time", buggy)
    puppets = Puppets()
    async with living(config(tmp_path, DEVICES), puppets):
        async with asyncio.timeout(10):
            await mended.wait()
        await puppets.emit("smoke-1", "fire.smoke", "raise")
    assert len(told(caplog, "a part of the gateway failed")) == 2


async def test_the_page_waits_for_its_port_and_is_told_once(
    tmp_path: Path, clock: FastClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    port = free_port()
    made = config(tmp_path, DEVICES, web={"listen": f"127.0.0.1:{port}"}, language="zh-CN")
    with socket.create_server(("127.0.0.1", port)) as taken:
        async with living(made, Puppets()) as house:
            await clock.sleep(35)  # three tries
            assert len(told(caplog, f"{port} 已被")) == 1
            assert re.search("[一-鿿]", told(caplog, str(port))[0])
            taken.close()
            await until(house, lambda: "listening: page on" in caplog.text)
            async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/healthz") as answer:
                assert answer.status == 200


@pytest.mark.parametrize("url", ["mqtt://127.0.0.1:{port}", "mqtt://no-such-host.invalid:{port}"])
async def test_an_uplink_that_is_away_is_told_once(
    tmp_path: Path, clock: FastClock, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    uplinks = {"district": {"url": url.format(port=free_port())}}
    async with living(config(tmp_path, DEVICES, uplinks), Puppets()) as house:
        await until(house, lambda: house.uplinks[0]._backoff.failures >= 3)
    (line,) = told(caplog, ":")
    assert re.search("check", line)


# --- gateway.uplink_lost


async def losses(house: House) -> list[tuple[str, str]]:
    """(uplink, phase) of each, in order."""
    found = await house.events(Filter(types=("gateway.uplink_lost",)), 100)
    return [(event["data"]["uplink"], event["phase"]) for event in found]


async def lost(house: House, count: int) -> None:
    """Until so many have been told."""
    async with asyncio.timeout(10):
        while len(await losses(house)) < count:
            pass


async def test_a_loss_is_an_alarm_after_10_s_and_ends_with_the_return(tmp_path: Path, clock: FastClock) -> None:
    clock.times = 1  # connecting may take its time
    async with Mosquitto(tmp_path) as broker, Wire(broker.port) as wire:
        uplinks = {"district": to(wire.port), "fire": to(broker.port, root="fire")}
        async with living(config(tmp_path, DEVICES, uplinks), Puppets()) as house:
            await until(house, lambda: all(uplink.connected for uplink in house.uplinks))
            clock.times = 10  # for the other one has to answer meanwhile
            cut_at_s = clock.monotonic()
            wire.cut()
            await lost(house, 1)
            assert clock.monotonic() - cut_at_s >= app.UPLINK_LOST_AFTER_S
            (alarm,) = house.alarms()
            assert (alarm["type"], alarm["part"], alarm["severity"], alarm["device"]) == (
                "gateway.uplink_lost", "district", "high", "gw-0001",
            )  # fmt: skip
            clock.times = 50
            wire.mend()
            await lost(house, 2)
            assert await losses(house) == [("district", "raise"), ("district", "clear")]
            first, second = await house.events(Filter(types=("gateway.uplink_lost",)), 100)
            assert first["data"]["alarm"] == second["data"]["alarm"] == first["id"]


async def test_each_uplink_is_lost_by_its_own_name(tmp_path: Path, clock: FastClock) -> None:
    uplinks = {"district": to(free_port()), "fire": to(free_port())}
    async with living(config(tmp_path, DEVICES, uplinks), Puppets()) as house:
        await lost(house, 2)
        await clock.sleep(30)
        assert sorted(await losses(house)) == [("district", "raise"), ("fire", "raise")]  # and not again and again
        assert {alarm["part"] for alarm in house.alarms()} == {"district", "fire"}


async def test_a_short_loss_is_no_alarm(tmp_path: Path, clock: FastClock) -> None:
    clock.times = 5  # so that reconnecting takes few of its seconds
    async with (
        Mosquitto(tmp_path) as broker,
        Wire(broker.port) as wire,
        living(config(tmp_path, DEVICES, {"district": to(wire.port)}), Puppets()) as house,
    ):
        await until(house, lambda: house.uplinks[0].connected)
        wire.cut()
        await until(house, lambda: not house.uplinks[0].connected)
        wire.mend()
        await until(house, lambda: house.uplinks[0].connected)
        clock.times = 50
        await clock.sleep(2 * app.UPLINK_LOST_AFTER_S)
        assert await losses(house) == []


async def test_a_loss_outlives_a_restart_and_ends_then(tmp_path: Path, clock: FastClock) -> None:
    port = free_port()
    made = config(tmp_path, DEVICES, {"district": to(port)})
    async with living(made, Puppets()) as house:
        await lost(house, 1)
    async with living(made, Puppets()) as house:
        await clock.sleep(3 * app.UPLINK_LOST_AFTER_S)
        assert await losses(house) == [("district", "raise")]
    async with Mosquitto(tmp_path, port=port), living(made, Puppets()) as house:
        await lost(house, 2)
        assert await losses(house) == [("district", "raise"), ("district", "clear")]


# --- the state folder


def folder_is_a_file(path: Path) -> Path:
    path.write_text("", "utf-8")
    return path


def parent_is_a_file(path: Path) -> Path:
    path.write_text("", "utf-8")
    return path / "state"


def nowhere_to_make_it(path: Path) -> Path:
    return Path("/proc/community-gateway")


@pytest.mark.parametrize("made", [folder_is_a_file, parent_is_a_file, nowhere_to_make_it])
def test_a_folder_that_cannot_be_used_is_told_with_what_to_do(made: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = made(tmp_path / "state")
    with pytest.raises(StateError) as error, held(folder):
        pass
    for language in ("en", "zh-CN"):
        assert str(folder) in error.value.say(language)
        assert "gateway.state_dir" in error.value.say(language)


async def test_a_second_gateway_on_the_same_folder_is_told_whose_it_is(tmp_path: Path) -> None:
    made = config(tmp_path, DEVICES)
    async with living(made, Puppets()):
        with pytest.raises(StateError, match=f"process {os.getpid()}"):
            async with living(made, Puppets()):
                pass
    async with living(made, Puppets()):
        pass  # free again


async def test_a_database_that_is_none_is_told_and_moved_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = config(tmp_path, DEVICES)
    made.gateway.state_dir.mkdir()
    database = made.gateway.state_dir / app.DATABASE
    database.write_text("somebody's letters, which are no database at all\n" * 100, "utf-8")
    async with living(made, Puppets()) as house:
        assert house.ready()
    assert f"{app.DATABASE}: the database was damaged" in caplog.text
    (aside,) = database.parent.glob(f"{app.DATABASE}.damaged-*")
    assert "somebody's letters" in aside.read_text("utf-8", "replace")


# --- the clock


async def test_what_is_known_of_the_time_is_remembered_at_the_end(tmp_path: Path, clock: FastClock) -> None:
    made = config(tmp_path, DEVICES)
    async with living(made, Puppets()):
        pass
    ended = clock.utc()
    clock.time_quality = TimeQuality.UNSYNCED
    clock.start -= timedelta(days=20000)
    assert clock.at_least() < ended - timedelta(days=365)
    async with living(made, Puppets()):
        assert abs(clock.at_least() - ended) < timedelta(minutes=5)  # fast ones


async def test_a_clock_that_nobody_sets_is_told(tmp_path: Path, clock: FastClock) -> None:
    clock.times, clock.time_quality = 2000, TimeQuality.UNSYNCED
    told: list[dict[str, Any]] = []
    async with asyncio.timeout(10), living(config(tmp_path, DEVICES), Puppets()) as house:
        while len(told) < 2:
            told = [event for event in await disk(house) if event["type"] == "gateway.clock_bad"]
            clock.time_quality = TimeQuality.SYNCED if told else TimeQuality.UNSYNCED
    assert [(event["phase"], event["data"].get("reason")) for event in told] == [("raise", "unsynced"), ("clear", None)]
    for event in told:
        documents.Event.model_validate_json(json.dumps(as_sent(event)))


def as_sent(event: dict[str, Any]) -> dict[str, Any]:
    """An event of the house as an uplink would get it."""
    return {name: value for name, value in event.items() if name != "streams"} | {
        "stream": "district.event", "sequence": f"{1:016d}",
    }  # fmt: skip


async def test_a_door_knows_that_the_clock_is_not_set(tmp_path: Path, clock: FastClock) -> None:
    card, key = Credential("wiegand-26", 90, 324), "a key of the site, long enough"
    entry = {"card": hash_card(key, card), "doors": ["*"], "valid_from": "2099-01-01"}
    listed = CredentialsConfig.model_validate({"key": key, "list": [entry]})
    made = config(tmp_path, DEVICES).model_copy(update={"credentials": listed})
    puppets = Puppets()
    async with living(made, puppets):
        link = await puppets.link("door-1")
        assert link.decide("door-1", card).reason == "not_yet_valid"
        clock.time_quality = TimeQuality.UNSYNCED
        assert link.decide("door-1", card) == GRANTED_UNSURE
