"""`/metrics`: Prometheus text format 0.0.4; base units, and no label that grows unbounded."""

import platform
import resource
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from fastapi import FastAPI, Request
from fastapi.responses import Response

from gateway import __version__
from gateway.event import Lane, Severity
from gateway.house import House
from gateway.web.rest import refusals
from gateway.web.visitor import needs

TEXT = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
Labels = Mapping[str, str]
Samples = list[tuple[Labels, float]]


class Family(NamedTuple):
    """One metric with its samples."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    samples: Samples


def add(app: FastAPI, house: House) -> None:
    """The route. `app.state.streams`, where somebody put it there, counts pages that listen."""

    @app.get("/metrics", tags=["probes"], operation_id="metrics", summary="Metrics in Prometheus text format",
             dependencies=[needs("metrics").depends], response_class=Response,
             responses=refusals() | {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}})  # fmt: skip
    async def metrics(request: Request) -> Response:
        streams = getattr(request.app.state, "streams", None)
        families = [*_families(house), *(_pages(streams()) if streams else ())]
        return Response(written(families), headers={"Content-Type": TEXT})


def written(families: list[Family]) -> str:
    """As the format has it: HELP, TYPE, samples."""
    lines: list[str] = []
    for family in families:
        lines += [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}"]
        lines += [f"{family.name}{_labels(labels)} {value:.17g}" for labels, value in family.samples]
    return "\n".join(lines) + "\n"


def _labels(labels: Labels) -> str:
    pairs = ",".join(f'{name}="{value.translate(_ESCAPED)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _families(house: House) -> Iterator[Family]:
    health = house.health()
    yield _one("gateway_build_info", "The program that runs.", 1, version=__version__, python=platform.python_version())
    yield from _process(health)
    yield _one("gateway_ready", "1 while the disk takes events.", float(house.ready()))
    yield from _clock(house, health)
    yield Family("gateway_events_accepted_total", "counter", "Events taken in since the store was made, by lane.",
                 [({"lane": lane.value}, house.store.last[lane]) for lane in Lane])  # fmt: skip
    yield from _disk(health["disk"])
    yield from _site(house, health)
    yield from _uplinks(health["uplinks"])


def _one(name: str, help: str, value: float, kind: Literal["counter", "gauge"] = "gauge", **labels: str) -> Family:
    return Family(name, kind, help, [(labels, value)])


def _pages(streams: int) -> Iterator[Family]:
    yield _one("gateway_page_streams", "Pages that listen for events now.", streams)


def _process(health: Mapping[str, Any]) -> Iterator[Family]:
    began_s = time.time() - health["uptime_s"]
    yield _one("process_start_time_seconds", "When it started, seconds since 1970.", began_s)
    yield _one("process_cpu_seconds_total", "CPU time used.", time.process_time(), "counter")
    yield _one("process_resident_memory_bytes", "Memory in use.", health["rss_bytes"])
    yield _one("process_resident_memory_max_bytes", "Most memory that was in use.",
               resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)  # fmt: skip
    if health["temperature_c"] is not None:
        yield _one("gateway_temperature_celsius", "Of this machine's processor.", health["temperature_c"])


def _clock(house: House, health: Mapping[str, Any]) -> Iterator[Family]:
    trusted = health["clock"]["quality"] in ("synced", "holdover")
    yield _one("gateway_clock_offset_seconds", "By how much the clock is wrong, as far as is known.",
               house.vitals.clock.offset_ms() / 1000)  # fmt: skip
    yield _one("gateway_clock_set", "1 while the time can be trusted.", float(trusted))


def _disk(disk: Mapping[str, Any]) -> Iterator[Family]:
    yield _one("gateway_disk_used_bytes", "What stored events take.", disk["used_bytes"])
    yield _one("gateway_disk_limit_bytes", "What they may take.", disk["limit_bytes"])
    yield _one("gateway_disk_free_bytes", "What is free on their disk.", disk["free_bytes"])


def _site(house: House, health: Mapping[str, Any]) -> Iterator[Family]:
    drivers = health["drivers"].items()
    states = Counter(device["state"] for device in house.devices())
    open_ = Counter(alarm["severity"] for alarm in house.alarms())
    yield Family("gateway_driver_up", "gauge", "1 while all lines of the driver run.",
                 [({"driver": name}, float(driver["state"] == "running")) for name, driver in drivers])  # fmt: skip
    yield _one("gateway_devices_online", "Devices that answer.", sum(d["online"] for d in house.devices()))
    words = ("normal", "alarm", "fault", "shielded", "test", "offline", "unknown")
    yield Family("gateway_devices", "gauge", "Devices by their state.",
                 [({"state": word}, states[word]) for word in words])  # fmt: skip
    loud = [severity.value for severity in Severity if severity is not Severity.INFO]
    yield Family("gateway_alarms_open", "gauge", "Alarms that are not over, by severity.",
                 [({"severity": severity}, open_[severity]) for severity in loud])  # fmt: skip


_LANE_COUNTS = {
    "sent": "Events handed to the connection since the start.",
    "confirmed": "Events that the platform's server confirmed since the start.",
    "refused": "Events that the platform's server refused since the start.",
    "dropped": "Events that were dropped unsent since the start.",
}


def _uplinks(uplinks: Mapping[str, Any]) -> Iterator[Family]:
    yield Family("gateway_uplink_connected", "gauge", "1 while the platform is reached.",
                 [({"uplink": name}, float(uplink["connected"])) for name, uplink in uplinks.items()])  # fmt: skip
    yield Family("gateway_uplink_alarms_unconfirmed", "gauge", "Alarms not confirmed 10 s after they began.",
                 [({"uplink": name}, uplink["unconfirmed_alarms"]) for name, uplink in uplinks.items()])  # fmt: skip
    rows = [
        ({"uplink": name, "lane": lane}, row)
        for name, uplink in uplinks.items()
        for lane, row in uplink["lanes"].items()
    ]
    yield _of_lanes("gateway_uplink_backlog_events", "Events that wait.", "backlog", rows)
    yield _of_lanes("gateway_uplink_oldest_age_seconds", "How long the oldest of them has waited.", "oldest_s", rows)
    yield _of_lanes("gateway_uplink_dead_events", "Events set aside that the server will never take.", "dead", rows)
    for name, help in _LANE_COUNTS.items():
        yield _of_lanes(f"gateway_uplink_{name}_total", help, name, rows, "counter")


def _of_lanes(
    name: str, help: str, key: str, rows: list[tuple[dict[str, str], Any]], kind: Literal["counter", "gauge"] = "gauge"
) -> Family:
    return Family(name, kind, help, [(labels, row[key]) for labels, row in rows])
