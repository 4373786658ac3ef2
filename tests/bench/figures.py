"""What is measured, in which unit, and where it should be by now; the table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.rig import BASE, SOURCE

__all__ = ["BASE", "BUILD", "EVENT", "FIGURES", "Figure", "table"]

BUILD = Path(__file__).resolve().parents[2] / "build"  # on a real disk, where /tmp may be memory
EVENT: Mapping[str, Any] = {  # of the size and shape of ours
    "stream": "district.event",
    "sequence": "0000000000000001",
    "specversion": "1.0",
    "id": "01a207de-e9f3-7c3e-9d1f-3a5b6c7d8e9f",
    "source": SOURCE,
    "subject": "door-1",
    "type": "access.granted",
    "time": "2026-11-23T10:06:19.123Z",
    "datacontenttype": "application/json",
    "dataschema": "urn:sc:v1:access.granted",
    "phase": "pulse",
    "severity": "info",
    "timequality": "synced",
    "data": {
        "place": {"path": "b3", "label": "3号楼"},
        "values": {"reader": {"value": 1}},
        "codes": {"contact-id": 422},
        "test": False,
    },
}


class Figure(NamedTuple):
    """One line of the table. `aim` is what to reach (with its direction), empty where there is none."""

    name: str  # in bench.json
    says: str
    form: str  # of str.format
    aim: str = ""


FIGURES = (
    Figure("events_per_s", "events from driver to PUBACK, per second", "{:,.0f}"),
    Figure("bare_per_s", "bare paho publisher without storage, per second", "{:,.0f}"),
    Figure("throughput_ratio", "ratio", "{:.2f}", "≥ 0.8"),
    Figure("cards_per_s", "events with a card (keyed hash), per second", "{:,.0f}"),
    Figure("cpu_s_per_10k", "CPU per 10,000 events", "{:.2f} s", "≤ 0.9 s"),
    Figure("bare_cpu_s_per_10k", "CPU per 10,000 events, bare", "{:.2f} s"),
    Figure("bytes_per_event", "written to disk per event, at full speed", "{:,.0f} B", "≤ 1,200 B"),
    Figure("bytes_per_event_trickle", "written to disk per event, at 50 per second", "{:,.0f} B", "≤ 2,500 B"),
    Figure("latency_p50_ms", "wire to subscriber at 50 per second, half within", "{:.1f} ms", "≤ 5 ms"),
    Figure("latency_p99_ms", "99 of 100 within", "{:.1f} ms", "≤ 25 ms"),
    Figure("latency_max_ms", "longest", "{:.1f} ms"),
    Figure("alarm_behind_backlog_s", "alarm while 100,000 events drain, longest of 5", "{:.3f} s", "≤ 1 s"),
    Figure("alarm_after_return_s", "alarm that waited, from the link's return", "{:.3f} s"),
    Figure("drain_per_s", "the backlog drains at, per second", "{:,.0f}"),
    Figure("alarm_behind_backlog_1m_s", "alarm before 1,000,000 events, from the link's return", "{:.3f} s", "≤ 1 s"),
    Figure("alarm_behind_backlog_1m_max_s", "longest of 7", "{:.3f} s"),
    Figure("drain_1m_per_s", "the million drains at, per second", "{:,.0f}"),
    Figure("drain_ratio_1m", "ratio to the bare publisher", "{:.2f}", "≥ 0.7"),
    Figure("rss_drain_mb", "most memory meanwhile", "{:.1f} MB", "≤ 120 MB"),
    Figure(
        "beside_rate_ratio", "rate beside an uplink that is dead, stalled, slow, refusing, least", "{:.2f}", "≥ 0.9"
    ),
    Figure(
        "beside_alarm_ratio", "alarm to PUBACK beside one of these, times as long as alone, most", "{:.2f}", "≤ 1.2"
    ),
    Figure("rss_idle_mb", "memory, idle, 50 Modbus devices, page in use", "{:.1f} MB", "≤ 90 MB"),
    Figure("cpu_idle_percent", "CPU, idle, the same", "{:.1f} %"),
    Figure("rss_idle_200_mb", "memory, idle, 200 Modbus devices on 8 lines", "{:.1f} MB", "≤ 80 MB"),
    Figure("cpu_idle_200_percent", "CPU of one core, idle, the same, page closed", "{:.1f} %", "≤ 2 %"),
    Figure("cpu_idle_200_page_percent", "the same, page open", "{:.1f} %"),
    Figure("ready_s", "process start to READY, empty", "{:.2f} s", "≤ 2 s"),
    Figure("ready_1m_s", "process start to READY, 1,000,000 events stored", "{:.2f} s", "≤ 2 s"),
)


def table(found: Mapping[str, float], figures: Sequence[Figure] = FIGURES) -> str:
    """Aligned lines: what, how much, how much it should be."""
    rows = [(figure.says, figure.form.format(found[figure.name]), figure.aim) for figure in figures]
    wide, right = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{says:<{wide}}  {value:>{right}}  {aim}".rstrip() for says, value, aim in rows)
