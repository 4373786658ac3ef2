"""A hub: what a topic means, and what is new in a message. No I/O. (An underscore: no driver.)"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drivers._mapping import at
from drivers._mqtt_config import Config
from drivers._mqtt_device import Batch, Device, device_of
from drivers._mqtt_directory import Directory
from drivers._mqtt_found import cleaned
from drivers._mqtt_profile import Profile, Topic
from drivers._mqtt_report import Heard, moment_of, parse, plain, read
from drivers._mqtt_roll import Roll
from drivers._mqtt_topics import MOST_CHARS, below, filters, parts
from gateway.driver import Link
from gateway.errors import BadInput

MOST_ROUTES = 4096  # topics whose meaning is remembered
MOST_KEYS = 1024  # reports that are known by their own key
INVENTORY_BYTES = 8 * 2**20  # a few hundred devices, with all that they can do


@dataclass(frozen=True, slots=True)
class Route:
    """What a topic means."""

    topic: Topic | None  # None: nothing
    names: Mapping[str, str]


class Hub:
    """Changes only by `take` and by the clock."""

    def __init__(self, configs: Sequence[Config], link: Link) -> None:
        self.config = next(config for config in configs if config.url is not None)
        self.profile: Profile = self.config.meaning
        behind = [config for config in configs if config.url is None]
        self.devices = {config.id: device_of(config, self.config, self.profile) for config in behind}
        self.directory = Directory(self.config, self.devices, link)
        self.roll = Roll(self.config, self.devices, link.clock)
        self.keys: OrderedDict[str, None] = OrderedDict()
        self._link = link
        self._routes: dict[str, Route] = {}
        self._complained: set[str] = set()
        base = self.profile.base if self.config.base is None else self.config.base
        self._topics = [(below(base.strip("/"), topic.topic), topic) for topic in self.profile.topics]

    @property
    def filters(self) -> tuple[str, ...]:
        """What the broker is asked for."""
        return filters(pattern for pattern, topic in self._topics if topic.wanted)

    def batch(self) -> Batch:
        """An empty one."""
        return Batch(self._link.active)

    def connected(self) -> Batch:
        """A connection begins: what was so in the last one is to be told anew."""
        self.roll.online, self.directory.listed = None, False
        batch = self.batch()
        if not self.profile.tells_presence:
            batch.there |= self.roll.back()
        return batch

    def waits(self, topic: str) -> bool:
        """Is it of a device that nobody knows before the hub has listed its devices?"""
        if self.directory.listed or not self.profile.lists_devices:
            return False
        route = self._route(topic)
        named = route.names.get("device")
        return route.topic is not None and named is not None and self.directory.known(named, route.names) is None

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
            self.directory.take(topic.inventory, parse("inventory", payload, INVENTORY_BYTES))
            return
        if topic.presence is not None and topic.about == "hub":
            self.roll.hub_said(batch, topic.presence, payload)
            return
        body = plain(payload) if topic.under or topic.presence or topic.alive else parse("payload", payload)
        device = self.directory.whose(topic, names, body)
        if device is None:
            return
        if topic.presence is not None:
            self.roll.said(batch, device, topic.presence, body)
        elif topic.report is not None:
            under = topic.under and names.get(topic.under.strip("{}"), topic.under)
            self._report(batch, device, topic.report, {under: body} if under else body, retained)
        elif not retained:
            self.roll.alive(batch, device)

    def _report(self, batch: Batch, device: Device, name: str, body: Any, retained: bool) -> None:
        plan, zone = device.plans[name], device.config.zone
        key = at(body, plan.map.key) if plan.map.key is not None else None
        if isinstance(key, str) and not self._first(batch, f"{device.config.id} {key[:128]}"):
            self.roll.alive(batch, device)
            return
        heard = Heard(device.config.id, self._link.clock.monotonic(), zone, retained)
        report = read(plan, body, heard, device.memory, batch.held(device.config.id))
        batch.urgent += report.urgent
        batch.samples += report.samples
        last = moment_of(plan.map.last_heard, body, zone)
        if last is None:
            if not retained:
                self.roll.alive(batch, device)
        else:
            age_s = (self._link.clock.utc() - last).total_seconds()
            if age_s < device.offline_after_s:
                self.roll.alive(batch, device, max(0.0, age_s))

    def _first(self, batch: Batch, key: str) -> bool:
        if key in self.keys:
            return False
        self.keys[key] = None
        if len(self.keys) > MOST_KEYS:
            self.keys.popitem(last=False)
        batch.keys.append(key)
        return True

    def _route(self, topic: str) -> Route:
        route = self._routes.get(topic) if len(topic) <= MOST_CHARS else Route(None, {})
        if route is None:
            found = ((entry, parts(pattern, topic)) for pattern, entry in self._topics)
            entry, names = next(((entry, names) for entry, names in found if names is not None), (None, {}))
            route = Route(entry if entry is not None and entry.wanted else None, names)
            if len(self._routes) >= MOST_ROUTES:
                self._routes.clear()
            self._routes[topic] = route
        return route

    def _complain(self, topic: str, error: BadInput) -> None:
        if topic in self._complained or len(self._complained) >= MOST_ROUTES:
            return
        self._complained.add(topic)
        hint = f"; {self.profile.hint.en}" if self.profile.hint else ""
        self._link.log.warning("%s cannot be understood, told once: %s%s", cleaned(topic), error, hint)
