"""The community as configured, never changing while the daemon runs: places, devices, topics; and its digital file."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from gateway.canonical import sha256_hex
from gateway.clock import rfc3339
from gateway.config import Config
from gateway.event import NOTHING, Severity
from gateway.fields import DeviceConfig
from gateway.scope import Spot, World
from gateway.sections import RoomConfig, UplinkConfig

KIND = "device"  # of a device for which neither its entry nor its driver names one
_UNITS_S = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


class Place(NamedTuple):
    """A place by its path, in words, with the grid of the nearest level that has one."""

    path: str
    label: str
    grid: str | None = None

    def document(self) -> dict[str, str]:
        """As it stands in events and the dossier: without what it does not have."""
        return {name: value for name, value in self._asdict().items() if value is not None}


class Site:
    """`kinds` gives the kind of a driver's devices that name none themselves, by the driver's name."""

    def __init__(self, config: Config, kinds: Mapping[str, str] = NOTHING) -> None:
        self.config = config
        self._kinds = kinds
        self._places = {place.path: place for place in _places(config.site.places, Place("", "", config.site.grid))}
        self._devices = {device.id: device for device in config.devices}

    @property
    def places(self) -> tuple[Place, ...]:
        """Every place, buildings before what is in them."""
        return tuple(self._places.values())

    @property
    def devices(self) -> tuple[DeviceConfig, ...]:
        """Every device, in the order of the configuration."""
        return self.config.devices

    def place(self, path: str) -> Place:
        """KeyError where there is none."""
        return self._places[path]

    def device(self, device: str) -> DeviceConfig:
        """KeyError where there is none."""
        return self._devices[device]

    def kind(self, device: str) -> str:
        """What the device is: its own word, else its driver's."""
        found = self._devices[device]
        return found.kind or self._kinds.get(found.driver, KIND)

    def place_data(self, device: str) -> dict[str, str]:
        """`data.place` of the device's events (contract, section 3)."""
        return self.place(self._devices[device].place).document()

    def place_of(self, subject: str) -> dict[str, dict[str, str]]:
        """`{"place": …}` of a device; empty for the gateway itself and what is configured no more."""
        return {"place": self.place_data(subject)} if subject in self._devices else {}

    def world(self) -> World:
        """Every device as rules see it."""
        return {device.id: Spot(self.kind(device.id), device.place) for device in self.devices}

    def same_building(self, device: str) -> tuple[str, ...]:
        """The other devices of the building (or spot) that the device stands in."""
        building = _building(self._devices[device])
        return tuple(d.id for d in self.devices if d.id != device and _building(d) == building)

    @property
    def source(self) -> str:
        """`source` of every event: `/{district}/{street}/{community}/{gateway}`."""
        area = self.config.site.area
        return f"/{area.district}/{area.street}/{area.community}/{self.config.gateway.id}"

    def base(self, root: str) -> str:
        """BASE of an uplink's topics (contract, section 2)."""
        return root + self.source


def _building(device: DeviceConfig) -> str:
    return device.place.partition("/")[0]


def _places(level: Mapping[str, RoomConfig], above: Place) -> Iterator[Place]:
    for name, room in level.items():
        place = Place(f"{above.path}/{name}".lstrip("/"), above.label + room.label, room.grid or above.grid)
        yield place
        for inside in ("units", "floors", "rooms"):
            yield from _places(getattr(room, inside, NOTHING), place)


def dossier(
    site: Site,
    revision: int,
    time: datetime,
    capabilities: Mapping[str, Sequence[str]],
    uplink: str,
    tested: Mapping[str, str] = NOTHING,
) -> dict[str, Any]:
    """The community's digital file (建档立卡) for one uplink, which sees its own entry of `sharing` only.

    `capabilities` are the commands each device takes, by its id; `tested` when each was last seen tested (a date).
    `sha256` is over the RFC 8785 form of all but `revision`, `sha256` and `time`, so that whoever has the same content
    has the same digest.
    """
    content = _without_nothing(_content(site, capabilities, uplink, tested))
    return {"revision": revision, "sha256": sha256_hex(content), "time": rfc3339(time), **content}


def _content(
    site: Site, capabilities: Mapping[str, Sequence[str]], uplink: str, tested: Mapping[str, str]
) -> dict[str, Any]:
    config = site.config
    entry = config.uplinks[uplink]
    responsibility = {
        pattern: item.model_dump(mode="json", exclude_defaults=True) for pattern, item in config.responsibility.items()
    }
    return {
        "area": {**config.site.area.model_dump(), "name": config.site.name},
        "site": {"name": config.site.name, "grid": config.site.grid, "external_ids": config.site.external_ids},
        "places": [place.document() for place in site.places],
        "devices": [
            _device(site, device, capabilities.get(device.id, ()), tested.get(device.id, "")) for device in site.devices
        ],
        "responsibility_sha256": sha256_hex(responsibility) if responsibility else None,
        "retention": {
            "events": duration_text(config.gateway.buffer.max_age),
            "buffer_bytes": config.gateway.buffer.max_size,
        },
        "sharing": [_sharing(uplink, entry)],
    }


def _sharing(name: str, uplink: UplinkConfig) -> dict[str, Any]:
    """What the uplink gets; what is not limited is left out."""
    return {
        "uplink": name,
        "types": list(uplink.types),
        "redact": uplink.redact,
        "places": list(uplink.places) or None,
        "severity": None if uplink.severity is Severity.INFO else uplink.severity.value,
        "keep": None if uplink.keep is None else duration_text(uplink.keep),
    }


def _device(site: Site, device: DeviceConfig, capabilities: Sequence[str], tested: str) -> dict[str, Any]:
    known = device.model_dump(mode="json", include={"id", "driver", "place", "make", "model", "installed", "tested"})
    known["tested"] = max(known["tested"] or "", tested) or None
    return {**known, "kind": site.kind(device.id), "capabilities": list(capabilities)}


def _without_nothing(value: Any) -> Any:
    """Fields without a value are left out (contract, section 10)."""
    if isinstance(value, dict):
        return {name: _without_nothing(item) for name, item in value.items() if item is not None}
    return [_without_nothing(item) for item in value] if isinstance(value, list) else value


def duration_text(seconds: float) -> str:
    """Seconds as in gateway.yaml: 2592000.0 → `30d`, 90.0 → `90s`."""
    step, unit = next(((step, unit) for step, unit in _UNITS_S if seconds >= step and seconds % step == 0), (1, "s"))
    return f"{seconds / step:.12g}{unit}"
