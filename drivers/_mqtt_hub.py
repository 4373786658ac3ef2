"""A hub and the devices behind it: whose a message is, and what is new in it. No I/O. (An underscore: no driver.)"""

import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drivers._mapping import MISSING, at
from drivers._mqtt_config import Config
from drivers._mqtt_found import Find, Finds, cleaned, id_of
from drivers._mqtt_profile import Inventory, Presence, Profile, Topic, word
from drivers._mqtt_report import Heard, Key, Memory, Plan, moment_of, over, parse, plain, plan_of, read
from drivers._mqtt_topics import below, filters, parts
from gateway.driver import Link
from gateway.errors import BadInput, Text
from gateway.event import Reading

MOST_ROUTES = 4096  # topics whose meaning is remembered
MOST_KEYS = 1024  # reports that are known by their own key
INVENTORY_BYTES = 8 * 2**20  # a few hundred devices, with all that they can do
HUB_OFFLINE, SILENT, REPORTED, UNREACHABLE = "hub-offline", "silent", "reported-offline", "unreachable"
_WITH_THE_HUB = (HUB_OFFLINE, UNREACHABLE)  # why a device is gone though nothing is known of itself


@dataclass(slots=True)
class Device:
    """One device behind the hub."""

    config: Config
    plans: dict[str, Plan]  # by the name of the map
    offline_after_s: float  # infinite: silence means nothing
    memory: Memory = field(default_factory=Memory)
    heard_s: float = -math.inf  # monotonic
    away: str | None = None  # why it was last told to be offline


@dataclass(frozen=True, slots=True)
class Route:
    """What a topic means."""

    topic: Topic | None  # None: nothing
    names: Mapping[str, str]


@dataclass(slots=True)
class Batch:
    """What a few messages come to."""

    urgent: list[Reading] = field(default_factory=list)
    samples: list[Reading] = field(default_factory=list)
    there: dict[str, Device | None] = field(default_factory=dict)  # None: the hub itself
    gone: dict[str, str] = field(default_factory=dict)  # device → why
    keys: list[str] = field(default_factory=list)
    held: dict[str, set[Key]] = field(default_factory=dict)  # conditions open once it is on disk


class Hub:
    """Changes only by `take` and by the clock."""

    def __init__(self, configs: Sequence[Config], link: Link) -> None:
        self.config = next(config for config in configs if config.url is not None)
        self.profile: Profile = self.config.meaning
        self.devices = {config.id: self._device(config) for config in configs if config.url is None}
        self.online: bool | None = None  # as the hub says, in this connection
        self.listed = False  # it has said which devices it has, in this connection
        self.began_s = link.clock.monotonic()
        self.names: dict[str, str] = {}  # name in topics → address that stays
        self.keys: OrderedDict[str, None] = OrderedDict()
        self.finds = Finds(self.config.id, link.log.info)
        self.abouts: dict[str, str] = {}  # address → what it is called, maker, model
        self._link = link
        self._by_address = {_same(d.config.address): d for d in self.devices.values() if d.config.address}
        self._routes: dict[str, Route] = {}
        self._complained: set[str] = set()
        base = self.profile.base if self.config.base is None else self.config.base
        self._topics = [(below(base.strip("/"), topic.topic), topic) for topic in self.profile.topics]

    def _device(self, config: Config) -> Device:
        limits = (config.offline_after, self.config.offline_after, self.profile.offline_after, math.inf)
        limit_s = next(limit for limit in limits if limit is not None)
        maps = self.profile.maps.items()
        plans = {name: plan_of(map, config.conditions, config.values) for name, map in maps}
        return Device(config, plans, limit_s)

    @property
    def filters(self) -> tuple[str, ...]:
        """What the broker is asked for."""
        return filters(pattern for pattern, topic in self._topics if topic.wanted)

    def waits(self, topic: str) -> bool:
        """Is it of a device that nobody knows before the hub has listed its devices?"""
        if self.listed or not self.profile.lists_devices:
            return False
        route = self._route(topic)
        named = route.names.get("device")
        about = route.topic is not None and route.topic.wanted and route.topic.about == "device"
        return about and named is not None and self._known(named) is None

    # what comes

    def take(self, batch: Batch, topic: str, payload: bytes, retained: bool) -> None:
        """One message. What cannot be understood is told once for its topic, and forgotten."""
        route = self._route(topic)
        if route.topic is None or not payload:
            return
        try:
            self._take(batch, route.topic, route.names, payload, retained)
        except BadInput as error:
            self._complain(topic, error)

    def _take(self, batch: Batch, topic: Topic, names: Mapping[str, str], payload: bytes, retained: bool) -> None:
        if topic.inventory is not None:
            self._list(topic.inventory, parse("inventory", payload, INVENTORY_BYTES))
            return
        if topic.presence is not None and topic.about == "hub":
            self._hub_presence(batch, topic.presence, payload)
            return
        body = plain(payload) if topic.under or topic.presence or topic.alive else parse("payload", payload)
        device = self._whose(topic, names, body)
        if device is None:
            return
        if topic.presence is not None:
            self._presence(batch, device, topic.presence, body)
        elif topic.report is not None:
            under = topic.under and names.get(topic.under.strip("{}"), topic.under)
            self._report(batch, device, topic.report, {under: body} if under else body, retained)
        elif not retained:
            self._alive(batch, device)

    def _report(self, batch: Batch, device: Device, name: str, body: Any, retained: bool) -> None:
        plan, zone = device.plans[name], device.config.zone
        key = at(body, plan.map.key) if plan.map.key is not None else None
        if isinstance(key, str) and not self._first(batch, f"{device.config.id} {key[:128]}"):
            self._alive(batch, device)
            return
        heard = Heard(device.config.id, self._link.clock.monotonic(), zone, retained)
        report = read(plan, body, heard, device.memory, self.held(batch, device.config.id))
        batch.urgent += report.urgent
        batch.samples += report.samples
        last = moment_of(plan.map.last_heard, body, zone)
        if last is None:
            if not retained:
                self._alive(batch, device)
        else:
            age_s = (self._link.clock.utc() - last).total_seconds()
            if age_s < device.offline_after_s:
                self._alive(batch, device, max(0.0, age_s))

    def _first(self, batch: Batch, key: str) -> bool:
        if key in self.keys:
            return False
        self.keys[key] = None
        if len(self.keys) > MOST_KEYS:
            self.keys.popitem(last=False)
        batch.keys.append(key)
        return True

    def held(self, batch: Batch, device: str) -> set[Key]:
        """Conditions that stand open on a device, with what the batch has changed so far."""
        if device not in batch.held:
            batch.held[device] = set(self._link.active(device))
        return batch.held[device]

    # who is there

    def _alive(self, batch: Batch, device: Device, age_s: float = 0.0) -> None:
        device.heard_s = max(device.heard_s, self._link.clock.monotonic() - age_s)
        batch.there[device.config.id] = device
        batch.gone.pop(device.config.id, None)

    def _presence(self, batch: Batch, device: Device, presence: Presence, body: Any) -> None:
        online = _online(presence, body)
        if online is None:
            raise BadInput(device.config.id, Text("neither online nor offline", "既不是在线也不是离线"))
        if online and self.online is not False:
            self._alive(batch, device)
        elif not online and not device.config.sleeps:
            batch.there.pop(device.config.id, None)
            batch.gone[device.config.id] = REPORTED

    def _hub_presence(self, batch: Batch, presence: Presence, payload: bytes) -> None:
        online = _online(presence, plain(payload))
        if online is None:
            raise BadInput(self.config.id, Text("neither online nor offline", "既不是在线也不是离线"))
        self.online = online
        if not online:
            batch.there.clear()
            batch.gone |= {self.config.id: REPORTED, **dict.fromkeys(self.devices, HUB_OFFLINE)}
            batch.urgent += self.over(batch, math.inf)
            return
        batch.gone = {device: why for device, why in batch.gone.items() if why not in (HUB_OFFLINE, REPORTED)}
        batch.there |= self.back()

    def connected(self) -> Batch:
        """A connection begins: what was so in the last one is to be told anew."""
        self.online, self.listed = None, False
        return Batch() if self.profile.tells_presence else Batch(there=self.back())

    def back(self) -> dict[str, Device | None]:
        """Who is there because the hub is: itself, and devices that were lost with it and are not silent."""
        found = {name: device for name, device in self.devices.items() if self._returns(device)}
        return {self.config.id: None, **found}

    def _returns(self, device: Device) -> bool:
        silent = self._link.clock.monotonic() - device.heard_s >= device.offline_after_s
        return self.profile.follow or (device.away in _WITH_THE_HUB and device.heard_s > -math.inf and not silent)

    def silent(self) -> Iterator[str]:
        """Devices of which nothing has come for too long, and which are not told to be offline yet."""
        now_s = self._link.clock.monotonic()
        for name, device in self.devices.items():
            if device.away is None and now_s - max(device.heard_s, self.began_s) >= device.offline_after_s:
                yield name

    def due_s(self) -> float:
        """When `silent` or `over` may next have something to say, monotonic; infinite: never."""
        devices = self.devices.values()
        quiet = [max(d.heard_s, self.began_s) + d.offline_after_s for d in devices if d.away is None]
        ends = [until_s for d in devices for running in d.memory.running.values() for until_s in running.values()]
        return min([*quiet, *ends], default=math.inf)

    def over(self, batch: Batch, now_s: float) -> Iterator[Reading]:
        """Activities that have ended without a word."""
        for name, device in self.devices.items():
            if device.memory.running:
                yield from over(name, device.memory, self.held(batch, name), now_s)

    # whose it is

    def _route(self, topic: str) -> Route:
        route = self._routes.get(topic)
        if route is None:
            found = ((entry, parts(pattern, topic)) for pattern, entry in self._topics)
            entry, names = next(((entry, names) for entry, names in found if names is not None), (None, {}))
            route = Route(entry if entry is not None and entry.wanted else None, names)
            if len(self._routes) >= MOST_ROUTES:
                self._routes.clear()
            self._routes[topic] = route
        return route

    def _known(self, name: str) -> Device | None:
        address = self.names.get(name, name)
        found = self._by_address.get(_same(address)) or self._by_address.get(_same(name))
        if found is None and self.config.ids is not None:
            made = id_of(self.config.ids, {"device": name, "address": address, "name": name})
            found = self.devices.get(made) if made else None
        return found

    def _whose(self, topic: Topic, names: Mapping[str, str], body: Any) -> Device | None:
        """The device; None: it is not in the configuration, which is told once."""
        named = at(body, topic.device) if topic.device is not None else names.get("device")
        if not isinstance(named, str) or not named:
            raise BadInput(self.config.id, Text("it does not say whose it is", "报文未说明属于哪个设备"))
        found = self._known(named)
        if found is None:
            address = self.names.get(named, named)
            made = id_of(self.config.ids, {**names, "device": named, "address": address, "name": named}, body)
            found = self.devices.get(made) if made else None
            if found is None:
                self._find(address, made, named)
        return found

    def _find(self, address: str, made: str | None, name: str) -> None:
        about = self.abouts.get(address) or cleaned(name)
        self.finds.tell(Find(address, made, about, self._link.clock.utc()))

    def _list(self, inventory: Inventory, body: Any) -> None:
        if not isinstance(body, list):
            raise BadInput(self.config.id, Text("the inventory is no list", "设备清单不是列表"))
        names: dict[str, str] = {}
        for item in body:
            name, address = at(item, inventory.name), at(item, inventory.address)
            skipped = inventory.skip is not None and inventory.skip.find(item)[0] == "skip"
            if isinstance(name, str) and isinstance(address, str) and not skipped:
                names[name] = address
                about = [name, *(at(item, path) for path in inventory.about)]
                self.abouts[address] = ", ".join(filter(None, map(cleaned, about)))
        self.listed, self.names = True, names
        for name, address in names.items():
            if self._known(name) is None:
                made = id_of(self.config.ids, {"device": name, "address": address, "name": name})
                self._find(address, made, name)

    def _complain(self, topic: str, error: BadInput) -> None:
        if topic in self._complained or len(self._complained) >= MOST_ROUTES:
            return
        self._complained.add(topic)
        hint = f"; {self.profile.hint.en}" if self.profile.hint else ""
        self._link.log.warning("%s cannot be understood, told once: %s%s", cleaned(topic), error, hint)


def _same(address: str) -> str:
    return address.strip().lower()


def _online(presence: Presence, body: Any) -> bool | None:
    said = at(body, presence.path) if presence.path is not None and isinstance(body, dict) else body
    if said is MISSING or isinstance(said, (dict, list)) or said is None:
        return None
    return True if word(said) in presence.online else False if word(said) in presence.offline else None
