"""Which hubs and devices speak on a broker, and what the installer is told of them. (An underscore: no driver.)"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from drivers._mqtt_config import PORTS
from drivers._mqtt_found import cleaned, id_of
from drivers._mqtt_profile import load
from gateway.driver import Found
from gateway.errors import Text

MOST_DEVICES = 2000
MOST_HUBS = 256
MOST_CHARS = 256  # of an address, of a base (drivers/_mqtt_config.py)
FULL_TOPICS = ("%prefix%/%topic%/", "%topic%/%prefix%/")  # of Tasmota's, that the profile knows
_NOTES = {
    "chirpstack": Text(
        "its devices show only when they send: search again, or longer, for those that are missing",
        "其设备仅在上报时才能发现:缺少的设备请延长时间或再次查找",
    ),
    "shelly": Text("those that sleep show only when they wake", "休眠设备仅在唤醒时才能发现"),
}


@dataclass
class Hub:
    """One kind of hub under one base topic."""

    profile: str
    base: str
    certain: bool = False
    signs: set[str] = field(default_factory=set)  # each alone may be somebody else's
    version: str = ""
    unread: bool = False  # its payloads are not what the profile reads
    told: bool = False
    devices: dict[str, dict[str, Any]] = field(default_factory=dict)  # by address: keys, and `about`
    told_devices: set[str] = field(default_factory=set)

    @property
    def id(self) -> str:
        """A proposal: the devices behind it name it."""
        usual = self.base == load(self.profile).base
        return self.profile if usual else id_of("{profile}-{base}", vars(self)) or self.profile


class Survey:
    """What was heard on one broker so far."""

    def __init__(self, host: str, port: int, user: str | None) -> None:
        scheme = next((name for name, usual in PORTS.items() if usual == port), "mqtt")
        self._broker = f"[{host}]" if ":" in host else host
        self._port = port
        self._url = f"{scheme}://{self._broker}" + ("" if port == PORTS[scheme] else f":{port}")
        self._user = user
        self._hubs: dict[tuple[str, str], Hub] = {}
        self._left = MOST_DEVICES

    def news(self) -> Iterator[Found]:
        """What is certain and was not told yet; a hub before its devices."""
        for hub in self._hubs.values():
            if not hub.certain:
                continue
            if not hub.told:
                hub.told = True
                yield self._hub_found(hub)
            for address in [each for each in hub.devices if each not in hub.told_devices]:
                hub.told_devices.add(address)
                yield self._device_found(hub, address, hub.devices[address])

    def hub(self, profile: str, base: str, *, sign: str | None = None, version: Any = "") -> Hub | None:
        """The one; where a `sign` is named, it takes two different ones.

        None: no configuration can have this base, or there are too many.
        """
        key = (profile, base.strip("/"))
        if not _plain(base) or set(base) & set("+#{}") or (key not in self._hubs and len(self._hubs) >= MOST_HUBS):
            return None
        hub = self._hubs.setdefault(key, Hub(*key))
        hub.signs |= {sign} if sign is not None else set()
        hub.certain |= sign is None or len(hub.signs) > 1
        hub.version = hub.version or cleaned(version)
        return hub

    def device(self, hub: Hub | None, address: Any, **keys: Any) -> None:
        """It has a device, of which more may be told later."""
        if hub is None or not isinstance(address, str) or not address or not _plain(address):
            return
        if address not in hub.devices:
            if not self._left:
                return
            self._left -= 1
        known = hub.devices.setdefault(address, {})
        known |= {name: said for name, value in keys.items() if (said := cleaned(value))}

    def _hub_found(self, hub: Hub) -> Found:
        profile = load(hub.profile)
        en, zh = [profile.title.en, hub.version], [profile.title.zh, hub.version]
        notes = [profile.hint] if hub.unread and profile.hint else []
        for note in (*notes, _NOTES.get(hub.profile)):
            if note is not None:
                en.append(note.en)
                zh.append(note.zh)
        base = None if hub.base == profile.base else hub.base
        device = {"id": hub.id, "driver": "mqtt_in", "url": self._url, "profile": hub.profile, "base": base}
        keys: dict[str, Any] = {name: value for name, value in device.items() if value is not None}
        if self._user is not None:
            keys |= {"username": self._user, "password": None}  # it is not written down; a place is left for it
        return Found(self._where(hub.base), Text("; ".join(filter(None, en)), ";".join(filter(None, zh))), keys)

    def _device_found(self, hub: Hub, address: str, keys: Mapping[str, Any]) -> Found:
        told = {name: value for name, value in keys.items() if not name.startswith("about")}
        shown = [keys.get("name", ""), keys.get("make", ""), keys.get("model", ""), keys.get("about", "")]
        text = ", ".join(filter(None, shown)) or address
        note = _odd(keys)
        device = {"driver": "mqtt_in", "hub": hub.id, "address": address, **told}
        what = Text(text + note.en, text.replace(", ", ",") + note.zh)
        return Found(self._where(hub.base, address), what, device)

    def _where(self, *levels: str) -> str:
        return f"{self._broker}:{self._port} {'/'.join(filter(None, levels))}".strip()


def _odd(keys: Mapping[str, Any]) -> Text:
    odd = keys.get("about_topic")
    if odd is None:
        return Text("", "")
    return Text(
        f"; set its FullTopic, now {odd}, to {FULL_TOPICS[0]}", f";请将其 FullTopic(现为 {odd})改为 {FULL_TOPICS[0]}"
    )


def _plain(text: str) -> bool:
    return len(text) <= MOST_CHARS and text.isprintable()
