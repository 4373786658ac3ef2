"""Every part from the configuration, put together: the one place that knows them all."""

import logging
import socket
import sqlite3
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from gateway import __version__, health, site
from gateway.access import Access
from gateway.alarms import Alarm
from gateway.alarmview import describe
from gateway.archive import Start
from gateway.audit import Audit
from gateway.callout import Callout
from gateway.casebook import DONE, Casebook
from gateway.chores import Chores
from gateway.clock import Clock, SystemClock, TimeQuality, rfc3339
from gateway.commands import Action, Rules
from gateway.config import Config
from gateway.courier import Roll
from gateway.covers import Covers
from gateway.database import put_fact, read_fact
from gateway.dead import DeadLetters, Room
from gateway.deeds import Hand, Where
from gateway.desk import Desk
from gateway.disclosure import Public
from gateway.doings import Means
from gateway.dossiers import Dossiers
from gateway.driver import Decision, Driver, Line
from gateway.duty import Duty
from gateway.errors import StorageError
from gateway.event import Credential, Severity
from gateway.fields import DeviceConfig, parse_host_port
from gateway.forget import Forgetting
from gateway.groups import Spot
from gateway.health import Vitals
from gateway.house import House
from gateway.identity import Identities
from gateway.incidents import Incidents
from gateway.ledger import Ledger
from gateway.linkage import Linkage
from gateway.listeners import EVERYWHERE
from gateway.moves import Moves
from gateway.normalize import Subject
from gateway.notices import Notices
from gateway.outages import Outages
from gateway.outbox import Outbox
from gateway.parts import Hearing, Parts, Plan
from gateway.people import People
from gateway.people import Rim as Census
from gateway.pictures import Pictures
from gateway.pipeline import Pipeline, Rim
from gateway.plans import Plans
from gateway.plea import Voice
from gateway.posters import Posters
from gateway.privacy import Policy, profile_named
from gateway.proofs import Proofs
from gateway.renewal import DESIRED, REPORTED, Around, Renewal
from gateway.replay import Rate
from gateway.reporting import Names, Reporting
from gateway.retained import Retained
from gateway.rules import Engine
from gateway.schemas import spoken
from gateway.sections import WebConfig, place_paths
from gateway.signin import SignIn
from gateway.signing import public_key
from gateway.site import Site
from gateway.states import States
from gateway.store import Store
from gateway.supervisor import Supervisor, Tools
from gateway.target import target
from gateway.timekeeper import Timekeeper
from gateway.uplink import Uplink, actions
from gateway.vault import Vault
from gateway.witness import Witness


def build(
    config: Config, drivers: Mapping[str, Driver[Any]], store: Store, vault: Vault, start: Start | None = None
) -> House:
    """`start`: where the configuration comes from; None: it cannot be changed while the house stands."""
    clock = SystemClock()
    place = Site(config, {name: drivers[name].kind for name in {device.driver for device in config.devices}})
    policies = {name: _policy(config, name, place, vault) for name in config.uplinks}
    states = States(device.id for device in config.devices)
    subjects = {device.id: _subject(place, device) for device in config.devices}
    subjects[config.gateway.id] = Subject(config.gateway.id, place.source, "gateway")
    rim = Rim(store, clock, subjects, tuple(policies.values()), config.gateway.id, config.alarms.off_delays_ms())
    pipeline = Pipeline(rim, Identities(store.database.newest_id_ms))
    pipeline.listeners.append(lambda taken: states.took(taken.reading))
    access = Access(config.credentials)
    tools = Tools(pipeline, states, clock, vault, partial(_decide, access, clock))
    supervisor = Supervisor(tools, drivers, lines(config))
    audit = Audit(store, clock)
    vitals = Vitals(
        gateway=config.gateway.id,
        boot=str(uuid.uuid4()),
        started_s=clock.monotonic(),
        limit_bytes=config.gateway.buffer.max_size,
        clock=clock,
        store=store,
        states=states,
        devices=tuple(device.id for device in config.devices),
        audit=audit,
        pipeline=pipeline,
    )
    timekeeper = Timekeeper(config.gateway.id, store, pipeline, clock)
    hand = Hand(pipeline, audit, clock, _where(config))
    hand.listeners.append(lambda alarm: states.changed(alarm.device))
    covers = Covers(hand)
    pictures = Pictures(config.gateway.state_dir / "pictures", config.pictures, store, clock)
    moves = Moves(supervisor, pipeline, covers, audit, clock, config.devices, pictures)
    means = Means(config.gateway.id, store, pipeline, supervisor, audit, covers, pictures, clock)
    linkage = _linkage(config, place, means)
    pipeline.listeners.append(moves.took)
    voice = Voice(place, config.gateway.language, _link(config))
    callout = Callout(Roll(hand, config.responsibility, voice), config.contacts)
    linkage.doings.notify = callout.notify
    witness = Witness(casebook := Casebook(store, clock), hand, pipeline, store)
    fed = (Incidents(casebook, witness, hand), Notices(store, clock), Dossiers(store, clock))
    parts = (timekeeper, audit, Duty(hand), covers, *fed, callout, pictures, linkage, moves)
    house = House(config, place, store, pipeline, supervisor, [], vitals, *parts)
    pipeline.listeners += [witness.took, house.dossiers.took]
    house.errands += [covers.keep_time, callout.run, pictures.run, linkage.run, witness.run]
    house.errands.append(partial(house.dossiers.run, partial(_announce, house)))
    house.actions |= moves.actions() | Chores(house).actions()
    _watch_floods(house, hand)
    _open_to_people(house, vault)
    if start is not None:
        around = Around(config.gateway, audit, pipeline, supervisor, states, clock, house.ending.restart)
        house.renewal = Renewal(start, around)
        house.errands.append(house.renewal.run)
    house.uplinks = [_uplink(house, name, policies[name]) for name in config.uplinks]
    if house.renewal is not None:
        house.renewal.uplinks = house.uplinks
    _share(house, list(policies.values()))
    return house


def _linkage(config: Config, place: Site, means: Means) -> Linkage:
    """What rules do; it hears of everything, and is asked before a device moves."""
    linkage = Linkage(Engine(config.rules, place.world()), means)
    means.supervisor.guard = linkage.guard
    means.pipeline.listeners.append(linkage.took)
    means.pipeline.refused.append(linkage.refused)
    return linkage


def _report(house: House) -> None:
    """What tells how a shift, a day, a month was."""
    config = house.config
    names = Names(
        config.gateway.id,
        config.site.name,
        config.site.timezone,
        {device.id: device.name or device.id for device in config.devices},
        {level.path: level.label for level in house.site.places if "/" not in level.path},
    )
    house.reporting = Reporting(names, config.shifts, house.store, house.pipeline, house.audit, house.vitals.clock)
    house.reporting.health, house.reporting.incidents = house.health, partial(_under_way, house)


async def _under_way(house: House) -> list[dict[str, Any]]:
    """The platform's cases that wait for somebody."""
    return [case for case in await house.incidents.list() if case["step"] not in DONE]


def _share(house: House, policies: Sequence[Policy]) -> None:
    """What counts what left, and what takes it back."""
    shares = [(policy, uplink.parts.outbox) for policy, uplink in zip(policies, house.uplinks, strict=True)]
    house.ledger = Ledger(house.store, house.vitals.clock, shares)
    house.pipeline.listeners.append(house.ledger.heard)
    house.errands.append(house.ledger.run)
    house.public = Public(house.config, house.site, house.store, house.vitals.clock, house.ledger)
    house.forgetting = Forgetting(house.config.gateway.id, house.store, house.pipeline, house.audit, shares)
    _report(house)


def _open_to_people(house: House, vault: Vault) -> None:
    """Who may act on the page, and the drawings that they put there."""
    config, clock = house.config.gateway, house.vitals.clock
    house.plans = Plans(config.state_dir, house.store)
    house.people = People(Census(house.store, clock, house.audit, config.id, config.state_dir, _set_up_at(config.web)))
    house.signin = SignIn(house.people, house.pipeline, vault.key("people"))
    house.errands.append(house.signin.run)


def _set_up_at(web: WebConfig | None) -> str:
    """Where the first person is made; "" without a page. What listens everywhere is called by the machine's name."""
    if web is None:
        return ""
    scheme, (host, port) = ("http", web.listen) if web.https is None else ("https", web.https)
    name = web.names[0] if web.names else f"{socket.gethostname()}.local" if host in EVERYWHERE else host
    return f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}/setup"


def _link(config: Config) -> str:
    """The page's address where it has a name and is to be reached from elsewhere; else ""."""
    web = config.gateway.web
    if web is None or not web.names:
        return ""
    if web.https is not None:
        return f"https://{web.names[0]}:{web.https[1]}/"
    here = not web.plain or web.listen[0] in ("127.0.0.1", "::1", "localhost")
    return "" if here else f"http://{web.names[0]}:{web.listen[1]}/"


def _watch_floods(house: House, hand: Hand) -> None:
    """What belongs together is grouped, and suppressed where one line is the cause of all."""
    shared = {}
    for line in (each.line for each in house.supervisor.lines):
        shared[f"{'line' if line.bus is None else 'bus'} {line.name}"] = [device.id for device in line.devices]
        for device in line.devices:
            building = device.place.partition("/")[0]
            name = line.name if len(line.devices) > 1 else ""
            house.spots[device.id] = Spot(name, building, house.site.place(building).label)
    outages = Outages(hand, house.covers, shared)
    house.pipeline.listeners += [outages.heard, lambda taken: house.flood.heard(taken.alarm)]
    house.errands.append(outages.run)


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


def _policy(config: Config, name: str, place: Site, vault: Vault) -> Policy:
    uplink = config.uplinks[name]
    return Policy(
        name,
        uplink.types,
        profile_named(uplink.redact, config.profiles),
        vault.key(f"uplink-{name}"),
        uplink.places,
        uplink.severity,
        {spot.path: spot.document() for spot in place.places},
    )


def _uplink(house: House, name: str, policy: Policy) -> Uplink:
    config, settings = house.config, house.config.uplinks[name]
    vitals, states, base = house.vitals, house.vitals.states, house.site.base(settings.root)
    renewal = house.renewal if settings.config else None
    plan = Plan(
        name=name,
        base=base,
        policy=policy,
        status=partial(_status, vitals),
        health=lambda: health.document(vitals, house.uplinks, house.supervisor.lines, only=name),
        dossier=partial(_dossier, house, policy, Fact(house.store, f"dossier.{name}")),
        state=lambda device: policy.document("state", states.document(device, house.pipeline.shown, policy.wants)),
        inbox=_inbox(house, name, base) | ({} if renewal is None else {f"{base}/{DESIRED}": renewal.hearing(name)}),
        devices=_shown(house.site, policy) if settings.retain_states else (),
        documents={} if renewal is None else {REPORTED: partial(renewal.document, name)},
    )
    log = logging.getLogger(f"gateway.uplink.{name}")
    outbox, asked = Outbox(house.store, name), dict[str, Action]()
    outbox.rate = Rate(settings.replay_rate)
    dead = DeadLetters(name, outbox, Room(config.gateway.id, house.store, house.pipeline), log)
    desk = Desk(_rules(house, name, plan.base), house.store, vitals.clock, asked, house.audit)
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
    asked |= house.actions | actions(uplink)
    house.store.listeners.append(uplink.grown)
    states.listeners.append(uplink.state_changed)
    return uplink


def _rules(house: House, name: str, base: str) -> Rules:
    """Whom the uplink may ask for what."""
    settings = house.config.uplinks[name]
    key = None if settings.command_key is None else public_key(settings.command_key)
    return Rules(name, base, house.language, settings.allowed, house.supervisor.takes(), key)


def _alarm_document(house: House, policy: Policy, proofs: Proofs, alarm: Alarm) -> dict[str, Any] | None:
    """An alarm for one uplink (contract, section 2); None where it is not meant for it."""
    place = house.site.place_of(alarm.device)
    path = place["place"]["path"] if place else None
    if alarm.severity is Severity.INFO or not policy.wants(alarm.type, alarm.severity.value, path):
        return None
    delivery = proofs.shown(alarm.id)
    document = describe(alarm, house.pipeline.shown) | place | ({"delivery": delivery} if delivery else {})
    return policy.document("alarm", document)


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


def _inbox(house: House, name: str, base: str) -> dict[str, Hearing]:
    """What the platform keeps on the broker for the community."""
    area = base.rpartition("/")[0]
    return {
        f"{base}/incident/+": house.incidents.casebook.hearing(name),
        f"{area}/notice/+": house.notices.hearing(name),
    }


async def _announce(house: House) -> None:
    for uplink in house.uplinks:
        if uplink.delivery is not None:
            await uplink.delivery.announce()


def _shown(place: Site, policy: Policy) -> tuple[str, ...]:
    """The devices that an uplink knows of."""
    return tuple(device.id for device in place.devices if policy.covers(device.place))


async def _dossier(house: House, policy: Policy, fact: Fact) -> dict[str, Any]:
    """The community's file for one uplink; its revision goes up when its content has changed."""
    tested = await house.dossiers.tested()
    driver_actions = {device: actions for line in house.supervisor.lines for device, actions in line.actions.items()}
    content = site.dossier(house.site, 0, house.vitals.clock.utc(), driver_actions, policy.uplink, tested)
    document = policy.document("dossier", content)

    def revise(known: str) -> str:
        revision, _, digest = known.partition(" ")
        return known if digest == document["sha256"] else f"{int(revision or 0) + 1} {document['sha256']}"

    document["revision"] = int((await fact.change(revise)).partition(" ")[0])
    await house.dossiers.keep(policy.uplink, document)
    return document
