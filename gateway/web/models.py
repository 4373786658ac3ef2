"""What the HTTP interface answers, as pydantic models: the OpenAPI document is made from them.

Answers may grow by fields that are not named here; fields without a value are left out (contract, section 10).
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.duty import Outcome
from gateway.event import Phase, Severity
from gateway.feedback import STEPS

State = Literal["alarm", "fault", "shielded", "test", "offline", "unknown", "normal"]
Word = Literal["fire", "alarm", "unknown", "fault", "disconnected", "shielded", "normal"]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-23T10:06:19.123Z"])]
_ALARM = "01a207de-e9f3-7c3e-9d1f-3a5b6c7d8e9f"
Uuid = Annotated[str, Field(examples=[_ALARM])]
Count = Annotated[int, Field(ge=0)]


class Answer(BaseModel):
    """What goes out."""

    model_config = ConfigDict(extra="allow")


class Words(Answer):
    """A sentence in English and Chinese."""

    en: str
    zh: str


class Refusal(Answer):
    """Where it went wrong, what and why, and what to do next."""

    where: str
    what: Words
    do: Words | None = None


class Error(Answer):
    """Every refusal, whatever its status."""

    error: Refusal


# --- the present state


class Verdict(Answer):
    """The site in one word, and since when."""

    word: Word
    since: Time | None = None


class ClockState(Answer):
    """How well the time is known."""

    quality: Literal["synced", "holdover", "unsynced", "corrected"]
    offset_ms: float


class LaneState(Answer):
    """One of an uplink's three queues; counts since the start."""

    backlog: Count
    oldest_s: float
    sent: Count
    confirmed: Count
    refused: Count
    dropped: Count
    dead: Count


class UplinkState(Answer):
    """One platform: reached or not and why, and what it has not got yet."""

    connected: bool
    since: Time | None = None
    why: Words | None = None
    unconfirmed_alarms: Count = 0
    lanes: dict[str, LaneState]


class Letter(Answer):
    """An event that the platform's server will never take."""

    stream: str
    sequence: str
    id: Uuid
    type: str
    time: Time
    reason: str


class UplinkFull(UplinkState):
    """With the letters it has set aside."""

    dead: list[Letter] = []


class Uplinks(Answer):
    """By name."""

    uplinks: dict[str, UplinkFull]


class Disk(Answer):
    """What the events take, and may."""

    used_bytes: Count
    limit_bytes: Count
    free_bytes: Count
    failing: Words | None = None


class DriverState(Answer):
    """All lines of one driver."""

    state: Literal["running", "retrying", "stopped"]
    devices: Count
    offline: Count
    why: Words | None = None


class Status(Answer):
    """The site in one word, and the health document."""

    verdict: Verdict
    gateway: str
    time: Time
    uptime_s: float
    boot: str
    version: str
    clock: ClockState
    uplinks: dict[str, UplinkState]
    disk: Disk
    cpu_percent: float
    rss_bytes: Count
    temperature_c: float | None = None
    drivers: dict[str, DriverState]


class Health(Answer):
    """The process answers."""

    status: Literal["ok"]


class Ready(Answer):
    """Does the disk take what comes in?"""

    ready: bool


# --- devices, events, alarms


class Measured(Answer):
    """A value with its unit, where it has one."""

    value: float | int | bool | str
    unit: str | None = None


class Device(Answer):
    """A device's present state, and where it is."""

    device: Annotated[str, Field(examples=["smoke-b3-u2-f5"])]
    online: bool
    state: State
    alarms: list[str]
    values: dict[str, Measured]
    last_seen: Time | None = None
    label: str
    place: str
    place_label: str
    building: str
    kind: str
    driver: str


class Devices(Answer):
    """Every device."""

    devices: list[Device]


class Event(Answer):
    """As the contract's section 3 has it; `streams` are its numbers, by stream."""

    specversion: Literal["1.0"]
    id: Uuid
    source: str
    subject: str
    type: Annotated[str, Field(examples=["fire.smoke"])]
    time: Time
    phase: Phase
    severity: Severity
    timequality: Literal["synced", "holdover", "unsynced", "corrected"]
    data: dict[str, Any] = {}
    streams: dict[str, str] = {}


class Events(Answer):
    """Newest first. Without `next` (a `cursor`) nothing older is left; `stopped`: after 200,000 rows."""

    events: list[Event]
    next: str | None = None
    stopped: bool = False


class Flags(Answer):
    """What an alarm is, each by itself (OPC UA, part 9)."""

    active: bool
    acknowledged: bool
    confirmed: bool
    latched: bool
    shelved: bool
    suppressed: bool
    out_of_service: bool
    silenced: bool


class Line(Answer):
    """One step in an alarm's life."""

    time: Time
    step: str
    who: str | None = None
    note: str | None = None


class Alarm(Answer):
    """An alarm that is not over: its flags, the word they make, who did what, and its delivery by uplink."""

    alarm: Uuid
    device: str
    part: str = ""
    type: str
    severity: Severity
    state: str
    flags: Flags
    count: Count
    first: Time
    last: Time
    test: bool
    history: list[Line]
    outcome: Outcome | None = None
    delivery: dict[str, dict[str, Any]] = {}


class Alarms(Answer):
    """Open ones, the oldest first."""

    alarms: list[Alarm]


class Ended(Answer):
    """One that is over: what opened it, and (asked for by itself) what was said of it."""

    alarm: Uuid
    device: str
    type: str
    severity: Severity
    first: Time
    test: bool = False
    cleared: Time | None = None
    outcome: Outcome | None = None
    opened_by: Event


class EndedAlarms(Answer):
    """The newest first, by pages."""

    ended: list[Ended]
    next: str | None = None
    stopped: bool = False


class OneAlarm(Answer):
    """The alarm where it is open, `ended` where it is over; and the events that belong to it, newest first."""

    alarm: Alarm | None = None
    ended: Ended | None = None
    events: list[Event]


class Part(Answer):
    """A device behind the device, and its conditions."""

    part: str
    alarms: list[str]


class DeviceFull(Device):
    """With all that is known of it."""

    model: str | None = None
    make: str | None = None
    installed: str | None = None
    tested: str | None = None
    actions: list[str]
    parts: list[Part]
    battery: dict[str, Any] | None = None
    open_alarms: list[Alarm]
    events: list[Event]


class Silenced(Answer):
    """Those that sounded until now."""

    silenced: list[Alarm]


# --- what the platform tells, and the log


class Notice(Answer):
    """What a platform feeds back, as it came."""

    id: str
    kind: str
    title: str | None = None
    uplink: str
    received: Time


class Feedback(Answer):
    """When the last one came, if one ever did; `quiet`: longer ago than 7 days, or never."""

    since: Time | None = None
    quiet: bool


class Notices(Answer):
    """The newest first."""

    notices: list[Notice]
    feedback: Feedback


class Incident(Answer):
    """The platform's case as it stands here; `may` are the steps that are possible now."""

    incident: Annotated[str, Field(examples=["case-0815"])]
    uplink: str
    step: Annotated[str, Field(json_schema_extra={"enum": list(STEPS)})]
    overdue: bool
    alarms: list[str]
    evidence: list[dict[str, Any]]
    may: list[Literal["handling", "handled"]]


class Incidents(Answer):
    """Those under way first."""

    incidents: list[Incident]


class Drill(Answer):
    """What raises tests only, until when: a device, a place, or the whole site ("")."""

    target: str
    until: Time
    who: str


class Drills(Answer):
    """Those under way."""

    drills: list[Drill]


class AuditLine(Answer):
    """Who did what; `n` counts without a gap."""

    n: Annotated[int, Field(ge=1)]
    time: Time | None = None
    who: str | None = None
    role: str | None = None
    what: str | None = None
    subject: str | None = None
    outcome: str | None = None


class AuditLines(Answer):
    """The newest first; `next` leads on (`before`)."""

    lines: list[AuditLine]
    next: int | None = None


class Commanded(Answer):
    """What became of it."""

    id: str
    status: Literal["done"]
    code: Literal["ok"]
    message: Words
    result: dict[str, Any] = {}
