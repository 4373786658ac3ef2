"""What no part of gateway.yaml can see by itself: names that point nowhere, and things that two parts claim.

Checked over everything that is right by itself, so that one pass tells everything. Names are taken from the file as it
stands: what is there, but wrong, is not told to be missing as well.
"""

import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gateway import taxonomy
from gateway.cards import Cards
from gateway.charge import Responsibility, Steps, unled
from gateway.contacts import ALWAYS_THERE, Contact
from gateway.credentials import EVERY_DOOR, CredentialsConfig
from gateway.errors import Text
from gateway.fields import BusConfig, DeviceConfig
from gateway.problems import KeyPath, Problem, allowed, joined
from gateway.profiles import BUILT_IN
from gateway.rulebook import SAME_BUILDING, Rule, Selector
from gateway.sections import GatewayConfig, UplinkConfig, place_paths
from gateway.yamlmarks import Document

Part = TypeVar("Part")


@dataclass
class Draft:
    """The parts of a configuration that are right by themselves, by their path, and the CSV list of cards."""

    document: Document
    parts: dict[KeyPath, Any] = field(default_factory=dict)
    cards: Cards | None = None
    _names: dict[str, list[str]] = field(default_factory=dict)

    def of(self, kind: type[Part]) -> Iterator[tuple[KeyPath, Part]]:
        """The parts of a kind."""
        return ((path, part) for path, part in self.parts.items() if isinstance(part, kind))

    def devices(self) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
        """The devices as they stand in the file, also those that are wrong by themselves."""
        raw = self.document.value.get("devices")
        for number, device in enumerate(raw if isinstance(raw, list) else ()):
            if isinstance(device, dict):
                yield ("devices", number), device

    def names(self, section: str) -> list[str]:
        """What a section defines: keys, ids of devices, paths of places."""
        if section not in self._names:
            self._names[section] = self._defined(section)
        return self._names[section]

    def _defined(self, section: str) -> list[str]:
        raw = self.document.value.get(section)
        if section == "devices":
            return [device["id"] for _, device in self.devices() if isinstance(device.get("id"), str)]
        if section == "site":
            return place_paths(raw.get("places") if isinstance(raw, dict) else None)
        return list(raw) if isinstance(raw, dict) else []

    def unsure(self, section: str) -> bool:
        """Could some of the section not be read? Then nobody knows what it defines."""
        return any(path[:1] in ((), (section,)) for path in self.document.broken)


def check(draft: Draft) -> Iterator[Problem]:
    """Every problem between parts."""
    for one in (_ids, _places, _kinds, _buses, _hubs, _addresses, _ports, _tokens, _doors, _escalations, _rules):
        yield from one(draft)
    yield from _shares(draft)


def _known(
    draft: Draft, path: KeyPath, name: Any, section: str, noun: Text, document: Document | None = None
) -> Iterator[Problem]:
    """The name must be one that the section defines."""
    names = draft.names(section)
    if not isinstance(name, str) or name in names or draft.unsure(section):
        return
    what = joined(Text(f"no {noun.en} is called {name}", f"没有名为 {name} 的{noun.zh}"), allowed(name, names))
    yield (document or draft.document).problem(path, what)


def _twice(draft: Draft, claims: Iterable[tuple[Hashable, KeyPath]], what: Callable[[str], Text]) -> Iterator[Problem]:
    """Who claims something second is told where the first one stands."""
    first: dict[Hashable, KeyPath] = {}
    for claim, path in claims:
        if claim in first:
            mark = draft.document.mark(first[claim])
            yield draft.document.problem(path, what(f"{mark.file.name}:{mark.line}"))
        else:
            first[claim] = path


def _ids(draft: Draft) -> Iterator[Problem]:
    claims = [(device["id"], (*path, "id")) for path, device in draft.devices() if isinstance(device.get("id"), str)]
    yield from _twice(draft, claims, lambda at: Text(f"this id stands already in {at}", f"此 id 已在 {at} 出现"))
    for name, path in claims:
        if name == "gateway":
            what = Text("no device is called gateway: that is the gateway itself", "设备不能叫 gateway:它指网关自身")
            yield draft.document.problem(path, what)


def _places(draft: Draft) -> Iterator[Problem]:
    for path, device in draft.devices():
        yield from _known(draft, (*path, "place"), device.get("place"), "site", Text("place", "位置"))


def _kinds(draft: Draft) -> Iterator[Problem]:
    kinds = [((*path, "kind"), device.kind) for path, device in draft.of(DeviceConfig)]
    for path, rule in draft.of(Rule):
        kinds.append(((*path, "when", "kind"), rule.when.kind))
        kinds += [((*path, "do", n, "devices", "kind"), do.devices.kind) for n, do in enumerate(rule.do) if do.devices]
    for path, kind in kinds:
        if kind is not None and kind not in taxonomy.KINDS:
            what = Text(f"{kind} is no kind of device", f"没有 {kind} 这种设备类型")
            yield draft.document.problem(path, joined(what, allowed(kind, taxonomy.KINDS)))


def _buses(draft: Draft) -> Iterator[Problem]:
    """Buses exist, and have one driver each."""
    owners: dict[str, tuple[Any, Any]] = {}
    for path, device in draft.devices():
        bus = device.get("bus")
        yield from _known(draft, (*path, "bus"), bus, "buses", Text("bus", "总线"))
        if not isinstance(bus, str):
            continue
        driver, owner = owners.setdefault(bus, (device.get("driver"), device.get("id")))
        if driver != device.get("driver"):
            what = Text(
                f"the bus {bus} is used by driver {driver} already (device {owner}); a bus has one driver",
                f"总线 {bus} 已由驱动 {driver} 使用(设备 {owner});一条总线只能有一个驱动",
            )
            yield draft.document.problem((*path, "bus"), what)


def _hubs(draft: Draft) -> Iterator[Problem]:
    """A device behind another names one that is there, is of the same driver, and stands behind none itself."""
    found = {device["id"]: device for _, device in draft.devices() if isinstance(device.get("id"), str)}
    for path, device in draft.devices():
        name = device.get("hub")
        yield from _known(draft, (*path, "hub"), name, "devices", Text("device", "设备"))
        hub = found.get(name) if isinstance(name, str) else None
        if hub is not None and (hub.get("driver") != device.get("driver") or "hub" in hub):
            what = Text(
                f"{name} is no hub: a hub has the same driver and no hub: of its own",
                f"{name} 不是汇聚设备:汇聚设备须用相同驱动,且自身不写 hub:",
            )
            yield draft.document.problem((*path, "hub"), what)


def _addresses(draft: Draft) -> Iterator[Problem]:
    """One device per address of a bus, listener or hub, or per part of it."""
    claims = []
    for path, device in draft.of(DeviceConfig):
        line, address, part = (getattr(device, name, None) for name in ("bus", "address", "part"))
        line = line or getattr(device, "listen", None) or getattr(device, "hub", None)
        if line is not None and address is not None:
            claims.append((repr((line, address, part)), (*path, "address")))
    yield from _twice(
        draft,
        claims,
        lambda at: Text(
            f"this address is taken by the device in {at}; only part: may tell two devices on one address apart",
            f"此地址已被 {at} 的设备占用;同一地址上的两个设备只能用 part: 区分",
        ),
    )


def _ports(draft: Draft) -> Iterator[Problem]:
    claims = [
        (os.path.realpath(bus.serial), (*path, "serial")) for path, bus in draft.of(BusConfig) if bus.serial is not None
    ]
    yield from _twice(
        draft,
        claims,
        lambda at: Text(
            f"this serial port is taken by the bus in {at}: put the devices of one line on one bus",
            f"此串口已被 {at} 的总线占用:同一条线上的设备请放在同一条总线",
        ),
    )


def _tokens(draft: Draft) -> Iterator[Problem]:
    """Tokens are of one device each, and of use only with the web on."""
    off = any(part.web is None for _, part in draft.of(GatewayConfig))
    claims = []
    for path, device in draft.of(DeviceConfig):
        token = getattr(device, "token", None)
        if token is None:
            continue
        claims.append((token, (*path, "token")))
        if off:
            what = Text(
                f"{device.id} posts its events to /ingest/{device.id}, but gateway.web is off",
                f"{device.id} 向 /ingest/{device.id} 推送事件,但 gateway.web 为 off",
            )
            yield draft.document.problem(path, what)
    yield from _twice(
        draft,
        claims,
        lambda at: Text(
            f"this token is that of the device in {at}: each device has its own",
            f"此令牌与 {at} 的设备相同:每个设备须有自己的令牌",
        ),
    )


def _doors(draft: Draft) -> Iterator[Problem]:
    entries = [
        (draft.document, (*path, "list", number), entry)
        for path, credentials in draft.of(CredentialsConfig)
        for number, entry in enumerate(credentials.list)
    ]
    if draft.cards is not None:
        entries += [(draft.cards.document, path, entry) for path, entry in draft.cards.entries.items()]
    for document, path, entry in entries:
        for place, door in enumerate(entry.doors):
            if door != EVERY_DOOR:
                yield from _known(draft, (*path, "doors", place), door, "devices", Text("device", "设备"), document)


def _shares(draft: Draft) -> Iterator[Problem]:
    """What an uplink gets: profiles that there are, places that there are."""
    profiles = [*BUILT_IN, *draft.names("profiles")]
    for path, uplink in draft.of(UplinkConfig):
        if uplink.redact not in profiles and not draft.unsure("profiles"):
            what = Text(f"no profile is called {uplink.redact}", f"没有名为 {uplink.redact} 的脱敏方案")
            yield draft.document.problem((*path, "redact"), joined(what, allowed(uplink.redact, profiles)))
        for number, place in enumerate(uplink.places):
            yield from _known(draft, (*path, "places", number), place, "site", Text("place", "位置"))
    for name in draft.names("profiles"):
        if name in BUILT_IN:
            what = Text(f"{name} is a built-in profile: call yours otherwise", f"{name} 是内置方案:请另取名称")
            yield draft.document.problem(("profiles", name), what, key=True)


def _escalations(draft: Draft) -> Iterator[Problem]:
    """Who is told exists, and its places do; contacts are not named as what is there anyway; somebody leads."""
    for path, entry in draft.of(Responsibility):
        yield from _told(draft, (*path, "escalate"), entry.escalate)
        for number, other in enumerate(entry.instead):
            at: KeyPath = (*path, "instead", number)
            yield from _told(draft, (*at, "escalate"), other.escalate or ())
            if other.place is not None:
                yield from _known(draft, (*at, "place"), other.place, "site", Text("place", "位置"))
    for path, _ in draft.of(Contact):
        if path[-1] in (*ALWAYS_THERE, *draft.names("uplinks")):
            what = Text(
                f"{path[-1]} is the page, its sound or an uplink already", f"{path[-1]} 已是页面、声音或上行平台"
            )
            yield draft.document.problem(path, what, key=True)


def _told(draft: Draft, path: KeyPath, steps: Steps) -> Iterator[Problem]:
    raw: Any = draft.document.value
    for key in path if steps else ():
        raw = raw[key]
    for number, step in enumerate(steps):
        yield from _reached(draft, (*path, number) if isinstance(raw[number], str) else (*path, number, "to"), step.to)


def _reached(draft: Draft, at: KeyPath, name: str) -> Iterator[Problem]:
    """Whoever shall be told is a contact, an uplink, the page or its sound."""
    names = [*ALWAYS_THERE, *draft.names("uplinks"), *draft.names("contacts")]
    if name not in names and not draft.unsure("uplinks") and not draft.unsure("contacts"):
        what = Text(f"no contact or uplink is called {name}", f"没有名为 {name} 的联系人或上行平台")
        yield draft.document.problem(at, joined(what, allowed(name, names)))


def check_leads(draft: Draft, kinds: frozenset[str]) -> Iterator[Problem]:
    """Once there is a list, somebody leads on whatever the devices here are installed for."""
    missing, _ = _unled(draft, kinds)
    if missing:
        what = Text(
            f'nobody leads {", ".join(missing)}; add them, or "*": {{lead: …}} for all the rest',
            f'以下报警类型无人牵头:{"、".join(missing)};请补上,或写 "*": {{lead: …}} 统一兜底',
        )
        yield draft.document.problem(("responsibility",), what, key=True)


def advise_leads(draft: Draft, kinds: frozenset[str]) -> Iterator[Problem]:
    """Other critical and high types without a lead."""
    _, missing = _unled(draft, kinds)
    if missing:
        what = Text(
            f'nobody leads {", ".join(missing)}; "*": {{lead: …}} stands for all the rest',
            f'以下报警类型无人牵头:{"、".join(missing)};可写 "*": {{lead: …}} 统一兜底',
        )
        yield draft.document.problem(("responsibility",), what, key=True)


def _unled(draft: Draft, kinds: frozenset[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    section = draft.document.value.get("responsibility")
    if not isinstance(section, dict) or not section or draft.unsure("responsibility"):
        return (), ()
    read = {str(path[1]): entry for path, entry in draft.of(Responsibility)}
    return unled(read, kinds) if len(read) == len(section) else ((), ())  # else what is wrong there is told by itself


def _rules(draft: Draft) -> Iterator[Problem]:
    """Names stand once, and places, devices and rules that a rule names are there; more in `rulecheck.py`."""
    claims = [(rule.name, (*path, "name")) for path, rule in draft.of(Rule)]
    yield from _twice(draft, claims, lambda at: Text(f"this name stands already in {at}", f"此名称已在 {at} 出现"))
    names = [name for name, _ in claims]
    for path, rule in draft.of(Rule):
        yield from _known(draft, (*path, "when", "place"), rule.when.place, "site", Text("place", "位置"))
        for number, device in enumerate(rule.when.devices):
            yield from _known(draft, (*path, "when", "devices", number), device, "devices", Text("device", "设备"))
        for number, name in enumerate(rule.yields_to):
            if name not in names:
                what = joined(Text(f"no rule is called {name}", f"没有名为 {name} 的规则"), allowed(name, names))
                yield draft.document.problem((*path, "yields_to", number), what)
        for number, do in enumerate(rule.do):
            at: KeyPath = (*path, "do", number, "devices")
            if do.devices is not None:
                yield from _aimed(draft, at, do.devices)
            if do.target is not None:
                yield from _reached(draft, (*path, "do", number, "target"), do.target)


def _aimed(draft: Draft, path: KeyPath, selector: Selector) -> Iterator[Problem]:
    if selector.place not in (None, SAME_BUILDING):
        yield from _known(draft, (*path, "place"), selector.place, "site", Text("place", "位置"))
    for number, device in enumerate(selector.ids):
        yield from _known(draft, (*path, "ids", number), device, "devices", Text("device", "设备"))
