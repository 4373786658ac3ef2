"""The drivers' contract: the one page of the gateway that a driver reads.

A driver is one file in `drivers/`: a docstring (protocol, edition, clauses), a frozen `Config`, pure `decode`, one
coroutine `run(line, link)` and `DRIVER = Driver(...)`. Devices that share a bus share one `run`. The driver raises
(`gateway.errors`); the supervisor decides what happens next. Nothing is acknowledged to a device before
`await link.emit(...)` has returned: then it is on disk.
"""

import importlib
import logging
import pkgutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pydantic import ValidationError

from gateway.clock import Clock
from gateway.errors import Text
from gateway.event import NOTHING, Credential, Json, Phase, Reading, nothing, part_key
from gateway.explain import explain
from gateway.fields import BusConfig, DeviceConfig, Model, Wrong
from gateway.rulecheck import Catalogue, Trade
from gateway.yamlmarks import read

ENTRY_POINTS = "community_gateway.drivers"  # where third parties name theirs
C = TypeVar("C", bound=DeviceConfig)
M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Line(Generic[C]):
    """What one `run` serves: one bus with its devices, or one device of its own."""

    name: str  # the bus's name in the config, else the device's id
    bus: BusConfig | None
    devices: tuple[C, ...]


@dataclass(frozen=True)
class Command:
    """Something a device is to do; `action` and `args` as in the contract, section 4."""

    id: str
    device: str
    action: str
    args: Mapping[str, Json] = field(default_factory=nothing)


@dataclass(frozen=True)
class Picture:
    """What a device photographed when it was told to. Never part of an event."""

    body: bytes = field(repr=False)
    content_type: str  # image/jpeg, image/png


@dataclass(frozen=True)
class Outcome:
    """What became of a command. `code`: `ok`, or `bad-arguments`, `device-offline`, `device-refused`, `timeout`, …

    `result` is what the reply says; a picture goes beside it, as it is too large for JSON. `said` is the message in
    both languages, where it is ours and not the device's.
    """

    code: str = "ok"
    message: str = ""
    result: Mapping[str, Json] = field(default_factory=nothing)
    picture: Picture | None = None
    said: Text | None = None


@dataclass(frozen=True)
class Posted:
    """A request that a device sent to `/ingest/{device}`, its token already checked."""

    body: bytes
    content_type: str
    token_in_url: bool = False  # the token came as ?token=, which logs and proxies may keep


@dataclass(frozen=True)
class Answer:
    """What the device gets back: an HTTP status and a JSON object."""

    status: int
    body: Mapping[str, Json]


@dataclass(frozen=True)
class Decision:
    """What the local list says of a credential at a door; `reason` is one of the contract's denial reasons.

    `data` stands in the event's `data` as well.
    """

    granted: bool
    reason: str | None = None
    data: Mapping[str, Json] = field(default_factory=nothing)


Handler = Callable[[Command], Awaitable[Outcome]]
Intake = Callable[[Posted], Awaitable[Answer]]


class Link(Protocol):
    """All that a driver can reach."""

    clock: Clock
    log: logging.LoggerAdapter[logging.Logger]

    async def emit(self, *readings: Reading) -> list[str]:
        """Returns after the commit, with one event id per reading. StorageError: nothing of it was accepted."""

    async def seen(self, device: str) -> None:
        """The device answered. Tells `device.offline` as cleared if it was told before. Cheap when nothing changed."""

    async def lost(self, device: str, reason: str, raw: Mapping[str, Json] = NOTHING) -> None:
        """The device does not answer. Raises `device.offline` once; `reason` is a word like `no-answer`."""

    def active(self, device: str) -> frozenset[tuple[str, str | None]]:
        """Conditions now open on the device, as (type, part address), as they stand on disk, also after a restart."""

    def decide(self, door: str, credential: Credential) -> Decision:
        """May this credential open this door now? By the local list; works with no uplink."""

    def handle(self, device: str, actions: Sequence[str], handler: Handler) -> AbstractContextManager[None]:
        """While the block lasts, commands to `device` with one of `actions` go to `handler`."""

    def intake(self, device: str, token: str, intake: Intake) -> AbstractContextManager[None]:
        """While the block lasts, what is posted to `/ingest/{device}` with this token goes to `intake`."""

    def keep(self, name: str, secret: bytes) -> None:
        """Store a secret (mode 0600, fsynced) before it is used; StorageError when that fails."""

    def kept(self, name: str) -> bytes | None:
        """The secret stored under `name`, or None."""


@dataclass(frozen=True)
class Example:
    """A golden frame: one device's config (without id, driver and place), bytes on the wire, what they mean."""

    title: str
    config: Mapping[str, Any]
    wire: bytes
    readings: tuple[Reading, ...]  # with device="example"


@dataclass(frozen=True)
class Finding:
    """One thing that was found on a device by its description: what is read where, and what it means."""

    name: str  # of the value; empty where the request itself failed
    where: str
    raw: str
    value: str
    meaning: Text
    good: bool = True  # answered and understood


@dataclass(frozen=True)
class Trial:
    """How a description of devices (a file, or a name) is tried out; nothing is written. Wrong: it is wrong."""

    explain: Callable[[str, Mapping[str, Any]], list[Text]]  # description, further keys of the device
    run: Callable[[str, BusConfig, Mapping[str, Any], Clock, int | None], AsyncIterator[list[Finding]]]  # rounds


@dataclass(frozen=True)
class Found:
    """Something that answered a search: what it says of itself, and how it would stand in gateway.yaml."""

    where: str  # as the installer knows it: `/dev/ttyUSB0, 9600 8N1, address 5`; `192.0.2.17:80`
    what: Text  # as far as it told: vendor, model, firmware
    device: Mapping[str, Any]  # its keys under `devices:`, without what only the installer knows (id, place, password)
    bus: Mapping[str, Any] | None = None  # of one on a line, the keys under `buses:`; those with equal ones share a bus


@dataclass(frozen=True)
class Search:
    """A search for devices, ready to run. It reads only: no device's state or setting changes by it."""

    steps: int  # what is tried, one after another or at once, each about as long
    longest_s: float  # how long all of it takes where nothing answers
    run: Callable[[], AsyncIterator[Found | None]]  # None after each step; Unreachable: no such line or network


@dataclass(frozen=True)
class Proof:
    """What a driver rests on, for docs/drivers.md."""

    edition: str  # of the protocol or the vendor's document, with clauses
    shown: Mapping[str, str]  # a peer that we did not write, or vectors of a standard → the test file that shows it
    never_met: str  # hardware that it was not tried on


@dataclass(frozen=True)
class Driver(Generic[C]):
    """What a driver's file offers. `decode` is pure: one message of the wire → readings; BadInput where it is none."""

    title: str
    Config: type[C]
    run: Callable[[Line[C], Link], Awaitable[None]]
    decode: Callable[[C, bytes], Sequence[Reading]]
    examples: tuple[Example, ...] = ()
    kind: str = "device"  # of a device that names none itself
    actions: tuple[str, ...] = ()  # commands its devices may take
    takes: Callable[[C], tuple[str, ...]] | None = None  # those of `actions` that one device takes; None: all
    quiet_s: Callable[[Line[C]], float] | None = None  # see gateway.pulse; None: it may wait for the world for ever
    proof: Proof | None = None  # third parties may leave it out
    trial: Trial | None = None  # of drivers whose devices are described by files of their own


class Registry(Mapping[str, Driver[Any]]):
    """Every driver by name: the files of `drivers/` without an underscore, and third parties' entry points.

    A driver is imported when it is asked for: a box loads only those that its devices need. Wrong: it cannot be.
    """

    def __init__(self) -> None:
        import drivers

        modules = pkgutil.iter_modules(drivers.__path__)
        self._modules = {m.name for m in modules if not m.name.startswith("_") and not m.ispkg}
        self._points = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
        self._loaded: dict[str, Driver[Any]] = {}

    def __getitem__(self, name: str) -> Driver[Any]:
        if name not in self._loaded:
            if name in self._points:
                self._loaded[name] = _of_others(self._points[name])
            elif name in self._modules:
                self._loaded[name] = importlib.import_module(f"drivers.{name}").DRIVER
            else:
                raise KeyError(name)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._modules | set(self._points)))

    def __len__(self) -> int:
        return len(self._modules | set(self._points))

    def __contains__(self, name: object) -> bool:
        return name in self._modules or name in self._points

    def models(self) -> Catalogue:
        """The model of each driver's devices, by the driver's name; imported when asked for, too."""
        return _Models(self)


def _of_others(point: EntryPoint) -> Driver[Any]:
    """A third party's. Wrong says why it cannot be used."""
    try:
        found = point.load()
    except (ImportError, AttributeError, SyntaxError) as error:
        why = f"{point.value}: {error}"
        raise Wrong(f"this driver cannot be loaded: {why}", f"无法加载该驱动:{why}") from error
    if isinstance(found, Driver):
        return found
    raise Wrong(f"{point.value} is no Driver of gateway.driver", f"{point.value} 不是 gateway.driver 的 Driver")


class _Models(Catalogue):
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __getitem__(self, name: str) -> type[DeviceConfig]:
        found: type[DeviceConfig] = self._registry[name].Config
        return found

    def trade_of(self, name: str) -> Trade:
        """As the driver says."""
        return Trade(self._registry[name].kind, self._registry[name].actions)

    def __iter__(self) -> Iterator[str]:
        return iter(self._registry)

    def __len__(self) -> int:
        return len(self._registry)

    def __contains__(self, name: object) -> bool:
        return name in self._registry


def registry() -> Registry:
    """The drivers there are."""
    return Registry()


def news(link: Link, readings: Iterable[Reading]) -> list[Reading]:
    """What changes something: conditions that begin or end by what is open on disk, and each happening.

    For devices that say again and again how they stand: told as it comes, each time would be a new alarm.
    """

    def standing(told: Reading) -> Phase:
        is_open = (told.type, part_key(told.part) or None) in link.active(told.device)
        return Phase.RAISE if is_open else Phase.CLEAR

    return [reading for reading in readings if reading.phase is not standing(reading)]


def offset_time(text: str) -> datetime | None:
    """An ISO 8601 time as a device sent it; None where it makes no sense (no offset, zeros, not of this century)."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return moment if moment.tzinfo is not None and 2000 <= moment.year < 2100 else None


def read_data(file: Path, model: type[M]) -> M:
    """A YAML file that a device's configuration names. Wrong: all that is wrong with it, by file, line and column."""
    document = read(file)
    problems = document.problems
    if not problems:
        try:
            return model.model_validate(document.value, context={"base": file.parent})
        except ValidationError as exc:
            problems = list(explain(document, (), model, exc))
    raise Wrong(*("; ".join(problem.say(language) for problem in problems) for language in Text._fields))
