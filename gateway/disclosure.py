"""What anybody may know: what is sensed here, how long it is kept, who is given what of it, and how often that was.

Made from the configuration that runs and from the ledger, at the moment it is asked for. No person, no flat, no
device by itself stands in it; a department that is not configured any more stays for as long as its counts do.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any

from gateway.clock import Clock, rfc3339
from gateway.config import Config, UplinkConfig
from gateway.database import read_fact
from gateway.errors import Text
from gateway.event import Severity
from gateway.ledger import KEPT_DAYS, REMEMBERED, Given, Ledger, read_given
from gateway.privacy import profile_named
from gateway.profiles import Profile
from gateway.site import Site, duration_text
from gateway.store import Store
from gateway.taxonomy import KINDS, TYPES

DAYS = 30  # of counts that are shown
PURPOSES: Mapping[str, Text] = {  # by family of kinds
    "fire": Text("to notice fire, gas and failing fire equipment early", "及早发现火情、燃气泄漏和消防设施故障"),
    "door": Text("to keep doors shut to strangers and open in a fire", "门禁管理,火灾时开门疏散"),
    "video": Text("to notice dangers in shared spaces; no face is recognized or sent by this gateway",
                  "发现公共区域的危险;本网关不识别、不上报人脸"),
    "other": Text("to watch over equipment and to call for help", "设备监测和紧急求助"),
}  # fmt: skip


class Public:
    """`await public.document()`; counts are at most FRESH_S old."""

    FRESH_S = 10.0

    def __init__(self, config: Config, site: Site, store: Store, clock: Clock, ledger: Ledger) -> None:
        self._config = config
        self._site = site
        self._store = store
        self._clock = clock
        self._ledger = ledger
        self._made: tuple[float, dict[str, Any]] | None = None

    async def document(self) -> dict[str, Any]:
        """As JSON. StorageError."""
        now_s = self._clock.monotonic()
        if self._made is None or now_s - self._made[0] > self.FRESH_S:
            self._made = now_s, await self._make()
        return self._made[1]

    async def given(self, since: str, until: str = "9999") -> list[Given]:
        """What left on these days, counted up to now. StorageError."""
        await self._ledger.count()
        return await self._store.read(partial(read_given, since=since, until=until))

    async def _make(self) -> dict[str, Any]:
        today: date = self._clock.utc().astimezone().date()
        given = await self.given((today - timedelta(days=DAYS - 1)).isoformat())
        facts = await self._store.read(_remembered)
        buffer = self._config.gateway.buffer
        kept = {"events": buffer.max_age, "cards": buffer.max_cards_age or buffer.max_age}
        return {
            "site": self._config.site.name,
            "time": rfc3339(self._clock.utc()),
            "days": DAYS,
            "sensed": list(sensed(self._site)),
            "kept": {name: duration_text(seconds) for name, seconds in kept.items()} | {"disclosure": f"{KEPT_DAYS}d"},
            "shared": list(shared(self._config, self._site, given)),
            **facts,
        }


def _remembered(connection: sqlite3.Connection) -> dict[str, Any]:
    found = {name.replace("public.", "last_"): read_fact(connection, name) for name in REMEMBERED.values()}
    return {name: json.loads(told) for name, told in found.items() if told is not None}


def sensed(site: Site) -> Iterable[dict[str, Any]]:
    """Kinds of devices by building, with how many there are and what for."""
    counts = Counter((device.place.partition("/")[0], site.kind(device.id)) for device in site.devices)
    for (building, name), count in sorted(counts.items()):
        kind = KINDS[name]
        label, purpose = {"en": kind.en, "zh": kind.zh}, PURPOSES[kind.family]._asdict()
        place = site.place(building).label
        yield {"building": place, "kind": name, "label": label, "purpose": purpose, "count": count}


def shared(config: Config, site: Site, given: Sequence[Given]) -> Iterable[dict[str, Any]]:
    """Each department: by which profile it is given what, and what it was given."""
    for name, uplink in config.uplinks.items():
        yield {**_rules(uplink, profile_named(uplink.redact, config.profiles), site), **_counts(name, given)}
    for name in sorted({one.uplink for one in given} - config.uplinks.keys()):
        yield {"ended": True, **_counts(name, given)}


def _rules(uplink: UplinkConfig, profile: Profile, site: Site) -> dict[str, Any]:
    told: dict[str, Any] = {
        "profile": uplink.redact,
        "why": None if profile.why is None else profile.why.model_dump(),
        "types": list(uplink.types),
        "places": [site.place(path.partition("/")[0]).label for path in uplink.places],
        "severity": None if uplink.severity is Severity.INFO else uplink.severity.value,
        "fields": list(profile.fields),
        "without": list(profile.without),
        "credentials": profile.credentials,
        "operators": profile.operators,
        "place": profile.place,
        "states": uplink.retain_states,
        "commands": list(uplink.commands),
        "keep": None if uplink.keep is None else duration_text(uplink.keep),
    }
    return {name: value for name, value in told.items() if value not in (None, [])}


def _counts(uplink: str, given: Sequence[Given]) -> dict[str, Any]:
    counts, names = Counter[str](), dict[str, set[str]]()
    for one in given:
        if one.uplink == uplink:
            counts[one.type] += one.count
            names.setdefault(one.type, set()).update(one.fields)
    told = [
        {"type": kind, "label": _label(kind), "fields": sorted(names[kind]), "count": count}
        for kind, count in counts.most_common()
    ]
    return {"uplink": uplink, "count": counts.total(), "given": told}


def _label(kind: str) -> dict[str, str]:
    """Of a type; one that is not known any more is called what it was."""
    return TYPES[kind].label._asdict() if kind in TYPES else {"en": kind, "zh": kind}
