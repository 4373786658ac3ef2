"""What of an event may leave for an uplink, as data: the built-in profiles (profiles.yaml) and those of a site."""

from collections.abc import Mapping
from functools import cached_property
from importlib.resources import files
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints
from ruamel.yaml import YAML

from gateway.fields import Model

EVERY_FIELD = "*"
DEPTHS = ("building", "unit", "floor", "room")  # levels of a place's path (contract, section 1)
FieldPath = Annotated[str, StringConstraints(pattern=r"^(\*|[a-z][a-z0-9_]*(\.[A-Za-z0-9_.-]+)?)$")]
Shown = Literal["none", "keyed", "clear"]


class Why(Model):
    """A sentence for the public page."""

    en: str
    zh: str


class Profile(Model):
    """What passes. What is not named does not."""

    why: Why | None = Field(default=None, description="why this department gets that: en: and zh:, for /public")
    fields: tuple[FieldPath, ...] = Field(
        default=(), description='names in `data` that pass, e.g. place, values, part.text; "*" for all'
    )
    without: tuple[FieldPath, ...] = Field(default=(), description="names that do not pass nevertheless")
    credentials: Shown = Field(default="none", description="of cards: nothing, keyed references, or clear numbers")
    operators: Shown = Field(default="none", description="of those who act: nothing, keyed references, or names")
    place: Literal["building", "unit", "floor", "room"] = Field(default="room", description="how deep a place is told")

    @cached_property
    def plain(self) -> bool:
        """An event without a credential passes as it is."""
        whole = EVERY_FIELD in self.fields and not self.without
        return whole and self.operators == "clear" and self.place == DEPTHS[-1]

    @cached_property
    def levels(self) -> int:
        """Of a place's path that pass."""
        return DEPTHS.index(self.place) + 1

    @cached_property
    def _within(self) -> Mapping[str, frozenset[str]]:
        return MappingProxyType(_by_name(self.fields))

    @cached_property
    def _barred(self) -> Mapping[str, frozenset[str]]:
        return MappingProxyType(_by_name(self.without))

    def passes(self, name: str) -> bool:
        """Does anything of this field of `data` pass?"""
        return (EVERY_FIELD in self._within or name in self._within) and "" not in self._barred.get(name, ())

    def part_of(self, name: str, value: Any) -> Any:
        """What passes of a field that passes: of an object those of its fields that are named, if any are."""
        if not isinstance(value, dict):
            return value
        wanted, barred = self._within.get(name, frozenset({""})), self._barred.get(name, ())
        return {inner: v for inner, v in value.items() if ("" in wanted or inner in wanted) and inner not in barred}


def _by_name(paths: tuple[str, ...]) -> dict[str, frozenset[str]]:
    """`part.text` → {"part": {"text"}}; a whole field has "" among its parts."""
    found: dict[str, set[str]] = {}
    for path in paths:
        name, _, inner = path.partition(".")
        found.setdefault(name, set()).add(inner)
    return {name: frozenset(inner) for name, inner in found.items()}


def _built_in() -> dict[str, Profile]:
    told = YAML(typ="safe", pure=True).load((files("gateway") / "profiles.yaml").read_text("utf-8"))
    return {name: Profile.model_validate(profile) for name, profile in told.items()}


BUILT_IN: Mapping[str, Profile] = MappingProxyType(_built_in())
