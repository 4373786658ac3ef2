"""What the messages on a broker tell of hubs and devices there. No I/O. (An underscore: no driver.)

zigbee2mqtt, Tasmota, Frigate and Shelly leave retained messages, so they show at once; a device behind ChirpStack, and
a Shelly that sleeps, shows when it sends. Shapes as the profiles have them (`drivers/profiles/mqtt/`), and Tasmota's
discovery as its firmware sends it (`tasmota/discovery/MAC/config`, SetOption19 0). What cannot be read is passed over.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from drivers._mapping import MISSING, at
from drivers._mqtt_profile import Inventory, load, word
from drivers._mqtt_report import parse, plain
from drivers._mqtt_survey import FULL_TOPICS, Hub, Survey
from drivers._mqtt_topics import filters, parts
from gateway.errors import BadInput

INVENTORY_BYTES = 8 * 2**20  # a few hundred devices, with all that they can do
PREFIXES = ["cmnd", "stat", "tele"]  # of Tasmota's topics
_KINDS = {"smoke": "smoke", "gas": "gas", "carbon_monoxide": "gas"}  # property that a device exposes → its kind


@dataclass(frozen=True)
class Said:
    """One message: what its topic has where the pattern has names, and the payload."""

    names: Mapping[str, str]
    payload: bytes

    @property
    def base(self) -> str:
        """The hub's first levels, one or two."""
        return "/".join(self.names[name] for name in ("over", "base") if name in self.names)

    def body(self) -> Any:
        """JSON. BadInput: it is none."""
        return parse("payload", self.payload, INVENTORY_BYTES)

    def object(self) -> dict[str, Any]:
        """A JSON object; empty where it is another kind of JSON. BadInput: it is none."""
        body = self.body()
        return body if isinstance(body, dict) else {}


def take(survey: Survey, topic: str, payload: bytes) -> None:
    """One message. Never an error: what cannot be read is somebody else's."""
    for pattern, handler in ROUTES:
        names = parts(pattern, topic)
        if names is not None:
            with suppress(BadInput):
                handler(survey, Said(names, payload))
            return


def _text(body: Any, path: str) -> str:
    found = at(body, path)
    return found if isinstance(found, str) else ""


def _zigbee_devices(survey: Survey, said: Said) -> None:
    """The inventory, read as the driver reads it."""
    listed = said.body()
    inventory = next(topic.inventory for topic in load("zigbee2mqtt").topics if topic.inventory is not None)
    entries = [entry for entry in listed if _is_zigbee(inventory, entry)] if isinstance(listed, list) else []
    if not entries:
        return
    hub = survey.hub("zigbee2mqtt", said.base)
    for entry in entries:
        if inventory.skip is None or inventory.skip.find(entry)[0] != "skip":
            off = "disabled there" if at(entry, "disabled") is True else ""
            address, name = at(entry, inventory.address), at(entry, inventory.name)
            known = dict(zip(("make", "model"), (at(entry, path) for path in inventory.about), strict=False))
            known |= {"name": None if name == address else name, "kind": _kind(entry)}
            survey.device(hub, address, **known, about=off)


def _is_zigbee(inventory: Inventory, entry: Any) -> bool:
    return all(isinstance(at(entry, path), str) for path in (inventory.name, inventory.address))


def _kind(entry: Any) -> str:
    exposes = at(entry, "definition.exposes")
    listed = exposes if isinstance(exposes, list) else []
    named = [_text(each, "property") for each in listed if isinstance(each, dict)]
    return next((kind for name, kind in _KINDS.items() if name in named), "")


def _zigbee_info(survey: Survey, said: Said) -> None:
    body = said.object()
    if isinstance(body.get("coordinator"), dict) and isinstance(body.get("version"), str):
        survey.hub("zigbee2mqtt", said.base, version=body["version"])


def _lora(survey: Survey, said: Said) -> None:
    """An event of a device behind ChirpStack 4; of version 3, or in protobuf, only that there is one."""
    hub = survey.hub("chirpstack", "application")
    try:
        info = said.object().get("deviceInfo")
    except BadInput:
        info = None
    if isinstance(info, dict) and _text(info, "devEui"):
        survey.device(hub, _text(info, "devEui"), name=info.get("deviceName"), about=info.get("deviceProfileName"))
    elif hub is not None and not hub.devices:
        hub.unread = True


def _tasmota_config(survey: Survey, said: Said) -> None:
    body = said.object()
    address, topic = body.get("t"), body.get("ft")
    if not isinstance(address, str) or not isinstance(topic, str):
        return
    usual = next((form for form in FULL_TOPICS if topic.endswith(form)), None)
    fits = usual is not None and body.get("tp", PREFIXES) == PREFIXES and "/" not in address
    base = topic.removesuffix(usual) if usual is not None and fits else ""
    fits &= not set(base) & set("%+#{}")
    odd = None if fits else topic
    about = f"Tasmota {_text(body, 'sw')}".strip()
    hub = survey.hub("tasmota", base if fits else "")
    survey.device(hub, address, name=body.get("dn"), model=body.get("md"), about=about, about_topic=odd)


def _tasmota(survey: Survey, said: Said) -> None:
    if word(plain(said.payload)) in ("online", "offline"):
        survey.device(survey.hub("tasmota", ""), said.names["device"])


def _shelly1(survey: Survey, said: Said) -> None:
    if word(plain(said.payload)) in ("true", "false"):
        survey.device(survey.hub("shelly-gen1", "shellies"), said.names["device"], make="Shelly")


def _shelly1_announce(survey: Survey, said: Said) -> None:
    body = said.object()
    if _text(body, "id") and _text(body, "mac"):
        about = f"firmware {_text(body, 'fw_ver')}"
        hub = survey.hub("shelly-gen1", "shellies")
        survey.device(hub, body["id"], make="Shelly", model=body.get("model"), about=about)


def _shelly(survey: Survey, said: Said) -> None:
    """Others say `online` as well: a Shelly by its name, as long as nobody gave it another."""
    if said.names["device"].lower().startswith("shelly") and word(plain(said.payload)) in ("true", "false"):
        survey.device(survey.hub("shelly", ""), said.names["device"], make="Shelly")


def _shelly_rpc(survey: Survey, said: Said) -> None:
    body = said.object()
    if _text(body, "src").lower().startswith("shelly") and _text(body, "method").startswith("Notify"):
        survey.device(survey.hub("shelly", ""), said.names["device"], make="Shelly", about=_text(body, "src"))


def _frigate(survey: Survey, said: Said) -> None:
    """Others say `available` as well: under another name than its own it needs a camera beside it."""
    if word(plain(said.payload)) in ("online", "offline", "stopped"):
        _frigate_hub(survey, said, "available")


def _frigate_stats(survey: Survey, said: Said) -> None:
    body = said.object()
    cameras = body.get("cameras")
    if isinstance(cameras, dict) and (at(body, "service") is not MISSING or at(body, "detectors") is not MISSING):
        hub = survey.hub("frigate", said.names["base"], version=at(body, "service.version"))
        for camera in cameras:
            survey.device(hub, camera, kind="camera")


def _frigate_camera(survey: Survey, said: Said) -> None:
    """`detect/state` (retained) and `status/detect` of a camera; other things have a `detect/state` too."""
    survey.device(_frigate_hub(survey, said, "camera"), said.names["camera"], kind="camera")


def _frigate_hub(survey: Survey, said: Said, sign: str) -> Hub | None:
    return survey.hub("frigate", said.names["base"], sign=None if said.names["base"] == "frigate" else sign)


ROUTES: tuple[tuple[str, Callable[[Survey, Said], object]], ...] = (
    ("{base}/bridge/info", _zigbee_info),
    ("{over}/{base}/bridge/info", _zigbee_info),
    ("{base}/bridge/devices", _zigbee_devices),
    ("{over}/{base}/bridge/devices", _zigbee_devices),
    ("application/{application}/device/{device}/event/{event}", _lora),
    # a LoRaWAN gateway's state, retained: there is a ChirpStack, even when no device sends
    ("{region}/gateway/{gateway}/state/conn", lambda survey, _: survey.hub("chirpstack", "application")),
    ("tasmota/discovery/{mac}/config", _tasmota_config),
    ("tele/{device}/LWT", _tasmota),
    ("{device}/tele/LWT", _tasmota),
    ("shellies/announce", _shelly1_announce),
    ("shellies/{device}/announce", _shelly1_announce),
    ("shellies/{device}/online", _shelly1),
    ("{device}/online", _shelly),
    ("{device}/events/rpc", _shelly_rpc),
    ("{base}/available", _frigate),
    ("{base}/stats", _frigate_stats),
    ("{base}/{camera}/detect/state", _frigate_camera),
    ("{base}/{camera}/status/detect", _frigate_camera),
)
FILTERS = filters(pattern for pattern, _ in ROUTES)
