"""The documents that go up, as models: an event (contract, section 3); status, state, alarm, health, dossier (2).

Known fields are checked strictly, unknown ones are let through: readers ignore what they do not know. A field without
a value is left out; only a temperature may be null. The schemas in `gateway.schemas` are made from these models.
"""

from collections.abc import Callable, Collection
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from gateway.clock import TimeQuality
from gateway.event import Phase, Severity
from gateway.fields import ID_PATTERN
from gateway.taxonomy import DENIALS, TYPES

UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"  # RFC 9562
UUID7 = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"  # RFC 9562, 5.7
UTC = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"  # RFC 3339, milliseconds
SHA256 = r"^[0-9a-f]{64}$"
PLACE = r"^[a-z0-9-]+(/[a-z0-9-]+){0,3}$"


def _one_of(closed: Collection[str]) -> Callable[[str], str]:
    def check(word: str) -> str:
        if word not in closed:
            raise ValueError(f"{word!r} is not of the closed list")
        return word

    return check


Uuid7 = Annotated[str, Field(pattern=UUID7)]
Uuid = Annotated[str, Field(pattern=UUID)]
Time = Annotated[str, Field(pattern=UTC, examples=["2026-11-23T10:06:19.123Z"])]
Name = Annotated[str, Field(pattern=ID_PATTERN)]
Sequence = Annotated[str, Field(pattern=r"^[0-9]{16}$", examples=["0000000000000042"])]
Stream = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}\.(alarm|event|telemetry)$")]
Type = Annotated[str, AfterValidator(_one_of(TYPES)), Field(json_schema_extra={"enum": list(TYPES)})]
Denial = Annotated[str, AfterValidator(_one_of(DENIALS)), Field(json_schema_extra={"enum": list(DENIALS)})]
Grid = Annotated[str, Field(description="community grid code, 20 digits (CJ/T 349) or the city's own")]
Celsius = Annotated[float | None, WithJsonSchema({"type": ["number", "null"]})]


class Document(BaseModel):
    """Open for more fields, strict about known ones; nulls are an error where a value is merely absent."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _left_out(cls, given: Any) -> Any:
        empty = [k for k, v in given.items() if v is None and k != "temperature_c"] if isinstance(given, dict) else []
        if empty:
            raise ValueError(f"fields without a value are left out: {', '.join(empty)}")
        return given


class Place(Document):
    """Where: a path inside the community, building/unit/floor/room or a named spot."""

    path: Annotated[str, Field(pattern=PLACE, examples=["b3/u2/f5"])]
    label: Annotated[str, Field(description="the path in words, e.g. 3号楼2单元5层")]
    grid: Grid | None = None


class Measured(Document):
    """A measured value."""

    value: float | bool | str
    unit: Annotated[str | None, Field(description="as the device gives it, e.g. dB/m, °C, %LEL, ppm, V, mA")] = None


class GbCode(Document):
    """GB/T 26875.3: which status bit of which part, system or transmission device."""

    table: Annotated[str, Field(description="edition of GB/T 26875.3 whose numbers these are", examples=["2011"])]
    level: Literal["part", "system", "device"]
    system: Annotated[int | None, Field(ge=0, le=255, description="system type (GB/T 26875.3)")] = None
    part: Annotated[int | None, Field(ge=0, le=255, description="part type (GB/T 26875.3)")] = None
    bit: Annotated[int, Field(ge=0, le=15, description="status bit; bit 0 is inverted: 0 is test")]


class Codes(Document):
    """The event's numbers in other people's tables."""

    contact_id: Annotated[int | None, Field(alias="contact-id", ge=100, le=999, description="SIA DC-05 code")] = None
    gb: Annotated[GbCode | None, Field(alias="gb26875.3")] = None


class CredentialRef(Document):
    """What was presented at a door, as a reference that only this uplink can join."""

    ref: Annotated[
        str,
        Field(
            pattern=r"^hmac-sha256:[A-Za-z0-9_-]{43}$",
            description="HMAC-SHA256 over {format}:{facility}:{number} with a key of this uplink, base64url",
        ),
    ]
    kind: Annotated[str, Field(description="card, pin, face, qr, phone")]
    format: Annotated[str, Field(examples=["wiegand-26"])]
    facility: Annotated[int | None, Field(description="only where the uplink's policy is clear")] = None
    number: Annotated[int | None, Field(description="only where the uplink's policy is clear")] = None


class Part(Document):
    """A device behind the device: a part of a fire panel, a point of an input board."""

    system: Annotated[int | None, Field(ge=0, le=255, description="system type (GB/T 26875.3)")] = None
    type: Annotated[int | None, Field(ge=0, le=255, description="part type (GB/T 26875.3)")] = None
    address: Annotated[str | None, Field(description="as on the wire; 8 hexadecimal digits on a fire panel")] = None
    loop: int | None = None
    point: int | None = None
    text: Annotated[str | None, Field(description="what the panel calls it")] = None


class Data(Document):
    """What every event's `data` may hold; a type adds fields of its own."""

    place: Place | None = None
    alarm: Annotated[Uuid7 | None, Field(description="the alarm's uuid: the id of the event that opened it")] = None
    part: Part | None = None
    values: Annotated[dict[str, Measured] | None, Field(description="measured values by name")] = None
    codes: Codes | None = None
    reason: Annotated[str | None, Field(description="why, as a word", examples=["expired"])] = None
    credential: CredentialRef | None = None
    device_time: Annotated[Time | None, Field(description="what the device's own clock said")] = None
    test: Annotated[bool | None, Field(description="seen while the device was under test")] = None
    raw: Annotated[dict[str, Any] | None, Field(description="the vendor's own numbers")] = None


class DeniedData(Data):
    """`access.denied`: why the door stayed shut."""

    reason: Annotated[Denial, Field(description="denial reason, closed list")]


class GrantedData(Data):
    """`access.granted`: what the grant rests on."""

    clock: Annotated[
        Literal["unsynced"] | None,
        Field(description="the clock was not set; by the time it showed the card was not yet valid or out of hours"),
    ] = None


class LockoutData(Data):
    """`access.lockout` of the gateway itself: too many wrong passwords; `part.text` is a keyed reference."""

    who: Annotated[str | None, Field(description="the account, as operators are told")] = None
    address: Annotated[str | None, Field(description="from where the last wrong one came")] = None


class ClockData(Data):
    """`gateway.clock_bad`: what is wrong with the clock; a clear says nothing more."""

    reason: Annotated[
        str | None,
        Field(description="unsynced: nobody has set it for ten minutes; jumped: set, though it had been right"),
    ] = None
    offset_s: Annotated[float | None, Field(description="how far it was set, in seconds")] = None


class KeptPicture(Document):
    """A picture on the gateway's own disk; it leaves only where an uplink may fetch pictures."""

    ref: Annotated[str, Field(description="its name there")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]
    content_type: Annotated[str, Field(examples=["image/jpeg"])]


class ActionData(Data):
    """`gateway.action`: what a rule (or the end of a measure) did, and what came of it."""

    action: Annotated[str, Field(description="release, lock, output, snapshot, sound, suppress, …")]
    result: Annotated[str, Field(description="ok, or why not: a command's code, held-by-fire, yields-to:RULE")]
    rule: Annotated[str | None, Field(description="whose act it was")] = None
    cause: Annotated[Uuid7 | None, Field(description="the alarm, or the event, that made the rule act")] = None
    proof: Annotated[
        Literal["relay", "contact", "picture"] | None,
        Field(description="the device confirmed it; the door is seen open; the picture is kept"),
    ] = None
    picture: KeptPicture | None = None
    number: Annotated[int | None, Field(ge=0, description="of an output")] = None
    target: Annotated[str | None, Field(description="who was notified")] = None
    message: Annotated[str | None, Field(description="what the device said, where it failed")] = None


class DataLost(Document):
    """`gateway.data_lost`: numbers of a stream that will never come."""

    stream: Stream
    first: Sequence
    last: Sequence
    count: Annotated[int, Field(ge=1, description="events that will never come")]
    reason: Literal["buffer-full", "damaged", "refused", "restored"]


class OperatorData(Document):
    """`operator.*`: who did what, from where."""

    who: Annotated[
        str | None, Field(description="as the uplink's profile shows it: a name, a keyed reference, or not")
    ] = None
    role: str | None = None
    origin: Annotated[
        str, Field(alias="from", pattern=r"^(page|cli|device|uplink:.+|rule:.+)$", examples=["page", "uplink:district"])
    ]
    alarm: Uuid7 | None = None
    outcome: Literal["real", "false", "test", "drill", "other"] | None = None
    reason: str | None = None
    note: str | None = None


class Event(Document):
    """One event: CloudEvents 1.0, structured mode, UTF-8 JSON, at most 64 KiB."""

    specversion: Literal["1.0"]
    id: Annotated[Uuid7, Field(description="UUIDv7, made once; drop an id you have seen: each event exactly once")]
    source: Annotated[
        str,
        Field(
            pattern=r"^/[0-9]{6}/[0-9]{3}/[0-9]{3}/[a-z0-9][a-z0-9-]{0,62}$",
            description="/district/street/community/gateway (GB/T 2260, GB/T 10114)",
            examples=["/310104/013/002/gw-0001"],
        ),
    ]
    subject: Annotated[Name, Field(description="the device; for the gateway's own events the gateway")]
    type: Type
    time: Annotated[Time, Field(description="when it happened, UTC, milliseconds")]
    datacontenttype: Literal["application/json"]
    dataschema: Annotated[str, Field(pattern=r"^urn:sc:v1:[a-z]+\.[a-z_]+$", examples=["urn:sc:v1:fire.smoke"])]
    phase: Annotated[
        Phase, Field(strict=False, description="raise begins, clear ends, still told again, pulse no duration")
    ]
    severity: Annotated[Severity, Field(strict=False, description="GB/T 28181 AlarmPriority 1 to 4, and info")]
    stream: Annotated[Stream, Field(description="{uplink}.{lane}: what `sequence` counts in")]
    sequence: Annotated[Sequence, Field(description="16 digits, 1, 2, 3 … without a gap within the stream, for ever")]
    timequality: Annotated[TimeQuality, Field(strict=False, description="how far `time` can be trusted")]
    data: Data


class Status(Document):
    """Birth and last will, retained. A will carries the time of connecting."""

    state: Literal["online", "offline"]
    gateway: Name
    version: Annotated[str, Field(description="of the gateway's software")]
    boot: Annotated[Uuid, Field(description="new with every start of the daemon")]
    session: Annotated[int, Field(ge=1, description="counts this uplink's connections for ever")]
    time: Time


StateWord = Literal["normal", "alarm", "fault", "offline", "unknown", "shielded", "test"]


class State(Document):
    """A device's present state, retained."""

    device: Name
    online: bool
    state: Annotated[StateWord, Field(description="one word, first that fits: alarm, fault, shielded, test, offline")]
    alarms: Annotated[list[Type], Field(description="types active or latched")]
    values: Annotated[dict[str, Measured], Field(description="the last value of each measurement")]
    last_seen: Annotated[Time | None, Field(description="when the device last answered")] = None


class AlarmFlags(Document):
    """Separate, as OPC UA part 9 has them."""

    active: bool
    acknowledged: bool
    confirmed: Annotated[bool, Field(description="a person has said what it was")]
    latched: bool
    shelved: bool
    suppressed: bool
    out_of_service: Annotated[bool, Field(description="shielded")]
    silenced: bool


class AlarmStep(Document):
    """One line of an alarm's history."""

    time: Time
    step: Annotated[str, Field(examples=["raise", "clear", "silence", "ack", "dispose", "reset"])]
    who: str | None = None
    origin: Annotated[str | None, Field(alias="from", examples=["page", "cli", "uplink:district"])] = None
    note: str | None = None


class AlarmDelivery(Document):
    """What this uplink's broker has of the event that opened the alarm."""

    state: Literal["sending", "confirmed", "failed"]
    at: Annotated[Time | None, Field(description="when that was seen")] = None
    unconfirmed: Annotated[Literal[True] | None, Field(description="not confirmed 10 s after it began")] = None


AlarmWord = Literal[
    "active_unacked", "active_acked", "cleared_unacked", "latched", "shelved", "suppressed", "out_of_service", "normal"
]


class AlarmNow(Document):
    """An alarm's present flags and its history; retained until it is normal, then cleared by an empty message."""

    alarm: Annotated[Uuid7, Field(description="the id of the event that opened it")]
    device: Name
    type: Type
    severity: Annotated[Severity, Field(strict=False)]
    place: Annotated[Place | None, Field(description="of a device; absent for the gateway's own alarms")] = None
    part: Annotated[str | None, Field(description="part of the device that it is of")] = None
    state: Annotated[AlarmWord, Field(description="the one display word made from the flags")]
    flags: AlarmFlags
    count: Annotated[int, Field(ge=1, description="how often it was told")]
    first: Time
    last: Time
    test: bool
    delivery: AlarmDelivery | None = None
    history: Annotated[list[AlarmStep], Field(description="the first step, and the newest")]
    outcome: Annotated[str | None, Field(description="as disposed: real, false, test, drill, other")] = None
    first_fire: Annotated[Literal[True] | None, Field(description="the first of the present fires (首警)")] = None
    suppressed_by: Annotated[str | None, Field(description="the named cause")] = None
    until: Annotated[dict[Literal["shelved", "out_of_service"], Time] | None, Field(description="when it ends")] = None


class LaneHealth(Document):
    """One lane of one uplink."""

    backlog: Annotated[int, Field(ge=0, description="events that wait for the platform's confirmation")]
    oldest_s: Annotated[float | None, Field(ge=0, description="age of the oldest of them, seconds")] = None
    sent: Annotated[int, Field(ge=0, description="since the daemon's start")]
    confirmed: Annotated[int, Field(ge=0, description="since the daemon's start")]
    refused: Annotated[int, Field(ge=0, description="PUBACK reason codes from 0x80 up")]
    dropped: Annotated[int, Field(ge=0, description="lost for want of room")]
    dead: Annotated[int, Field(ge=0, description="set aside: the broker will never take them")]


class UplinkHealth(Document):
    """One uplink."""

    connected: bool
    since: Annotated[Time | None, Field(description="of this connection, or of its absence")] = None
    lanes: dict[Literal["alarm", "event", "telemetry"], LaneHealth]
    unconfirmed_alarms: Annotated[
        int | None, Field(ge=0, description="alarms whose opening event is not confirmed 10 s after it")
    ] = None


class ClockHealth(Document):
    """The gateway's clock."""

    quality: Annotated[TimeQuality, Field(strict=False)]
    offset_ms: Annotated[float | None, Field(description="as the kernel's NTP discipline estimates it")] = None


class Disk(Document):
    """The state folder's room, bytes."""

    used_bytes: Annotated[int, Field(ge=0)]
    limit_bytes: Annotated[int, Field(ge=0)]
    free_bytes: Annotated[int, Field(ge=0)]


class DriverHealth(Document):
    """One driver."""

    state: Literal["running", "retrying", "stopped"]
    devices: Annotated[int, Field(ge=0)]
    offline: Annotated[int, Field(ge=0)]


class AuditHealth(Document):
    """The newest line of the audit log, so that lines which are cut off at its end are missed."""

    count: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Health(Document):
    """How the gateway is, retained; on connecting and every 60 s. An uplink sees its own entry only."""

    gateway: Name
    time: Time
    uptime_s: Annotated[float, Field(ge=0, description="seconds since the daemon's start")]
    boot: Uuid
    version: str
    clock: ClockHealth
    uplinks: dict[str, UplinkHealth]
    disk: Disk
    cpu_percent: Annotated[float | None, Field(ge=0, description="of one core, by this process")] = None
    rss_bytes: Annotated[int, Field(ge=0, description="resident memory of this process")]
    temperature_c: Annotated[Celsius, Field(description="of the box, °C; null where it has no sensor")]
    drivers: dict[str, DriverHealth]
    audit: AuditHealth
    shielded: Annotated[int, Field(ge=0, description="devices and parts that are out of service")]
    shelved: Annotated[int, Field(ge=0)]
    drilled: Annotated[int, Field(ge=0, description="drills that are on")]


class Area(Document):
    """12 digits of the statistical division code, 6 + 3 + 3, and the site's name."""

    district: Annotated[str, Field(pattern=r"^[0-9]{6}$", description="GB/T 2260")]
    street: Annotated[str, Field(pattern=r"^[0-9]{3}$", description="GB/T 10114")]
    community: Annotated[str, Field(pattern=r"^[0-9]{3}$")]
    name: str | None = None


class Site(Document):
    """The community's own entry."""

    name: str
    grid: Grid | None = None
    external_ids: Annotated[dict[str, str] | None, Field(description="ids in other systems, by system")] = None


class DossierDevice(Document):
    """One device of the community's digital file."""

    id: Name
    driver: str
    kind: str
    place: Annotated[str, Field(pattern=PLACE)]
    make: str | None = None
    model: str | None = None
    installed: Annotated[str | None, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")] = None
    tested: Annotated[str | None, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")] = None
    capabilities: Annotated[list[str], Field(description="commands it takes")]


class Sharing(Document):
    """What one uplink gets; an uplink sees its own entry only."""

    uplink: Name
    types: Annotated[list[str], Field(description="patterns, e.g. fire.*")]
    redact: Annotated[str, Field(description="profile: what of an event passes")]
    places: Annotated[list[str] | None, Field(description="only what stands there")] = None
    severity: Annotated[str | None, Field(description="only events as bad as this")] = None
    keep: Annotated[
        str | None, Field(description="how long the department may keep what it gets", examples=["30d"])
    ] = None


class Dossier(Document):
    """The community's digital file (建档立卡), retained; sent when it changes."""

    revision: Annotated[int, Field(ge=1)]
    sha256: Annotated[str, Field(pattern=SHA256, description="of the RFC 8785 form without revision, sha256, time")]
    time: Time
    area: Area
    site: Site
    places: list[Place]
    devices: list[DossierDevice]
    responsibility_sha256: Annotated[str | None, Field(pattern=SHA256)] = None
    retention: Annotated[dict[str, Any] | None, Field(description="how long what is kept")] = None
    sharing: list[Sharing] | None = None
