"""The site's list of credentials (`credentials:`): who may open which door when; from YAML, or a CSV file it names.

A card stands there as `hmac-sha256:<base64url without padding>`, HMAC over `{format}:{facility}:{number}` with the
site's own key: whoever reads the file learns no card number (contract, section 3).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints, model_validator

from gateway.fields import File, Model, Secret, Wrong

EVERY_DOOR = "*"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")  # by number, as datetime.weekday() counts
DAY_MINUTES = 24 * 60
SHORTEST_KEY = 16  # characters
_WINDOW = re.compile(r"^\s*(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s*$")

Window = tuple[
    frozenset[int], int, int
]  # weekdays (0 is Monday), from and to, in minutes of local time; to is left out


def parse_days(text: str) -> frozenset[int]:
    """`mon-fri`, `sat`, `mon,wed`, `sat-mon` → numbers of weekdays. Wrong: not days."""
    days: set[int] = set()
    for part in text.lower().split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        if first not in DAYS or (dash and last not in DAYS):
            raise Wrong(
                f'"{text}" names no weekdays; write mon-fri, sat, "mon,wed" ({" ".join(DAYS)})',
                f'"{text}" 不是星期;请写 mon-fri、sat、"mon,wed"({" ".join(DAYS)},即周一至周日)',
            )
        start = DAYS.index(first)
        span = (DAYS.index(last) - start) % 7 if dash else 0
        days.update((start + step) % 7 for step in range(span + 1))
    return frozenset(days)


def parse_windows(days: frozenset[int], text: str) -> Iterator[Window]:
    """`07:00-22:00`, `07:00-11:30, 14:00-24:00`, `22:00-06:00` (until the next morning) → windows within one day."""
    for part in text.split(","):
        match = _WINDOW.match(part)
        start, end = (int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])) if match else (0, 0)
        minutes = (int(match[2]), int(match[4])) if match else (60, 60)
        if max(minutes) > 59 or start == end or start >= DAY_MINUTES or end > DAY_MINUTES:
            raise Wrong(
                f'"{part.strip()}" are no hours; write 07:00-22:00 (00:00 to 24:00)',
                f'"{part.strip()}" 不是时段;请写 07:00-22:00(00:00 至 24:00)',
            )
        if start < end:
            yield days, start, end
            continue
        yield days, start, DAY_MINUTES
        if end:
            yield frozenset((day + 1) % 7 for day in days), 0, end


def parse_hours(value: Any) -> tuple[Window, ...]:
    """`{mon-fri: "07:00-22:00", sat: "08:00-12:00"}`, or as in CSV `mon-fri 07:00-22:00; sat 08:00-12:00` → windows."""
    pairs: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        pairs = value.items()
    elif isinstance(value, str):
        pairs = [(days, hours) for days, _, hours in (part.strip().partition(" ") for part in value.split(";"))]
    elif isinstance(value, tuple):
        return value
    windows = tuple(window for days, hours in pairs for window in parse_windows(parse_days(str(days)), str(hours)))
    if not windows:
        raise Wrong(
            'hours by weekday are needed, e.g. {mon-fri: "07:00-22:00"}; leave hours: out for any time',
            '需要按星期写时段,例如 {mon-fri: "07:00-22:00"};任何时间都可通行则不写 hours:',
        )
    return windows


def _doors(value: Any) -> Any:
    return value.split() if isinstance(value, str) else value


Card = Annotated[str, StringConstraints(pattern=r"^hmac-sha256:[A-Za-z0-9_-]{43}$")]
Hours = Annotated[tuple[Window, ...], BeforeValidator(parse_hours, json_schema_input_type=dict[str, str] | str)]
Doors = Annotated[tuple[str, ...], BeforeValidator(_doors, json_schema_input_type=list[str] | str), Field(min_length=1)]


def _long_enough(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value()) < SHORTEST_KEY:
        raise Wrong(
            f"a key has at least {SHORTEST_KEY} characters, e.g. from: openssl rand -hex 32",
            f"密钥至少 {SHORTEST_KEY} 个字符,可用 openssl rand -hex 32 生成",
        )
    return key


Key = Annotated[Secret, AfterValidator(_long_enough)]


class CredentialEntry(Model):
    """One card: what it opens, and when."""

    card: Card = Field(description="keyed hash of the card: hmac-sha256:<base64url without padding>")
    doors: Doors = Field(description='ids of doors, or "*" for every one')
    valid_from: date | None = Field(default=None, description="first day, local time")
    valid_until: date | None = Field(default=None, description="last day, local time")
    hours: Hours | None = Field(
        default=None, description='by weekday, e.g. {mon-fri: "07:00-22:00"}; without: any time'
    )
    disabled: bool = Field(default=False, description="lost or withdrawn")
    note: str | None = Field(default=None, description="for people; no names")

    @model_validator(mode="after")
    def _in_order(self) -> "CredentialEntry":
        if self.valid_from and self.valid_until and self.valid_until < self.valid_from:
            raise Wrong("valid_until is before valid_from", "valid_until 早于 valid_from")
        return self


class CredentialsConfig(Model):
    """The site's own list, which opens doors also with no uplink. `list` holds the CSV file's entries too."""

    key: Key = Field(description="HMAC key of this site, at least 16 characters; best !file")
    file: File | None = Field(
        default=None, description="CSV with the columns card, doors, valid_from, valid_until, hours, …"
    )
    list: tuple[CredentialEntry, ...] = ()
