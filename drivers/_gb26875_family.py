"""One transmission device and what behind it is declared as devices of their own. (An underscore: no driver.)"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from drivers._gb26875_config import Config
from drivers._gb26875_unit import Fields, hexadecimal, number, text
from gateway.event import Json

SYSTEM_DIGITS, PART_DIGITS = 4, 8  # of a `part` that is a system (type, address), of one that is a part
Key = tuple[str, str | None]  # device, part


class Place(NamedTuple):
    """Whom an object is about: the device in gateway.yaml, and the part behind it."""

    config: Config
    part: Mapping[str, Json] | None
    system: bytes  # type and address; empty: the transmission device itself
    type: int | None  # of the part
    raw: dict[str, Json]  # the numbers on the wire

    @property
    def key(self) -> Key:
        """What there is one status word of."""
        return self.config.id, None if self.part is None else str(self.part["address"])

    def behind(self, address: str) -> "Place":
        """Something behind the device that has no number of its own."""
        return self._replace(part={"address": address})


@dataclass(frozen=True)
class Family:
    """`parts` by their `part`: 4 digits a system, 8 a part, 12 a part of a certain system."""

    main: Config
    parts: Mapping[str, Config] = field(default_factory=dict)

    @property
    def devices(self) -> tuple[Config, ...]:
        """All of them, the transmission device first."""
        return (self.main, *self.parts.values())

    def place(self, fields: Fields) -> Place:
        """Whom these fields are about: the device that is declared for exactly that, else for the system, else all."""
        if "system" not in fields:
            return Place(self.main, None, b"", None, {})
        system = fields["system"] + fields["system_address"]
        raw: dict[str, Json] = {"system": system[0], "system_address": system[1]}
        name = hexadecimal(system)
        panel = self.parts.get(name)
        if "address" not in fields:
            part: dict[str, Json] = {"system": system[0], "address": name}
            return Place(panel or self.main, None if panel else part, system, None, raw)
        address = hexadecimal(fields["address"])
        kind = number(fields["part"])
        part = {"system": system[0], "type": kind, "address": address, **self.main.numbers(fields["address"])}
        called = text(fields.get("text", b""))
        part |= {"text": called} if called else {}
        own = self.parts.get(name + address) or self.parts.get(address)
        raw |= {"part": kind, "address": address}
        raw |= {"text": called} if called and own else {}
        return Place(own or panel or self.main, None if own else part, system, kind, raw)

    def within(self, system: bytes, key: Key, place: Place | None, type: str) -> bool:
        """Does a reset of the system (empty: at the transmission device) end this condition?"""
        device, part = key
        if not system:  # what the device says of itself stands in its own word
            return (device, part) != (self.main.id, None) or type.startswith("fire.")
        if device == self.main.id and part is None:
            return False
        if place is not None:
            return place.system == system
        config = next(config for config in self.devices if config.id == device)
        named = (part or config.part or "", config.part or "")
        return all(len(name) == PART_DIGITS or name[:SYSTEM_DIGITS] in ("", hexadecimal(system)) for name in named)


def families(configs: Iterable[Config]) -> tuple[list[Family], list[Config]]:
    """The transmission devices with their parts, and the parts whose device is missing."""
    mains = {_known_by(config): Family(config, {}) for config in configs if config.part is None}
    strays = []
    for config in configs:
        family = mains.get(_known_by(config))
        if config.part is not None and family is None:
            strays.append(config)
        elif config.part is not None and family is not None:
            mains[_known_by(config)] = Family(family.main, {**family.parts, config.part: config})
    return list(mains.values()), strays


def _known_by(config: Config) -> tuple[object, ...]:
    """A part is behind the device with its address; without one, behind the device with its peers."""
    return (config.address,) if config.address is not None else tuple(sorted(config.peers))
