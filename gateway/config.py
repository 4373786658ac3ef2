"""gateway.yaml as a whole (contract, section 6), and `load`, which tells everything wrong with it at once."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import Field, SerializeAsAny, TypeAdapter, ValidationError

from gateway.alarmrules import AlarmsConfig
from gateway.cards import Cards
from gateway.charge import Responsibility
from gateway.checks import Draft, advise_leads, check, check_leads
from gateway.contacts import Contact
from gateway.credentials import CredentialEntry, CredentialsConfig
from gateway.errors import Text
from gateway.explain import SENTENCES, explain
from gateway.fields import BusConfig, DeviceConfig, Id, Model, Wrong
from gateway.problems import ConfigProblems, KeyPath, Problem, allowed, in_order, joined
from gateway.profiles import Profile
from gateway.rulebook import PicturesConfig, Rule
from gateway.rulecheck import Catalogue, advise_rules, check_rules, world_of
from gateway.sections import GatewayConfig, Label, SiteConfig, TypePattern, UplinkConfig
from gateway.shifts import ShiftConfig
from gateway.slips import hinted
from gateway.yamlmarks import ON_DISK, Document, Shelf, read

__all__ = [
    "Config",
    "ConfigProblems",
    "CredentialEntry",
    "CredentialsConfig",
    "GatewayConfig",
    "Loaded",
    "Problem",
    "SiteConfig",
    "UplinkConfig",
    "load",
]


class Config(Model):
    """The whole of gateway.yaml."""

    gateway: GatewayConfig
    site: SiteConfig
    uplinks: dict[Id, UplinkConfig] = Field(default={}, description="departments' brokers by name")
    profiles: dict[Id, Profile] = Field(default={}, description="what of an event passes, for redact: of uplinks")
    buses: dict[Id, BusConfig] = Field(default={}, description="lines that devices share, by name")
    devices: tuple[SerializeAsAny[DeviceConfig], ...] = Field(default=(), description="each with its driver's keys")
    alarms: AlarmsConfig = Field(default=AlarmsConfig(), description="what alarms do by themselves")
    credentials: CredentialsConfig | None = Field(default=None, description="who may open which door")
    contacts: dict[Label, Contact] = Field(default={}, description="who can be told beyond page and uplinks, by name")
    responsibility: dict[TypePattern, Responsibility] = Field(default={}, description="who acts on which alarm type")
    rules: tuple[Rule, ...] = Field(default=(), description="events that make devices act")
    pictures: PicturesConfig = Field(default=PicturesConfig(), description="cameras' pictures kept on this box")
    shifts: tuple[ShiftConfig, ...] = Field(
        default=(), description="who is on duty from when; else 08:00, 16:00, 00:00"
    )


@dataclass(frozen=True)
class Loaded:
    """A configuration that is right, and what its owner should know nevertheless."""

    config: Config
    document: Document  # what it was made from
    warnings: tuple[Problem, ...] = ()


def load(path: Path, drivers: Mapping[str, type[DeviceConfig]], shelf: Shelf = ON_DISK) -> Loaded:
    """Reads gateway.yaml and all it names. ConfigProblems: everything wrong, at its file, line and column.

    `drivers` gives the model of each driver's devices by the driver's name; a `Catalogue` also what they are and can
    do, which rules are checked by.
    """
    document = read(path, shelf)
    draft = Draft(document)
    problems = list(document.problems)
    if isinstance(document.value, dict):
        problems += _Parts(draft, drivers).read()
        problems += _cards(draft)
        problems += check(draft)
        world = world_of(draft, drivers.trade_of if isinstance(drivers, Catalogue) else None)
        kinds = frozenset(spot.kind for spot in world.values())
        problems += check_leads(draft, kinds)
        problems += check_rules(draft, world) if not problems else ()
    elif not problems:
        problems.append(document.problem((), SENTENCES["dict_type"]))
    if problems:
        raise ConfigProblems(path, hinted(problems))
    config = _whole(draft)
    warnings = [*advise_rules(draft, world), *advise_leads(draft, kinds)]
    for number, device in enumerate(config.devices):
        warnings += [document.problem(("devices", number, key), text, key=True) for key, text in device.advice()]
    for text in config.gateway.web.advice() if config.gateway.web is not None else ():
        warnings.append(document.problem(("gateway", "web", "plain"), text, key=True))
    return Loaded(config, document, in_order(warnings))


class _Parts:
    """Checks each part by itself, so that one that is wrong hides nothing in the others."""

    def __init__(self, draft: Draft, drivers: Mapping[str, type[DeviceConfig]]) -> None:
        self._draft = draft
        self._document = draft.document
        self._drivers = drivers

    def read(self) -> Iterator[Problem]:
        """Fills the draft; yields what is wrong."""
        for name in self._document.value:
            if name not in Config.model_fields:
                what = joined(SENTENCES["extra_forbidden"], allowed(name, Config.model_fields))
                yield self._document.problem((name,), what, key=True)
        for name, info in Config.model_fields.items():
            value = self._document.value.get(name)
            if value is not None:
                yield from self._section(name, info.annotation, value)
            elif info.is_required() and not self._draft.unsure(name):
                yield self._document.problem((name,), SENTENCES["missing"], key=True)

    def _section(self, name: str, kind: Any, value: Any) -> Iterator[Problem]:
        origin, inside = get_origin(kind), get_args(kind)
        if origin is dict and isinstance(value, dict):
            yield from self._names(name, inside[0], value)
            validate = TypeAdapter(inside[1]).validate_python
            for key in value:
                yield from self._part((name, key), inside[1], validate)
        elif origin is tuple and isinstance(value, list):
            validate = TypeAdapter(inside[0]).validate_python
            for number, item in enumerate(value):
                path = (name, number)
                yield from self._device(path, item) if name == "devices" else self._part(path, inside[0], validate)
        elif origin in (dict, tuple):
            yield self._document.problem((name,), SENTENCES["dict_type" if origin is dict else "list_type"])
        else:
            yield from self._part((name,), kind, TypeAdapter(kind).validate_python)

    def _names(self, section: str, kind: Any, names: Mapping[str, Any]) -> Iterator[Problem]:
        adapter = TypeAdapter(kind)
        for name in names:
            try:
                adapter.validate_python(name)
            except ValidationError as exc:
                for problem in explain(self._document, (section, name), kind, exc):
                    yield self._document.problem((section, name), problem.what, key=True)

    def _device(self, path: KeyPath, device: Any) -> Iterator[Problem]:
        name = device.get("driver") if isinstance(device, dict) else None
        if isinstance(name, str) and name in self._drivers:
            try:
                model = self._drivers[name]
            except Wrong as wrong:  # a third party's that cannot be loaded
                yield self._document.problem((*path, "driver"), wrong.text)
            else:
                yield from self._part(path, model, model.model_validate)
        elif isinstance(name, str):
            what = Text(f"no driver is called {name}", f"没有名为 {name} 的驱动")
            yield self._document.problem((*path, "driver"), joined(what, allowed(name, sorted(self._drivers))))
        else:
            yield from self._part(path, DeviceConfig, _any_driver)

    def _part(self, path: KeyPath, kind: Any, validate: Callable[..., Any]) -> Iterator[Problem]:
        value: Any = self._document.value
        for step in path:
            value = value[step]
        try:
            self._draft.parts[path] = validate(value, context={"base": self._document.folder(path)})
        except ValidationError as exc:
            yield from explain(self._document, path, kind, exc)


class _AnyDriver(DeviceConfig, extra="ignore"):
    """Tells what is wrong with a device whose driver is not named."""


_any_driver = _AnyDriver.model_validate


def _cards(draft: Draft) -> Iterator[Problem]:
    for path, credentials in draft.of(CredentialsConfig):
        if credentials.file is not None:
            draft.cards = Cards(credentials.file, draft.document.mark((*path, "file")))
            yield from draft.cards.read()


def _whole(draft: Draft) -> Config:
    made: dict[str, Any] = {}
    for (name, *rest), part in draft.parts.items():
        if not rest:
            made[str(name)] = part
        elif isinstance(rest[0], int):
            made.setdefault(str(name), []).append(part)
        else:
            made.setdefault(str(name), {})[rest[0]] = part
    if draft.cards is not None:
        own: CredentialsConfig = made["credentials"]
        made["credentials"] = own.model_copy(update={"list": (*own.list, *draft.cards.entries.values())})
    return Config.model_validate(made)
