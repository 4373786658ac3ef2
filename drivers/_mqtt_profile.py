"""MQTT profiles: what the topics and the JSON of a kind of hub mean, as data. (An underscore: no driver.)

A profile is a YAML file. Its `topics` are looked through from the top, the first that fits decides: what says whether a
device or the hub itself is there (`presence`), what lists the devices (`inventory`), what a device reports (`report`
names one of `maps`), what is a mere sign of life (`alive`); anything else is left alone. A map says which fields are
conditions, values, happenings and times, and which are carried through under `data.raw`.
"""

import json
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, field_validator, model_validator

from drivers._mapping import Lookup, Mapped, Path
from drivers._mqtt_topics import Pattern
from drivers._shelf import Shelf
from drivers._types import condition_type, device_type
from gateway.errors import Text
from gateway.fields import Duration, Model, Wrong

FOLDER = FilePath(__file__).parent / "profiles" / "mqtt"
MOST_FIELDS = 64  # of each kind in a map


def word(value: Any) -> str:
    """A scalar as it is compared: true, on, 1; JSON's words and devices' capitals alike."""
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value.strip().lower() if isinstance(value, str) else json.dumps(value)


def _words(given: Any) -> Any:
    listed = given if isinstance(given, (list, tuple)) else [given]
    return [word(one) if isinstance(one, (bool, int, float, str)) else one for one in listed]


Words = Annotated[tuple[str, ...], BeforeValidator(_words, json_schema_input_type=list[bool | float | str])]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.:/-]{0,62}$")]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Scalar = bool | int | float | str
ON: tuple[str, ...] = ("true", "on", "1", "yes", "active", "alarm", "open")
OFF: tuple[str, ...] = ("false", "off", "0", "no", "inactive", "normal", "closed")


class Missing(Model):
    """What a field that is not there means."""

    default: Scalar | None = Field(None, description="what it means where it is left out; without: nothing is said")
    unless: tuple[Path, ...] = Field((), description="says nothing while one of these is true")


class Meaning(Missing):
    """A field that shows a condition: it begins with one of `on`, ends with one of `off`, or by a threshold."""

    type: str = Field(description="event type, e.g. fire.smoke or door.open")
    on: Words = Field(ON, description="values that mean that it is so")
    off: Words = Field(OFF, description="values that mean that it is not; any other is told as not understood")
    below: float | None = Field(None, description="so from this number down; over again at below + hysteresis")
    above: float | None = Field(None, description="so from this number up; over again at above - hysteresis")
    hysteresis: float = Field(0.0, ge=0)
    reason: Reason | None = None
    part: Reason | None = Field(None, description="which part of the device, where it has several of a type")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {"type": given} if isinstance(given, str) else given

    @field_validator("type")
    @classmethod
    def _known(cls, name: str) -> str:
        return condition_type(name)

    @model_validator(mode="after")
    def _one_way(self) -> "Meaning":
        if self.below is not None and self.above is not None:
            raise Wrong("either below: or above:", "below: 与 above: 只能写一个")
        if set(self.on) & set(self.off) and self.below is None and self.above is None:
            both = ", ".join(sorted(set(self.on) & set(self.off)))
            raise Wrong(f"{both} stands under on: and under off:", f"{both} 同时出现在 on: 和 off: 中")
        return self


class Measured(Missing):
    """A field that is a value: number × scale + offset with its unit; true, false and words as they are."""

    path: Path | None = Field(None, description="where it stands; without: under its name")
    unit: str = Field("", max_length=32)
    scale: float = 1.0
    offset: float = 0.0
    dead_band: float = Field(0.0, ge=0, description="a smaller change than this is none")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {"unit": given} if isinstance(given, str) else given


class Kept(Model):
    """A field that is carried through under `data.raw`."""

    path: Path
    default: Scalar | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {"path": given} if isinstance(given, str) else given


class Clocked(Model):
    """When it happened, by the device's own clock."""

    path: Path
    form: Literal["iso", "local", "epoch", "epoch-ms", "any"] = Field(
        "iso", description="ISO 8601 with offset; without (zone: of the device); seconds; milliseconds; any of them"
    )


class Happening(Model):
    """A field, or each item of a list, that says that something happened; what it means is looked up."""

    each: Path | None = Field(None, description="a list; the paths below begin in its items")
    at: Path = Field(description="where it must stand; empty or missing: nothing happened")
    map: Mapped
    momentary: bool = Field(False, description="a condition that begins is over at once, as with a button")

    @model_validator(mode="after")
    def _device_types(self) -> "Happening":
        for name in self.map.type.results():
            device_type(name)
        return self


class Activity(Model):
    """Something with an id that begins, goes on and ends: the condition holds while one of that camera lasts."""

    id: Path
    type: Lookup = Field(description="where the type is looked up; null: no notice is taken")
    ended: Lookup = Field(description="gives `end` when it is over")
    hold: Duration = Field(600.0, description="without a word for so long it is over as well")

    @field_validator("type")
    @classmethod
    def _conditions(cls, lookup: Lookup) -> Lookup:
        for name in lookup.results():
            condition_type(name)
        return lookup


class Map(Model):
    """What the fields of a report mean."""

    needs: Path | None = Field(None, description="what must stand in it; else it is not this kind of report")
    at: Path | None = Field(None, description="the object that the paths of conditions and values begin in")
    conditions: dict[Path, Meaning] = Field(default_factory=dict, max_length=MOST_FIELDS)
    values: dict[Name, Measured] = Field(default_factory=dict, max_length=MOST_FIELDS)
    others: Path | None = Field(None, description="an object; its further numbers and words become values too")
    happenings: tuple[Happening, ...] = Field((), max_length=16)
    activity: Activity | None = None
    time: Clocked | None = None
    last_heard: Clocked | None = Field(None, description="when the hub heard the device, where it repeats old reports")
    test: Path | None = Field(None, description="true: what is reported beside it is a test")
    key: Path | None = Field(None, description="the report's own key: a second one with the same is a repetition")
    raw: tuple[Kept, ...] = Field((), max_length=MOST_FIELDS)
    unwrap: Name | None = Field(None, description="where a field is an object, the field in it that counts")
    tell_all: bool = Field(False, description="a report of which nothing is understood is told as device.unmapped")

    @model_validator(mode="after")
    def _told_apart(self) -> "Map":
        keys = [(meaning.type, meaning.part) for meaning in self.conditions.values()]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise Wrong(f"two fields show {twice[0]}: give each a part:", f"有两个字段都表示 {twice[0]}:请各写 part:")
        return self


class Presence(Model):
    """What says whether a device, or the hub, is there: plain text or a field of JSON."""

    path: Path | None = Field(None, description="where the payload is an object")
    online: Words = ("online", "true")
    offline: Words = ("offline", "false")


class Inventory(Model):
    """A list of devices: names that topics have, and addresses that stay when a device is renamed."""

    name: Path
    address: Path
    about: tuple[Path, ...] = Field((), description="what people recognise it by: maker, model")
    skip: Lookup | None = Field(None, description="gives `skip` for what is no device, e.g. the coordinator")


class Topic(Model):
    """What is said under one topic."""

    topic: Pattern
    about: Literal["device", "hub"] = "device"
    device: Path | None = Field(None, description="where the device stands in the payload, and not in the topic")
    under: str | None = Field(None, description="the payload is one field, of this name; {name}: of that level")
    presence: Presence | None = None
    inventory: Inventory | None = None
    report: str | None = Field(None, description="which of maps:")
    alive: bool = Field(False, description="a mere sign of life")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {"topic": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _whose(self) -> "Topic":
        ways = [self.presence is not None, self.inventory is not None, self.report is not None, self.alive]
        if sum(ways) > 1:
            raise Wrong("one of presence, inventory, report, alive", "presence、inventory、report、alive 只能写一个")
        named = "{device}" in self.topic or "{device*}" in self.topic or self.device is not None
        if any(ways) and self.about == "device" and self.inventory is None and not named:
            raise Wrong(
                "whose it is must stand in the topic as {device} or in the payload (device:); else about: hub",
                "主题中需要 {device},或用 device: 指明在报文中的位置;否则写 about: hub",
            )
        return self

    @property
    def wanted(self) -> bool:
        """Is it to be heard at all?"""
        return self.alive or self.presence is not None or self.inventory is not None or self.report is not None


class Title(Model):
    """What people read."""

    en: str
    zh: str


class Profile(Model):
    """A kind of hub."""

    title: Title
    source: str = Field(min_length=10, description="where this is written")
    confidence: Literal["certain", "single-source", "memory"]
    base: str = Field("", pattern=r"^[^+#{}]*$", description="first levels of every topic, where the hub says none")
    offline_after: Duration | None = Field(None, description="silence that means a device is offline")
    follow: bool = Field(False, description="its devices are there as long as the hub is")
    hint: Title | None = Field(None, description="what to do where payloads cannot be read")
    topics: tuple[Topic, ...] = Field(min_length=1, max_length=MOST_FIELDS)
    maps: dict[str, Map] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> "Profile":
        strange = next((topic.report for topic in self.topics if topic.report not in (None, *self.maps)), None)
        if strange is not None:
            raise Wrong(f'there is no map "{strange}" under maps:', f'maps: 下没有 "{strange}"')
        if not any(topic.wanted for topic in self.topics):
            raise Wrong("no topic says anything", "没有任何主题有含义")
        return self

    @property
    def lists_devices(self) -> bool:
        """Does the hub say itself which devices it has?"""
        return any(topic.inventory is not None for topic in self.topics)

    @property
    def tells_presence(self) -> bool:
        """Does the hub say itself whether it is there?"""
        return any(topic.presence is not None and topic.about == "hub" for topic in self.topics)


SHELF = Shelf(FOLDER, Profile, Text("profile", "模板"))
known, locate, load = SHELF.known, SHELF.locate, SHELF.load
