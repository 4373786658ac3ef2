"""The health document's fields and figures, and the one word for everything."""

import json
import os
import resource
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import documents
from gateway.alarms import Alarm, Book
from gateway.audit import By
from gateway.clock import rfc3339
from gateway.errors import Text
from gateway.event import Phase, Reading, Severity
from gateway.health import VERDICTS, rss_bytes, since_ms, verdict
from gateway.house import House
from tests.brokers import Mosquitto, free_port
from tests.houses import Puppets, config, living, to, until

FIELDS = {  # contract, section 2
    "gateway", "time", "uptime_s", "boot", "version", "clock", "uplinks", "disk", "cpu_percent", "rss_bytes",
    "temperature_c", "drivers", "audit", "shielded", "shelved", "drilled",
}  # fmt: skip
WANG = By("wang", "duty", "page")
DEVICES = {"smoke-1": "smoke", "door-1": "door", "cam-1": "camera"}


def alarm(device: str, kind: str, severity: Severity = Severity.HIGH, *, test: bool = False) -> Alarm:
    """An active one."""
    return Alarm(
        device, kind, "", "01a207de-e9f3-7c3e-9d1f-3a5b6c7d8e9f", severity, True, severity is Severity.INFO, False,
        False, 1, 0, 0, test,
    )  # fmt: skip


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """All devices answer, nothing is wrong, and there is no uplink."""
    async with living(config(tmp_path, DEVICES), Puppets()) as house:
        now = house.vitals.clock.utc()
        for device in DEVICES:
            house.vitals.states.heard(device, now)
        yield house


async def test_exactly_the_contract_s_fields(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker:
        uplinks = {"district": to(broker.port), "dead": to(free_port())}
        async with living(config(tmp_path, DEVICES, uplinks), Puppets()) as house:
            await until(house, lambda: house.uplinks[0].connected and house.uplinks[1].why)
            document = house.health()
    documents.Health.model_validate_json(json.dumps(document))
    assert set(document) == FIELDS
    assert set(document["clock"]) == {"quality", "offset_ms"}
    assert set(document["disk"]) == {"used_bytes", "limit_bytes", "free_bytes"}
    assert set(document["uplinks"]) == {"district", "dead"}
    assert set(document["uplinks"]["district"]) == {"connected", "since", "lanes", "unconfirmed_alarms"}
    assert set(document["uplinks"]["district"]["lanes"]) == {"alarm", "event", "telemetry"}
    lane = {"backlog", "oldest_s", "sent", "confirmed", "refused", "dropped", "dead"}
    assert all(set(shown) == lane for shown in document["uplinks"]["district"]["lanes"].values())
    assert document["drivers"] == {"puppet": {"state": "running", "devices": 3, "offline": 0}}
    assert (document["uplinks"]["district"]["connected"], document["uplinks"]["dead"]["connected"]) == (True, False)
    assert "no connection" in document["uplinks"]["dead"]["why"]["en"]
    assert "无法连接" in document["uplinks"]["dead"]["why"]["zh"]


async def test_figures_are_plausible(house: House, tmp_path: Path) -> None:
    document = house.health()
    files = sum(path.stat().st_size for path in (tmp_path / "state").glob("events.db*"))
    assert document["disk"]["used_bytes"] == files > 0
    assert document["disk"]["limit_bytes"] == 512 * 2**20
    assert 0 < document["disk"]["free_bytes"] <= os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize * 1.01
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert 2**24 < document["rss_bytes"] <= peak_kib * 1024 + 2**20  # both are told by the kernel, a moment apart
    assert abs(rss_bytes() - document["rss_bytes"]) < 2**24
    assert document["cpu_percent"] > 0
    assert 0 <= document["uptime_s"] < 60
    assert document["temperature_c"] is None or -40 < document["temperature_c"] < 125


async def test_a_file_that_goes_while_it_is_measured_is_nothing(house: House, tmp_path: Path) -> None:
    """SQLite deletes the WAL with its last connection, which after each error of the disk may be at any moment."""
    (tmp_path / "state" / "events.db-gone").symlink_to("nowhere")
    files = sum(path.stat().st_size for path in (tmp_path / "state").glob("events.db*") if path.exists())
    assert house.health()["disk"]["used_bytes"] == files > 0


async def test_backlog_and_age_of_what_waits(tmp_path: Path) -> None:
    puppets = Puppets()
    async with living(config(tmp_path, DEVICES, {"dead": to(free_port())}), puppets) as house:
        await puppets.emit("smoke-1", "fire.smoke", "raise")
        for _ in range(3):
            await puppets.emit("door-1", "access.granted")
        lanes = house.health()["uplinks"]["dead"]["lanes"]
    assert {name: lane["backlog"] for name, lane in lanes.items()} == {"alarm": 1, "event": 3, "telemetry": 0}
    assert {lane["sent"] for lane in lanes.values()} == {0}


async def test_a_driver_in_trouble_is_named_with_why(tmp_path: Path) -> None:
    from gateway.errors import Misconfigured

    puppets = Puppets()
    puppets.trouble["door-1"] = [Misconfigured("door-1", Text("no such thing", "没有"), Text("mend it", "请修改"))]
    async with living(config(tmp_path, DEVICES), puppets) as house:
        await until(house, lambda: house.vitals.states["door-1"].online is False)
        shown = house.health()["drivers"]["puppet"]
    assert (shown["state"], shown["devices"], shown["offline"]) == ("stopped", 3, 1)
    assert shown["why"] == {"en": "door-1: no such thing; mend it", "zh": "door-1: 没有;请修改"}


# --- the verdict


def word(house: House, *alarms: Alarm) -> str:
    """With these conditions open."""
    return verdict(house.vitals, Book(alarms), house.uplinks)


def test_the_order_is_fixed() -> None:
    assert VERDICTS == ("fire", "alarm", "unknown", "fault", "disconnected", "shielded", "normal")


async def test_all_well_is_normal(house: House) -> None:
    assert word(house) == "normal"
    assert house.verdict()["word"] == "normal"


@pytest.mark.parametrize("kind", ["door.open", "video.motion"])
async def test_everyday_life_is_normal(house: House, kind: str) -> None:
    device = "door-1" if kind == "door.open" else "cam-1"
    assert word(house, alarm(device, kind, Severity.INFO)) == "normal"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("fire.smoke", "fire"),
        ("door.forced", "alarm"),
        ("device.tamper", "alarm"),
        ("device.offline", "unknown"),
        ("device.fault", "fault"),
        ("device.power_fault", "fault"),
        ("device.shielded", "shielded"),
        ("device.test", "shielded"),
    ],
)
async def test_one_condition_one_word(house: House, kind: str, said: str) -> None:
    severity = Severity.INFO if kind == "device.test" else Severity.HIGH
    assert word(house, alarm("smoke-1", kind, severity)) == said


async def test_what_is_worse_wins(tmp_path: Path) -> None:
    async with living(config(tmp_path, DEVICES, {"dead": to(free_port())}), Puppets()) as house:
        now = house.vitals.clock.utc()
        for device in DEVICES:
            house.vitals.states.heard(device, now)
        open_ = [
            alarm("smoke-1", "device.shielded"),
            alarm("door-1", "device.fault"),
            alarm("cam-1", "device.offline"),
            alarm("door-1", "door.forced"),
            alarm("smoke-1", "fire.smoke"),
        ]
        said = [word(house, *open_[:count]) for count in range(len(open_) + 1)]
        assert said == ["disconnected", "disconnected", "fault", "unknown", "alarm", "fire"]


async def test_a_device_that_has_said_nothing_is_unknown_and_never_normal(tmp_path: Path) -> None:
    async with living(config(tmp_path, DEVICES), Puppets()) as house:
        for device in ("smoke-1", "door-1"):
            house.vitals.states.heard(device, house.vitals.clock.utc())
            assert word(house) == "unknown"
        assert word(house, alarm("smoke-1", "device.fault")) == "unknown"
        house.vitals.states.heard("cam-1", house.vitals.clock.utc())
        assert word(house) == "normal"


async def test_a_device_that_went_silent_is_unknown(house: House) -> None:
    house.vitals.states.silent("cam-1")
    assert word(house) == "unknown"


async def test_a_fire_under_test_is_no_fire(house: House) -> None:
    assert word(house, alarm("smoke-1", "fire.smoke", Severity.CRITICAL, test=True)) == "alarm"


async def test_a_fire_of_a_shielded_device_counts_as_shielded(house: House) -> None:
    fire = await house.pipeline.accept([Reading("smoke-1", "fire.smoke", Phase.RAISE)])
    assert house.verdict()["word"] == "fire"
    await house.covers.shield("smoke-1", 60, "painting", WANG)
    await house.covers.shelve("door-1", 60, "moving", WANG)
    await house.covers.drill("gate", 60, WANG)
    assert house.verdict()["word"] == "shielded"
    document = house.health()
    assert [document[name] for name in ("shielded", "shelved", "drilled")] == [1, 1, 1]
    assert house.audit.newest is not None
    assert document["audit"] == {"count": 3, "sha256": house.audit.newest.sha256}
    await house.covers.unshield("smoke-1", "dry", WANG)
    assert house.verdict()["word"] == "fire"
    assert house.alarms()[0]["alarm"] == fire[0]


async def test_a_fire_in_a_drill_is_not_the_word_fire(house: House) -> None:
    await house.covers.drill("smoke-1", 60, WANG)
    await house.pipeline.accept([Reading("smoke-1", "fire.smoke", Phase.RAISE)])
    assert house.verdict()["word"] == "alarm"


async def test_a_flood_is_a_number(house: House) -> None:
    for number in range(10):
        await house.pipeline.accept([Reading("door-1", "door.forced", Phase.RAISE, part={"address": f"{number:08X}"})])
    assert house.verdict()["flood"] == 10
    assert {alarm["group"]["count"] for alarm in house.alarms()} == {10}
    assert len(house.alarms()) == 10  # nothing is hidden


async def test_a_disk_that_takes_nothing_is_a_fault(house: House) -> None:
    house.store.failing = Text("full", "满")
    assert word(house) == "fault"
    assert house.health()["disk"]["failing"] == {"en": "full", "zh": "满"}
    assert not house.ready()


async def test_supervisory_and_prealarm_are_no_fire(house: House) -> None:
    for kind in ("fire.supervisory", "fire.prealarm"):
        assert word(house, alarm("smoke-1", kind)) == "alarm"


async def test_a_house_without_devices_is_unknown(tmp_path: Path) -> None:
    async with living(config(tmp_path, {}), Puppets()) as house:
        assert house.verdict() == {"word": "unknown"}


async def test_since_when_the_word_stands(house: House) -> None:
    book = Book(
        [
            replace(alarm("smoke-1", "fire.smoke", Severity.CRITICAL), first_ms=50),
            replace(alarm("door-1", "door.forced"), first_ms=30),
            replace(alarm("door-1", "door.held", Severity.MEDIUM), first_ms=20),
            replace(alarm("cam-1", "device.offline"), first_ms=10),
            replace(alarm("smoke-1", "device.battery_low", Severity.LOW), first_ms=5),
            replace(alarm(house.vitals.gateway, "gateway.uplink_lost"), first_ms=1),
        ]
    )
    expected = {"fire": 50, "alarm": 20, "unknown": 10, "fault": None, "disconnected": None, "normal": None}
    assert {said: since_ms(house.vitals, book, said) for said in expected} == expected


async def test_the_verdict_says_since_when_by_the_clock(house: House) -> None:
    assert house.verdict() == {"word": "normal"}
    began = house.vitals.clock.utc()
    await house.pipeline.accept([Reading("smoke-1", "fire.smoke", Phase.RAISE)])
    said = house.verdict()
    assert said["word"] == "fire"
    assert rfc3339(began) <= said["since"] <= rfc3339(house.vitals.clock.utc())
