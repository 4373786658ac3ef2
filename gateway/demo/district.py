"""The district's side of the demo: a subscriber that prints each event, and proves that nothing is missing.

What the story causes on a wire it announces here first, with the moment: so each arrival has its time from the device,
and at the end what was raised is compared with what arrived.
"""

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import aiomqtt

from gateway import taxonomy
from gateway.errors import Text

Caused = tuple[str, str, str]  # device, type, phase
PHASES = {
    "raise": Text("begins", "触发"),
    "clear": Text("ends", "恢复"),
    "still": Text("lasts", "持续"),
    "pulse": Text("", ""),
}
ALWAYS_WELCOME = ("telemetry.sample", "gateway.uplink_lost")  # may come at any time, and are not raised on a wire
Print = Callable[[str, str], None]  # (text, style)


@dataclass
class District:
    """Everything that arrived."""

    language: str
    print: Print
    ids: set[str] = field(default_factory=set)
    arrived: Counter[Caused] = field(default_factory=Counter)
    caused: Counter[Caused] = field(default_factory=Counter)
    redelivered: int = 0
    cut: bool = False  # the uplink is cut now: what is caused has to wait
    latencies_s: list[float] = field(default_factory=list)  # of what was caused with the link up
    waits_s: list[float] = field(default_factory=list)  # of what was caused while it was cut
    numbers: dict[str, set[int]] = field(default_factory=dict)  # by stream
    online: set[str] = field(default_factory=set)
    _moments: dict[Caused, deque[tuple[float, bool]]] = field(default_factory=dict)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def expect(self, *caused: Caused) -> None:
        """Called when a device does something: these events must come of it."""
        for one in caused:
            self.caused[one] += 1
            self._moments.setdefault(one, deque()).append((time.monotonic(), self.cut))

    async def until(self, condition: Callable[[], bool], most_s: float) -> bool:
        """Wait until `condition()` holds; False when it did not within `most_s`."""
        try:
            async with asyncio.timeout(most_s), self._changed:
                await self._changed.wait_for(condition)
        except TimeoutError:
            return False
        return True

    @property
    def missing(self) -> Counter[Caused]:
        """Raised on a wire, and not here."""
        return self.caused - self.arrived

    @property
    def surplus(self) -> Counter[Caused]:
        """Here, and raised by nobody."""
        extra = self.arrived - self.caused
        return Counter({one: count for one, count in extra.items() if one[1] not in ALWAYS_WELCOME})

    @property
    def gaps(self) -> dict[str, int]:
        """Numbers missing, by stream."""
        return {stream: max(seen) - len(seen) for stream, seen in self.numbers.items() if max(seen) != len(seen)}

    async def take(self, message: aiomqtt.Message) -> None:
        """One message from the broker."""
        topic, payload = str(message.topic), bytes(message.payload)
        async with self._changed:
            if "/event/" in topic:
                self._event(json.loads(payload))
            elif "/state/" in topic and json.loads(payload)["online"]:
                self.online.add(topic.rpartition("/")[2])
            self._changed.notify_all()

    def _event(self, event: dict[str, Any]) -> None:
        if event["id"] in self.ids:
            self.redelivered += 1
            return
        self.ids.add(event["id"])
        self.numbers.setdefault(event["stream"], set()).add(int(event["sequence"]))
        caused = event["subject"], event["type"], event["phase"]
        self.arrived[caused] += 1
        moments = self._moments.get(caused)
        taken_s = None
        if moments:
            caused_s, waited = moments.popleft()
            taken_s = time.monotonic() - caused_s
            (self.waits_s if waited else self.latencies_s).append(taken_s)
        self.print(*line(event, taken_s, self.language))


def line(event: dict[str, Any], taken_s: float | None, language: str) -> tuple[str, str]:
    """One event as a line for people, and its style."""
    when = datetime.fromisoformat(event["time"]).astimezone().strftime("%H:%M:%S.%f")[:-3]
    row = taxonomy.TYPES[event["type"]]
    what = f"{row.label.say(language)} {PHASES[event['phase']].say(language)}".strip()
    place = event["data"].get("place", {}).get("label", "")
    taken = "" if taken_s is None else f"{taken_s * 1000:6.0f} ms"
    text = f"{when}  {_padded(what, 24)} {event['subject']:<16} {_padded(place, 14)} {taken:>10}  {_detail(event)}"
    return text.rstrip(), _style(event)


def _style(event: dict[str, Any]) -> str:
    if event["phase"] == "clear":
        return "green"
    return {"critical": "bold white on red", "high": "bold red", "medium": "yellow"}.get(event["severity"], "")


def _detail(event: dict[str, Any]) -> str:
    data = event["data"]
    values = [f"{name} {v['value']:g} {v.get('unit', '')}".strip() for name, v in data.get("values", {}).items()]
    lane = event["stream"].rpartition(".")[2]
    return " ".join([*values, *filter(None, [data.get("reason")]), f"{lane} #{int(event['sequence'])}"])


def _padded(text: str, columns: int) -> str:
    """Chinese characters take two columns."""
    return text + " " * max(0, columns - sum(2 if ord(c) > 0x2E80 else 1 for c in text))


@asynccontextmanager
async def watching(port: int, district: District) -> AsyncIterator[None]:
    """The subscriber is connected while the block lasts."""

    async def listen(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            await district.take(message)

    async with aiomqtt.Client("127.0.0.1", port, identifier="district-demo") as client:
        await client.subscribe("sc/v1/#", qos=1)
        task = asyncio.create_task(listen(client))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, aiomqtt.MqttError):
                await task


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which `share` of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
