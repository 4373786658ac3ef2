"""Every part from the configuration, put together: the one place that knows them all."""

import logging
import sqlite3
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from gateway import __version__, health, site
from gateway.access import Access
from gateway.alarms import Alarm
from gateway.alarmview import describe
from gateway.audit import Audit
from gateway.clock import Clock, SystemClock, TimeQuality, rfc3339
from gateway.commands import Action, Desk, Rules
from gateway.config import Config, UplinkConfig
from gateway.covers import Covers
from gateway.database import put_fact, read_fact
from gateway.dead import DeadLetters, Room
from gateway.deeds import Hand, Where
from gateway.driver import Decision, Driver, Line
from gateway.duty import Duty
from gateway.errors import StorageError
from gateway.event import Credential, Severity
from gateway.fields import DeviceConfig, parse_host_port
from gateway.health import Vitals
from gateway.house import House
from gateway.identity import Identities
from gateway.normalize import Subject
from gateway.outbox import Outbox
from gateway.parts import Parts, Plan
from gateway.pipeline import Pipeline, Rim
from gateway.posters import Posters
from gateway.privacy import Policy
from gateway.proofs import Proofs
from gateway.replay import Rate
from gateway.retained import Retained
from gateway.schemas import spoken
from gateway.sections import place_paths
from gateway.site import Site
from gateway.states import States
from gateway.store import Store
from gateway.supervisor import Supervisor, Tools
from gateway.target import target
from gateway.timekeeper import Timekeeper
from gateway.uplink import Uplink, actions
from gateway.vault import Vault


def build(config: Config, drivers: Mapping[str, Driver[Any]], store: Store, vault: Vault) -> House:
    clock = SystemClock()
    place = Site(config, {name: drivers[name].kind for name in {device.driver for device in config.devices}})
    policies = {name: _policy(name, uplink, vault) for name, uplink in config.uplinks.items()}
    states = States(device.id for device in config.devices)
    subjects = {device.id: _subject(place, device) for device in config.devices}
    subjects[config.gateway.id] = Subject(config.gateway.id, place.source, "gateway")
    rim = Rim(store, clock, subjects, tuple(policies.values()), config.gateway.id)
    pipeline = Pipeline(rim, Identities(store.database.newest_id_ms))
    pipeline.listeners.append(lambda taken: states.took(taken.reading))
    access = Access(config.credentials)
    tools = Tools(pipeline, states, clock, vault, partial(_decide, access, clock))
    supervisor = Supervisor(tools, drivers, lines(config))
    vitals = Vitals(
        gateway=config.gateway.id,
        boot=str(uuid.uuid4()),
        started_s=clock.monotonic(),
        limit_bytes=config.gateway.buffer.max_size,
        clock=clock,
        store=store,
        states=states,
        devices=tuple(device.id for device in config.devices),
    )
    timekeeper = Timekeeper(config.gateway.id, store, pipeline, clock)
    audit = Audit(store, clock)
    hand = Hand(pipeline, audit, clock, _where(config))
    hand.listeners.append(lambda alarm: states.changed(alarm.device))
    covers = Covers(hand)
    house = House(config, place, store, pipeline, supervisor, [], vitals, timekeeper, audit, Duty(hand), covers)
    house.errands.append(covers.keep_time)
    house.uplinks = [_uplink(house, name, policies[name]) for name in config.uplinks]
    return house


def _where(config: Config) -> Where:
    return Where(
        config.gateway.id,
        {device.id: device.place for device in config.devices},
        frozenset(place_paths({name: place.model_dump() for name, place in config.site.places.items()})),
        frozenset(config.uplinks),
    )


def _decide(access: Access, clock: Clock, door: str, card: Credential) -> Decision:
    certain = clock.at_least() if clock.quality() is TimeQuality.UNSYNCED else None
    return access.decide(door, card, clock.utc(), certain=certain)


def lines(config: Config) -> list[tuple[str, Line[Any]]]:
    """(driver name, line): devices of one bus, listening address, or hub share a line; others stand alone."""
    groups: dict[tuple[str, str], list[DeviceConfig]] = {}
    for device in config.devices:
        ways = (getattr(device, name, None) for name in ("bus", "listen", "hub"))
        shared = next((way for way in ways if way), device.id)
        name = shared if isinstance(shared, str) else spoken(shared, [parse_host_port])
        groups.setdefault((device.driver, name), []).append(device)
    return [(driver, Line(name, config.buses.get(name), tuple(devices))) for (driver, name), devices in groups.items()]


def _subject(place: Site, device: DeviceConfig) -> Subject:
    return Subject(device.id, place.source, place.kind(device.id), place.place_data(device.id))


def _policy(name: str, uplink: UplinkConfig, vault: Vault) -> Policy:
    return Policy(name, uplink.types, uplink.redact, vault.key(f"uplink-{name}"))


def _uplink(house: House, name: str, policy: Policy) -> Uplink:
    config, settings = house.config, house.config.uplinks[name]
    vitals, states = house.vitals, house.vitals.states
    plan = Plan(
        name=name,
        base=house.site.base(settings.root),
        policy=policy,
        status=partial(_status, vitals),
        health=lambda: health.document(vitals, house.uplinks, house.supervisor.lines, only=name),
        dossier=partial(_dossier, house, name, Fact(house.store, f"dossier.{name}")),
        state=lambda device: states.document(device, house.pipeline.shown, policy.wants),
        inbox={},
        devices=vitals.devices if settings.retain_states else (),
    )
    log = logging.getLogger(f"gateway.uplink.{name}")
    outbox, asked = Outbox(house.store, name), dict[str, Action]()
    outbox.rate = Rate(settings.replay_rate)
    dead = DeadLetters(name, outbox, Room(config.gateway.id, house.store, house.pipeline), log)
    desk = Desk(_rules(house, name, plan.base), house.store, vitals.clock, asked, log)
    proofs = Proofs(name, outbox, house.store, vitals.clock, log)
    make = partial(_alarm_document, house, policy, proofs)
    posters, retained = Posters(house.store, name, lambda: house.pipeline.shown, make), Retained()
    house.pipeline.listeners += [proofs.took, posters.took]
    house.errands.append(partial(proofs.run, house.pipeline))
    proofs.listeners.append(posters.soon)
    retained.on_gone = posters.gone
    parts = Parts(plan, house.store, outbox, retained, posters, proofs, dead, desk, vitals.clock, log)
    uplink = Uplink(
        parts,
        partial(target, name, config.gateway.id, settings, vitals.clock),
        settings.protocol,
        partial(_next_session, Fact(house.store, f"session.{name}")),
    )
    asked |= actions(uplink)
    house.store.listeners.append(uplink.grown)
    states.listeners.append(uplink.state_changed)
    return uplink


def _rules(house: House, name: str, base: str) -> Rules:
    """Whom the uplink may ask for what."""
    devices = {device.id: frozenset(line.actions) for line in house.supervisor.lines for device in line.line.devices}
    return Rules(name, base, house.language, house.config.uplinks[name].allowed, devices)


def _alarm_document(house: House, policy: Policy, proofs: Proofs, alarm: Alarm) -> dict[str, Any] | None:
    """An alarm for one uplink (contract, section 2); None where it is not meant for it."""
    if alarm.severity is Severity.INFO or not policy.wants(alarm.type):
        return None
    document, delivery = describe(alarm, house.pipeline.shown), proofs.shown(alarm.id)
    document |= house.site.place_of(alarm.device)
    return policy.document(document | ({"delivery": delivery} if delivery else {}))


def _status(vitals: Vitals, state: str, session: int) -> dict[str, Any]:
    return {
        "state": state,
        "gateway": vitals.gateway,
        "version": __version__,
        "boot": vitals.boot,
        "session": session,
        "time": rfc3339(vitals.clock.utc()),
    }


class Fact:
    """A small durable fact that changes step by step; what a failing disk does not take is remembered until it does."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        self._unsaved: str | None = None

    async def change(self, step: Callable[[str], str]) -> str:
        """Returns what `step` makes of it; "" is where it begins."""
        unsaved = self._unsaved

        def work(connection: sqlite3.Connection) -> str:
            made = step(unsaved or read_fact(connection, self._name) or "")
            put_fact(connection, self._name, made)
            return made

        try:
            made = await self._store.transact(work)
            self._unsaved = None
        except StorageError:
            made = self._unsaved = step(unsaved or await self._read())
        return made

    async def _read(self) -> str:
        try:
            return await self._store.read(lambda connection: read_fact(connection, self._name)) or ""
        except StorageError:
            return ""


async def _next_session(fact: Fact) -> int:
    """Counts an uplink's connections for ever."""
    return int(await fact.change(lambda number: str(int(number or 0) + 1)))


async def _dossier(house: House, name: str, fact: Fact) -> dict[str, Any]:
    """The community's file for one uplink; its revision goes up when its content has changed."""
    driver_actions = {device.id: line.actions for line in house.supervisor.lines for device in line.line.devices}
    document = site.dossier(house.site, 0, house.vitals.clock.utc(), driver_actions, name)

    def revise(known: str) -> str:
        revision, _, digest = known.partition(" ")
        return known if digest == document["sha256"] else f"{int(revision or 0) + 1} {document['sha256']}"

    document["revision"] = int((await fact.change(revise)).partition(" ")[0])
    return document
