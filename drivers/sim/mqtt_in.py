"""Hubs on a broker, played: what zigbee2mqtt, Frigate, ChirpStack, Tasmota and Shelly publish, in their own shapes.

Each of them is pure: it says what it publishes, as `Said`. `Player` publishes it on a real broker, with a last will
where the original has one.
"""

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC
from types import TracebackType
from typing import Any, Self

import aiomqtt

from gateway.clock import Clock, SystemClock

DEV_EUI = "010101010101"
ONLINE = {True: "online", False: "offline"}
UPPER = {True: "ON", False: "OFF"}


@dataclass(frozen=True)
class Said:
    """One message."""

    topic: str
    payload: str
    retain: bool = False
    qos: int = 0


def said(topic: str, payload: Any, **how: Any) -> Said:
    """With a payload that is JSON, or a text as it is."""
    return Said(topic, payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False), **how)


class Source:
    """A hub with its devices. `smoke`, `measure`, `presence` say what it publishes then."""

    kind = "json"
    base = "devices"
    condition = "smoke"  # the field that the map of a device needs, where the profile cannot know
    qos = 0
    tests = True  # it has a test button

    def __init__(self, devices: Sequence[str], clock: Clock | None = None) -> None:
        self.devices = tuple(devices)
        self.clock = clock or SystemClock()
        self.count = 0

    def address(self, device: str) -> str:
        """As the gateway's configuration names it."""
        return device

    def hello(self) -> list[Said]:
        """What it says when it begins."""
        return [said(f"{self.base}/{device}/online", "true", retain=True) for device in self.devices]

    def will(self) -> Said | None:
        """What the broker says when it is gone."""
        return None

    def hub(self, on: bool) -> list[Said]:
        """It begins, or says good-bye."""
        will = self.will()
        return self.hello() if on else [will] if will is not None else []

    def smoke(self, device: str, on: bool) -> list[Said]:
        """The device smells smoke, or not any more."""
        return [said(f"{self.base}/{device}", {"smoke": on}, qos=self.qos)]

    def measure(self, device: str, name: str, value: float) -> list[Said]:
        """It has measured something."""
        return [said(f"{self.base}/{device}", {name: value}, qos=self.qos)]

    def presence(self, device: str, on: bool) -> list[Said]:
        """It comes and goes."""
        return [said(f"{self.base}/{device}/online", json.dumps(on), retain=True)]

    def test(self, device: str, on: bool) -> list[Said]:
        """Its test button."""
        return [said(f"{self.base}/{device}", {"smoke": on, "test": on}, qos=self.qos)]


class Zigbee2mqtt(Source):
    """Devices by friendly name; every message holds the whole state, as from its cache."""

    kind, base = "zigbee2mqtt", "zigbee2mqtt"
    old_forms = False  # availability and bridge state as bare text, as before 2.0

    def __init__(self, devices: Sequence[str], clock: Clock | None = None) -> None:
        super().__init__(devices, clock)
        state = {"battery": 100, "battery_low": False, "linkquality": 120, "smoke": False, "tamper": False}
        self.states: dict[str, dict[str, Any]] = {name: state | {"test": False} for name in devices}
        self.addresses = {name: f"0x00158d{number:010x}" for number, name in enumerate(devices, 1)}

    def address(self, device: str) -> str:
        """The IEEE address."""
        return self.addresses[device]

    def will(self) -> Said:
        """`bridge/state`."""
        return self._word("bridge/state", False)

    def _word(self, tail: str, on: bool) -> Said:
        word = ONLINE[on]
        return said(f"{self.base}/{tail}", word if self.old_forms else {"state": word}, retain=True)

    def hello(self) -> list[Said]:
        """The bridge's state, the inventory, what it remembers of each device."""
        return [self._word("bridge/state", True), self.inventory(), *(self.state(name) for name in self.states)]

    def inventory(self) -> Said:
        """`bridge/devices`: all of them, the coordinator first."""
        made: list[dict[str, Any]] = [{"ieee_address": "0x00124b0001", "friendly_name": "Coordinator"}]
        made[0]["type"] = "Coordinator"
        for name, address in self.addresses.items():
            definition = {"model": "HS1SA", "vendor": "HEIMAN", "exposes": []}
            made.append({"ieee_address": address, "friendly_name": name, "type": "EndDevice", "definition": definition})
        return said(f"{self.base}/bridge/devices", made, retain=True)

    def rename(self, old: str, new: str) -> list[Said]:
        """Another friendly name: the topic changes, the address stays."""
        self.addresses = {new if name == old else name: address for name, address in self.addresses.items()}
        self.states[new] = self.states.pop(old)
        self.devices = tuple(self.addresses)
        return [self.inventory(), self.state(new)]

    def state(self, device: str, **changed: Any) -> Said:
        """The whole state, with what has changed; without: as the cache has it."""
        self.states[device] |= changed
        return said(f"{self.base}/{device}", self.states[device], qos=self.qos)

    def smoke(self, device: str, on: bool) -> list[Said]:
        """The whole state."""
        return [self.state(device, smoke=on)]

    def measure(self, device: str, name: str, value: float) -> list[Said]:
        """The whole state."""
        return [self.state(device, **{name: value})]

    def test(self, device: str, on: bool) -> list[Said]:
        """Smoke and test in one."""
        return [self.state(device, smoke=on, test=on)]

    def presence(self, device: str, on: bool) -> list[Said]:
        """Availability, retained."""
        return [self._word(f"{device}/availability", on)]


class Frigate(Source):
    """Cameras; smoke is what it cannot see, so `smoke` is an alert: an activity that begins and ends."""

    kind, base, tests = "frigate", "frigate", False

    def __init__(self, devices: Sequence[str], clock: Clock | None = None) -> None:
        super().__init__(devices, clock)
        self.running: dict[str, dict[str, Any]] = {}

    def hello(self) -> list[Said]:
        """`available`."""
        return [said(f"{self.base}/available", "online", retain=True)]

    def will(self) -> Said:
        """`available`."""
        return said(f"{self.base}/available", "offline", retain=True)

    def smoke(self, device: str, on: bool) -> list[Said]:
        """An alert."""
        return self.review(device, "alert", on)

    def review(self, device: str, severity: str, on: bool, *, update: bool = False) -> list[Said]:
        """A review item begins, goes on (`update`) or ends."""
        now_s = self.clock.utc().timestamp()
        if device not in self.running:
            self.count += 1
            item = {"id": f"{now_s:.6f}-{self.count:06d}", "camera": device, "start_time": now_s, "thumb_path": "x"}
            self.running[device] = item | {"data": {"detections": [], "objects": ["person"], "sub_labels": ["Bob"],
                                                    "zones": ["yard"], "audio": []}}  # fmt: skip
        item = self.running[device] | {"severity": severity, "end_time": None if on else now_s}
        if not on:
            del self.running[device]
        word = "update" if update else "new" if on else "end"
        return [said(f"{self.base}/reviews", {"type": word, "before": item, "after": item})]

    def presence(self, device: str, on: bool) -> list[Said]:
        """The camera's stream."""
        return [said(f"{self.base}/{device}/status/detect", ONLINE[on], retain=True)]


class ChirpStack(Source):
    """LoRaWAN devices by DevEUI; what is 0, false or empty is left out."""

    kind, base, qos = "chirpstack", "application", 1

    def __init__(self, devices: Sequence[str], clock: Clock | None = None) -> None:
        super().__init__(devices, clock)
        self.addresses = {name: f"{DEV_EUI}{number:04x}" for number, name in enumerate(devices, 1)}

    def address(self, device: str) -> str:
        """The DevEUI."""
        return self.addresses[device]

    def hello(self) -> list[Said]:
        """Each device joins."""
        return [self.event(device, "join", {}) for device in self.devices]

    def event(self, device: str, kind: str, body: dict[str, Any], key: str | None = None) -> Said:
        """Any event, with the key that its repetitions share."""
        info = {"tenantName": "t", "applicationId": "app", "deviceName": device, "devEui": self.addresses[device]}
        whole = {"deduplicationId": key or str(uuid.uuid4()), "time": self._now(), "deviceInfo": info} | body
        return said(f"{self.base}/app/device/{self.addresses[device]}/event/{kind}", whole, qos=self.qos)

    def _now(self) -> str:
        return self.clock.utc().astimezone(UTC).isoformat(timespec="microseconds").replace("+", "123+")  # nanoseconds

    def up(self, device: str, decoded: dict[str, Any] | None, key: str | None = None) -> Said:
        """An uplink, decoded by a codec or not."""
        counted = {"fCnt": self.count, "fPort": 1} if self.count else {"fPort": 1}
        self.count += 1
        radio = [{"gatewayId": "0016c001f153a14c", "rssi": -36, "snr": 10.5}]
        object = {} if decoded is None else {"object": decoded}
        return self.event(device, "up", {**counted, "data": "qg==", **object, "rxInfo": radio}, key)

    def smoke(self, device: str, on: bool) -> list[Said]:
        """As a codec says it."""
        return [self.up(device, {"smoke": int(on)})]

    def measure(self, device: str, name: str, value: float) -> list[Said]:
        """As a codec says it."""
        return [self.up(device, {name: value})]

    def test(self, device: str, on: bool) -> list[Said]:
        """As a codec says it."""
        return [self.up(device, {"smoke": int(on), "test": on})]

    def presence(self, device: str, on: bool) -> list[Said]:
        """It joins; that it is gone nobody says."""
        return [self.event(device, "join", {})] if on else []


class Tasmota(Source):
    """Boards; a wired detector stands on Switch1."""

    kind, base, condition, tests = "tasmota", "", "Switch1", False

    def hello(self) -> list[Said]:
        """Each says that it is there."""
        return [each for device in self.devices for each in self.presence(device, True)]

    def smoke(self, device: str, on: bool) -> list[Said]:
        """The contact, as SetOption114 has it, and as the next telemetry repeats it."""
        time = self.clock.utc().replace(tzinfo=None).isoformat(timespec="seconds")
        return [
            said(f"stat/{device}/RESULT", {"Switch1": {"Action": UPPER[on]}}),
            said(f"tele/{device}/SENSOR", {"Time": time, "Switch1": UPPER[on]}),
        ]

    def measure(self, device: str, name: str, value: float) -> list[Said]:
        """`temperature` of a DS18B20, or another field of its."""
        return [said(f"tele/{device}/SENSOR", {"DS18B20": {name.capitalize(): value}, "TempUnit": "C"})]

    def presence(self, device: str, on: bool) -> list[Said]:
        """LWT."""
        return [said(f"tele/{device}/LWT", ONLINE[on].capitalize(), retain=True)]


class Shelly(Source):
    """Generation 2 and later: notifications of what changed."""

    kind, base, qos, tests = "shelly", "", 1, False

    def hello(self) -> list[Said]:
        """Each says that it is there."""
        return [each for device in self.devices for each in self.presence(device, True)]

    def notify(self, device: str, method: str = "NotifyStatus", **params: Any) -> Said:
        """A notification; components are named `smoke_0` for `smoke:0`."""
        named = {name.replace("_0", ":0"): value for name, value in params.items()}
        body = {"src": device, "dst": f"{device}/events", "method": method}
        whole = body | {"params": {"ts": self.clock.utc().timestamp(), **named}}
        return said(f"{device}/events/rpc", whole, qos=self.qos)

    def smoke(self, device: str, on: bool) -> list[Said]:
        """`smoke:0`."""
        return [self.notify(device, smoke_0={"id": 0, "alarm": on})]

    def measure(self, device: str, name: str, value: float) -> list[Said]:
        """`battery` or `temperature`."""
        if name == "battery":
            return [self.notify(device, devicepower_0={"id": 0, "battery": {"V": 2.9, "percent": value}})]
        return [self.notify(device, temperature_0={"id": 0, "tC": value})]

    def presence(self, device: str, on: bool) -> list[Said]:
        """`online`, which is the will of each."""
        return [said(f"{device}/online", json.dumps(on), retain=True)]


class ShellyGen1(Source):
    """Generation 1: one retained topic for each field."""

    kind, base, tests = "shelly-gen1", "shellies", False

    def smoke(self, device: str, on: bool) -> list[Said]:
        """`sensor/smoke`."""
        return [said(f"{self.base}/{device}/sensor/smoke", json.dumps(on), retain=True)]

    def measure(self, device: str, name: str, value: float) -> list[Said]:
        """`sensor/…`."""
        return [said(f"{self.base}/{device}/sensor/{name}", f"{value:g}", retain=True)]


SOURCES: dict[str, type[Source]] = {
    source.kind: source for source in (Source, Zigbee2mqtt, Frigate, ChirpStack, Tasmota, Shelly, ShellyGen1)
}


class Player:
    """`async with Player(source, host, port) as player: await player.say(source.smoke("烟感", True))`."""

    def __init__(
        self, source: Source, host: str, port: int, username: str | None = None, password: str | None = None
    ) -> None:
        will = source.will()
        last = aiomqtt.Will(will.topic, will.payload, will.qos, will.retain) if will is not None else None
        self.source = source
        self._client = aiomqtt.Client(host, port, username=username, password=password, will=last)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        await self.say(self.source.hello())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, exc, tb)

    async def say(self, messages: Iterable[Said]) -> None:
        """Publish them, one after the other."""
        for each in messages:
            await self._client.publish(each.topic, each.payload, each.qos, each.retain)
