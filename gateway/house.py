"""The running gateway as those see it who ask: questions, and the few things that one may do."""

import asyncio
import hmac
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from gateway import health, taxonomy
from gateway.alarms import Alarm, acknowledged, cleared, disposed
from gateway.clock import rfc3339
from gateway.commands import resent
from gateway.config import Config
from gateway.database import Row, read_newest
from gateway.driver import Answer, Posted
from gateway.errors import GatewayError, Text
from gateway.event import Lane, Phase, Reading, Severity
from gateway.fields import DeviceConfig
from gateway.health import Vitals
from gateway.identity import moment_ms
from gateway.letters import Letter, list_dead
from gateway.pipeline import Pipeline
from gateway.site import Site
from gateway.store import Store
from gateway.supervisor import Supervisor
from gateway.timekeeper import Timekeeper
from gateway.uplink import Uplink

UPLINK_LOST = "gateway.uplink_lost"  # its part is the uplink's name
SCAN_ROWS = 500  # rows looked at per read while filtering


class NotFound(GatewayError):
    """There is no such thing here."""


@dataclass(frozen=True)
class Filter:
    """Which events: patterns of types, devices, not before `since_ms` (ms since 1970). Empty takes all."""

    types: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    since_ms: int = 0

    def takes(self, event: Mapping[str, Any]) -> bool:
        """Is it one of them?"""
        kind, subject = event["type"], event["subject"]
        typed = not self.types or any(taxonomy.matches(pattern, kind) for pattern in self.types)
        return typed and (not self.devices or subject in self.devices)


@dataclass
class House:
    """All running parts; `app.py` puts them together."""

    config: Config
    site: Site
    store: Store
    pipeline: Pipeline
    supervisor: Supervisor
    uplinks: list[Uplink]
    vitals: Vitals
    timekeeper: Timekeeper

    @property
    def language(self) -> str:
        """As configured."""
        return self.config.gateway.language

    def ready(self) -> bool:
        """The disk takes what comes in."""
        return self.store.failing is None

    def health(self) -> dict[str, Any]:
        """The health document, of all uplinks."""
        return health.document(self.vitals, self.uplinks, self.supervisor.lines)

    def verdict(self) -> dict[str, Any]:
        """One word for everything, and since when there is a condition behind it."""
        word = health.verdict(self.vitals, self.pipeline.shown, self.uplinks)
        began_ms = health.since_ms(self.vitals, self.pipeline.shown, word)
        return {"word": word} | ({} if began_ms is None else {"since": _moment(began_ms)})

    def devices(self) -> list[dict[str, Any]]:
        """Every device's state document, with its label, place, building, kind and driver."""
        return [self._device(device) for line in self.supervisor.lines for device in line.line.devices]

    def _device(self, device: DeviceConfig) -> dict[str, Any]:
        place = self.site.place(device.place)
        return self.vitals.states.document(device.id, self.pipeline.shown) | {
            "label": device.name or device.id,
            "place": place.path,
            "place_label": place.label,
            "building": self.site.place(place.path.partition("/")[0]).label,
            "kind": self.site.kind(device.id),
            "driver": device.driver,
        }

    def alarms(self) -> list[dict[str, Any]]:
        """Alarms that are not normal, the oldest first."""
        listed = sorted((a for a in self.pipeline.shown if a.severity != "info"), key=lambda alarm: alarm.id)
        return [_alarm(alarm) for alarm in listed]

    async def outbox(self) -> dict[str, Any]:
        """What each uplink owes, and the letters it has set aside."""
        told = dict(self.health()["uplinks"])
        for name, shown in told.items():
            letters = await self.store.read(partial(list_dead, uplink=name))
            shown["dead"] = [_letter(name, letter) for letter in letters]
        return told

    async def resend(self, stream: str, first: int, last: int | None) -> dict[str, Any]:
        """Numbers of a stream once more, as far as they are kept; what is not is told. NotFound, StorageError."""
        name, _, lane = stream.rpartition(".")
        for uplink in self.uplinks:
            if uplink.name == name and lane in set(Lane):
                return resent(stream, await uplink.resend(Lane(lane), first, last))
        streams = ", ".join(f"{uplink.name}.{lane}" for uplink in self.uplinks for lane in Lane)
        raise NotFound(
            stream, Text("there is no such stream", "没有这个流"), Text(f"there are: {streams}", f"可用的流:{streams}")
        )

    async def ingest(self, device: str, token: str, posted: Posted) -> Answer:
        """A device's post: 404 where nobody takes it, 401 where the token is not its own."""
        found = self.supervisor.board.intakes.get(device)
        if found is None:
            return Answer(404, {})
        expected, intake = found
        if not hmac.compare_digest(expected.encode(), token.encode()):
            return Answer(401, {})
        return await intake(posted)

    # events

    async def events(self, wanted: Filter, limit: int) -> list[dict[str, Any]]:
        """The newest `limit` events that the filter takes, oldest first."""
        found: list[dict[str, Any]] = []
        for lane in Lane:
            found += await self._newest(lane, wanted, limit)
        found.sort(key=lambda event: str(event["id"]))
        return found[-limit:]

    async def _newest(self, lane: Lane, wanted: Filter, limit: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        before = self.store.last[lane] + 1
        while len(found) < limit:
            rows = await self.store.read(lambda c, before=before: read_newest(c, lane, before, SCAN_ROWS))  # type: ignore[misc]
            events = [_event(lane, row) for row in rows if row.time_ms >= wanted.since_ms]
            found += [event for event in events if wanted.takes(event)]
            # an event's time may lie before that of an older one, where the clock was set; its id's never does
            if len(rows) < SCAN_ROWS or moment_ms(_event(lane, rows[-1])["id"]) < wanted.since_ms:
                break
            before = rows[-1].seq
        return found[:limit]

    async def follow(self, wanted: Filter) -> AsyncGenerator[dict[str, Any], None]:
        """Events as they are taken in, from now on."""
        grown = asyncio.Event()
        seen = dict(self.store.last)

        def listener(_lane: Lane) -> None:
            grown.set()

        self.store.listeners.append(listener)
        try:
            while True:
                await grown.wait()
                grown.clear()
                for lane in Lane:
                    rows = await self.store.rows(lane, seen[lane], SCAN_ROWS)
                    if len(rows) == SCAN_ROWS:
                        grown.set()  # there may be more; what is not committed yet is told when it is
                    for row in rows:
                        seen[lane] = row.seq
                        if wanted.takes(event := _event(lane, row)):
                            yield event
        finally:
            with suppress(ValueError):
                self.store.listeners.remove(listener)

    # what a person may do

    async def acknowledge(self, alarm_id: str, who: str, outcome: str | None, note: str | None) -> dict[str, Any]:
        """A person has seen an alarm, and says what it was where `outcome` is given. NotFound, StorageError."""
        alarm = (await self.pipeline.load()).find(alarm_id)
        if alarm is None or alarm.severity is Severity.INFO:
            raise NotFound(
                alarm_id,
                Text("there is no such open alarm, or more than one", "没有这个未结束的报警,或不止一个"),
                Text(
                    "`gateway alarms` lists them; the last 6 characters of the first column are enough",
                    "用 gateway alarms 查看;写第一列编号的最后 6 位即可",
                ),
            )
        said: dict[str, Any] = {"who": who, "role": "installer", "from": "cli", "alarm": alarm.id}
        said |= {name: value for name, value in (("outcome", outcome), ("note", note)) if value is not None}
        subject = alarm.device
        if self._gone(alarm):  # nothing will ever tell its end, and there is no place to tell it at
            subject, alarm = self.config.gateway.id, cleared(alarm)
        steps = ["operator.ack"] if outcome is None else ["operator.ack", "operator.dispose"]
        alarm = acknowledged(alarm) if outcome is None else disposed(alarm)
        await self.pipeline.operate(alarm, *(Reading(subject, step, Phase.PULSE, data=said) for step in steps))
        self.vitals.states.changed(alarm.device)
        return _alarm(alarm)

    def _gone(self, alarm: Alarm) -> bool:
        """What it is about has been taken out of the configuration."""
        if alarm.device == self.config.gateway.id:
            return alarm.type == UPLINK_LOST and alarm.part not in self.config.uplinks
        return alarm.device not in self.vitals.devices


def _event(lane: Lane, row: Row) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(row.body)
    event["streams"] = {f"{uplink}.{lane.value}": f"{number:016d}" for uplink, number in row.numbers.items()}
    return event


def _letter(uplink: str, letter: Letter) -> dict[str, Any]:
    return {
        "stream": f"{uplink}.{letter.lane.value}",
        "sequence": f"{letter.sequence:016d}",
        "id": letter.id,
        "type": letter.type,
        "time": _moment(letter.time_ms),
        "reason": letter.reason,
    }


def _alarm(alarm: Alarm) -> dict[str, Any]:
    return {
        "alarm": alarm.id,
        "device": alarm.device,
        "type": alarm.type,
        "part": alarm.part,
        "severity": alarm.severity.value,
        "state": alarm.state,
        "count": alarm.count,
        "first": _moment(alarm.first_ms),
        "last": _moment(alarm.last_ms),
        "test": alarm.test,
    }


def _moment(time_ms: int) -> str:
    return rfc3339(datetime.fromtimestamp(time_ms / 1000, UTC))
