"""One snapshot of how the gateway is, for the page, the command line and the uplinks (contract, section 2)."""

import resource
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import __version__
from gateway.alarms import Alarm, Book
from gateway.audit import Audit, Seal
from gateway.clock import Clock, rfc3339
from gateway.event import Lane
from gateway.measures import SHELF, cover, shields
from gateway.pipeline import Pipeline
from gateway.states import States, word
from gateway.store import Store
from gateway.supervisor import Supervised
from gateway.taxonomy import FIRES
from gateway.uplink import Uplink

_THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")  # millidegrees Celsius
_PAGE_BYTES = resource.getpagesize()
VERDICTS = ("fire", "alarm", "unknown", "fault", "disconnected", "shielded", "normal")  # ui.md's fixed order


@dataclass(frozen=True)
class Vitals:
    """Where the snapshot is taken from."""

    gateway: str
    boot: str
    started_s: float  # on the monotonic clock
    limit_bytes: int
    clock: Clock
    store: Store
    states: States
    devices: tuple[str, ...]
    audit: Audit
    pipeline: Pipeline


def document(
    vitals: Vitals, uplinks: Iterable[Uplink], lines: Sequence[Supervised], *, only: str | None = None
) -> dict[str, Any]:
    """The health document; with `only`, of the uplinks just that one (contract, section 10)."""
    now = vitals.clock.utc()
    return {
        "gateway": vitals.gateway,
        "time": rfc3339(now),
        "uptime_s": round(vitals.clock.monotonic() - vitals.started_s),
        "boot": vitals.boot,
        "version": __version__,
        "clock": {"quality": vitals.clock.quality().value, "offset_ms": round(vitals.clock.offset_ms(), 3)},
        "uplinks": {u.name: _uplink(u, now.timestamp() * 1000) for u in uplinks if only in (None, u.name)},
        "disk": _disk(vitals),
        "cpu_percent": _cpu_percent(vitals),
        "rss_bytes": rss_bytes(),
        "temperature_c": _temperature_c(),
        "drivers": _drivers(vitals, lines),
        "audit": vars(vitals.audit.newest or Seal()),
        **_laid(vitals.pipeline.shown),
    }


def _laid(book: Book) -> dict[str, int]:
    """How many shields, shelves and drills there are now: what is out of service is never out of sight."""
    active = [alarm for alarm in book if alarm.active]
    return {
        "shielded": sum(map(shields, active)),
        "shelved": sum(alarm.type == SHELF for alarm in active),
        "drilled": len(book.drills),
    }


def _uplink(uplink: Uplink, now_ms: float) -> dict[str, Any]:
    shown: dict[str, Any] = {"connected": uplink.connected, "since": uplink.since, "lanes": {}}
    shown["unconfirmed_alarms"] = uplink.parts.proofs.late
    why = uplink.deaf if uplink.connected else uplink.why
    if why is not None:
        shown["why"] = {"en": why.say("en"), "zh": why.say("zh")}
    outbox = uplink.parts.outbox
    for lane in Lane:
        queue, oldest_ms = outbox.queues[lane], outbox.oldest_ms(lane)
        shown["lanes"][lane.value] = {
            "backlog": outbox.backlog(lane),
            "oldest_s": 0 if oldest_ms is None else max(0, round((now_ms - oldest_ms) / 1000)),
            "sent": queue.sent,
            "confirmed": queue.confirmed,
            "refused": queue.refused,
            "dropped": queue.dropped,
            "dead": queue.dead,
        }
    return shown


def _disk(vitals: Vitals) -> dict[str, Any]:
    path = vitals.store.path
    used_bytes = sum(_size_bytes(part) for part in path.parent.glob(path.name + "*"))
    shown: dict[str, Any] = {
        "used_bytes": used_bytes,
        "limit_bytes": vitals.limit_bytes,
        "free_bytes": shutil.disk_usage(path.parent).free,
    }
    if vitals.store.failing is not None:
        shown["failing"] = {"en": vitals.store.failing.en, "zh": vitals.store.failing.zh}
    return shown


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0  # the WAL goes with the last connection to the database


def _cpu_percent(vitals: Vitals) -> float:
    """Since the start."""
    uptime_s = max(1.0, vitals.clock.monotonic() - vitals.started_s)
    return round(100 * time.process_time() / uptime_s, 1)


def rss_bytes() -> int:
    """Resident memory of this process (proc(5), statm: second field, pages)."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * _PAGE_BYTES


def _temperature_c() -> float | None:
    try:
        return round(int(_THERMAL.read_text("ascii")) / 1000, 1)
    except (OSError, ValueError):
        return None


def _drivers(vitals: Vitals, lines: Sequence[Supervised]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for line in lines:
        mine = shown.setdefault(line.driver_name, {"state": "running", "devices": 0, "offline": 0})
        mine["devices"] += len(line.line.devices)
        mine["offline"] += sum(vitals.states[device.id].online is False for device in line.line.devices)
        if line.state != "running":
            mine["state"] = line.state
            if line.why is not None:
                mine["why"] = {"en": line.why.say("en"), "zh": line.why.say("zh")}
    return shown


def verdict(vitals: Vitals, book: Book, uplinks: Iterable[Uplink]) -> str:
    """One word for everything, in the fixed order: unknown is never normal, nor is a house without devices."""
    words = {device: word(vitals.states[device].online, book.of(device)) for device in vitals.devices}
    if any(_is_fire(alarm) and cover(book, alarm).shield is None for alarm in book):
        return "fire"
    if "alarm" in words.values():
        return "alarm"
    if not words or {"unknown", "offline"} & set(words.values()):
        return "unknown"
    if "fault" in words.values() or vitals.store.failing is not None:
        return "fault"
    if any(not uplink.connected for uplink in uplinks):
        return "disconnected"
    return "shielded" if {"shielded", "test"} & set(words.values()) else "normal"


def since_ms(vitals: Vitals, book: Book, said: str) -> int | None:
    """When the oldest condition behind the word began, ms since 1970; None where no condition stands behind it."""
    covered = {a.key for a in book if said not in ("normal", "shielded") and cover(book, a).shield is not None}
    mine = [a for a in book if a.device in vitals.devices and said != "normal" and a.key not in covered]
    began_ms = [alarm.first_ms for alarm in mine if _says(alarm) == said]
    return min(began_ms, default=None)


def _is_fire(alarm: Alarm) -> bool:
    return alarm.type in FIRES and not alarm.test


def _says(alarm: Alarm) -> str:
    """The verdict if there were nothing but this."""
    own = "fire" if _is_fire(alarm) else word(True, [alarm])
    return {"offline": "unknown", "test": "shielded"}.get(own, own)
