"""Metrics in Prometheus text format 0.0.4: names and units as its conventions ask, values as the house has them."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.house import House
from gateway.web.metrics import Family, written
from gateway.web.visitor import Visitor
from tests.houses import Puppets, config, living, to
from tests.visitors import known, visiting

SCRAPER = Visitor("prometheus", "platform", frozenset({"metrics"}))
UNITS = ("_total", "_bytes", "_seconds", "_celsius", "_info", "_events")
COUNTS = {"gateway_ready", "gateway_clock_set", "gateway_driver_up", "gateway_devices_online", "gateway_devices",
          "gateway_alarms_open", "gateway_uplink_connected", "gateway_uplink_alarms_unconfirmed",
          "gateway_page_streams"}  # fmt: skip
_SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)')


@pytest.fixture
def puppets() -> Puppets:
    return Puppets()


@pytest.fixture
async def house(tmp_path: Path, puppets: Puppets) -> AsyncIterator[House]:
    made = config(tmp_path, {"smoke-1": "smoke", "door-1": "door"}, {"district": to(1)})
    async with living(made, puppets) as house:
        yield house


async def scraped(house: House) -> tuple[dict[str, str], dict[str, float]]:
    """Kinds by name, values by sample."""
    async with visiting(house, SCRAPER) as client:
        answer = await client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    kinds: dict[str, str] = {}
    values: dict[str, float] = {}
    for line in answer.text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            kinds[name] = kind
        elif not line.startswith("# HELP "):
            found = _SAMPLE.fullmatch(line)
            assert found, line
            assert found[1] in kinds, line
            values[line.rpartition(" ")[0]] = float(found[3])
    assert answer.text.endswith("\n")
    return kinds, values


async def test_names_and_units(house: House) -> None:
    kinds, _ = await scraped(house)
    for name, kind in kinds.items():
        assert name.endswith(UNITS) or name in COUNTS, name
        assert (kind == "counter") == name.endswith("_total"), name


async def test_values_are_the_houses(house: House, puppets: Puppets) -> None:
    await puppets.emit("smoke-1", "fire.smoke", "raise")
    await puppets.emit("door-1", "access.denied")
    await (await puppets.link("door-1")).seen("door-1")
    _, values = await scraped(house)
    lane = 'uplink="district",lane="alarm"'
    expected = {
        'gateway_events_accepted_total{lane="alarm"}': 1,
        'gateway_events_accepted_total{lane="event"}': 1,
        f"gateway_uplink_backlog_events{{{lane}}}": 1,
        f"gateway_uplink_sent_total{{{lane}}}": 0,
        'gateway_uplink_connected{uplink="district"}': 0,
        'gateway_driver_up{driver="puppet"}': 1,
        "gateway_devices_online": 1,
        'gateway_devices{state="alarm"}': 2,
        'gateway_alarms_open{severity="critical"}': 1,
        'gateway_alarms_open{severity="low"}': 1,
        'gateway_alarms_open{severity="high"}': 0,
        "gateway_ready": 1,
        "gateway_disk_limit_bytes": 512 * 2**20,
    }
    assert {name: values[name] for name in expected} == expected
    assert values["process_resident_memory_bytes"] > 2**20
    assert values["process_start_time_seconds"] > 1_700_000_000


async def test_names_of_labels_never_grow_with_what_happens(house: House, puppets: Puppets) -> None:
    _, before = await scraped(house)
    for number in range(20):
        await puppets.emit("smoke-1", "telemetry.sample", "pulse", **{f"v{number}": 1.0})
        await puppets.emit("door-1", "access.denied")
    _, after = await scraped(house)
    assert before.keys() == after.keys()


async def test_pages_that_listen_are_counted(house: House) -> None:
    async with visiting(house, SCRAPER) as client:
        assert "\ngateway_page_streams 0\n" in (await client.get("/metrics")).text
        client._transport.app.state.streams = lambda: 3  # type: ignore[attr-defined]
        assert "\ngateway_page_streams 3\n" in (await client.get("/metrics")).text


async def test_only_who_may_read_metrics(house: House) -> None:
    async with visiting(house, known("installer")) as client:
        assert (await client.get("/metrics")).status_code == 403


def test_whatever_a_label_says_stays_in_it() -> None:
    family = Family("a_total", "counter", "Help.", [({"x": 'a"} 1\nb\\'}, 0.1)])
    assert written([family]) == '# HELP a_total Help.\n# TYPE a_total counter\na_total{x="a\\"} 1\\nb\\\\"} ' + (
        "0.10000000000000001\n"
    )
