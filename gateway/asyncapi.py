"""The AsyncAPI 3.0.0 document of this version: events and documents up, commands, incidents and notices down.

Made from the models and the taxonomy; MQTT bindings as in the AsyncAPI bindings for MQTT, 0.2.0.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from gateway import __version__, desired, feedback, orders, samples, schemas, taxonomy
from gateway.arguments import ARGUMENTS, Args
from gateway.config import Config
from gateway.documents import AlarmNow, Dossier, Event, Health, State, Status

SCHEMAS = "#/components/schemas/{model}"
BASE = "{root}/{district}/{street}/{community}/{gateway}"
BINDING = "0.2.0"
CLOUDEVENT = "application/cloudevents+json; charset=utf-8"
WILL_DELAY_S = 60  # contract, section 2: BASE/status
_LEVELS = {
    "root": "first levels of every topic; set per uplink",
    "district": "district, 6 digits (GB/T 2260)",
    "street": "street or town, 3 digits (GB/T 10114)",
    "community": "community, 3 digits; the three together are the 12-digit statistical division code",
    "gateway": "the gateway's id",
    "device": "the device's id",
    "alarm": "the alarm's uuid: the id of the event that opened it",
    "category": "first part of the event's type",
    "target": "the device's id, or `gateway` for the gateway itself",
    "request": "the command's id",
    "incident": "the incident's id",
    "notice": "the notice's id",
}
_EXAMPLES = {
    "root": "sc/v1",
    "district": "310104",
    "street": "013",
    "community": "002",
    "gateway": "gw-0001",
    "device": "smoke-b3-u2-f5",
    "alarm": "01a207de-e9f3-7c3e-9d1f-3a5b6c7d8e9f",
    "target": "gateway",
    "request": "c-20261123-0007",
    "incident": "case-0815",
    "notice": "n-2026-11",
}


@dataclass(frozen=True)
class Place:
    """What a configuration fixes: values of topic levels by name, and brokers' URLs by uplink. Empty: any gateway."""

    levels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    brokers: Mapping[str, str] = field(default_factory=lambda: {"district": "mqtts://broker.example:8883"})


def place_of(config: Config) -> Place:
    """What this configuration fixes."""
    area = config.site.area
    levels = {
        "root": sorted({uplink.root for uplink in config.uplinks.values()}),
        "district": [area.district],
        "street": [area.street],
        "community": [area.community],
        "gateway": [config.gateway.id],
        "device": [device.id for device in config.devices],
        "target": ["gateway", *(device.id for device in config.devices)],
    }
    return Place(levels, {name: uplink.url for name, uplink in config.uplinks.items()})


@dataclass(frozen=True)
class _Document:
    """One retained document: its topic below BASE, its model and an example."""

    topic: str
    model: type[BaseModel]
    sample: Callable[[], dict[str, Any]]
    title: str


_DOCUMENTS = {
    "state": _Document("state/{device}", State, samples.state, "A device's present state"),
    "alarm": _Document(
        "alarm/{alarm}", AlarmNow, samples.alarm, "An alarm until it is normal, then an empty retained message"
    ),
    "status": _Document("status", Status, samples.status, "Birth and last will"),
    "health": _Document("health", Health, samples.health, "How the gateway is, on connecting and every 60 s"),
    "dossier": _Document("dossier", Dossier, samples.dossier, "The community's digital file, when it changes"),
    "reported": _Document(
        "config/reported", desired.Reported, desired.reported, "Which configuration runs, and why another does not"
    ),
}
_HEARD = {  # retained on the broker by the platform; topics below BASE, or beside the gateway
    "incident": _Document("incident/{incident}", feedback.Incident, feedback.incident, "The platform's case on alarms"),
    "notice": _Document("../notice/{notice}", feedback.Notice, feedback.notice, "Told to the community"),
}


def document(place: Place | None = None) -> dict[str, Any]:
    """The whole document, for any gateway, or for one whose `place` is known."""
    known = place or Place()
    return {
        "asyncapi": "3.0.0",
        "id": "urn:sc:v1",
        "info": _info(),
        "defaultContentType": "application/json",
        "servers": {uplink: _server(url) for uplink, url in known.brokers.items()},
        "channels": _channels(known),
        "operations": _operations(),
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def _info() -> dict[str, Any]:
    return {
        "title": "Community gateway",
        "version": __version__,
        "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        "description": (
            "What a community gateway sends to a district's platform over MQTT 5.0 or 3.1.1, and what it takes. "
            "Readers ignore fields they do not know; a subscriber that drops an event id it has seen has each event "
            "exactly once, and sees a loss as a gap in `sequence` within `stream`. "
            f"Event types: version {taxonomy.VERSION}; GB/T 26875.3 numbers: edition {taxonomy.GB_TABLE}."
        ),
    }


def _server(url: str) -> dict[str, Any]:
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    secure = scheme in ("mqtts", "wss")
    will = {"topic": f"{BASE}/status", "qos": 1, "retain": True, "message": '{"state":"offline",…}'}
    return {
        "host": host,
        **({"pathname": f"/{path}"} if path else {}),
        "protocol": scheme if scheme in ("ws", "wss") else "secure-mqtt" if secure else "mqtt",
        "description": f"MQTT 5.0, or 3.1.1 where the broker has no other; on MQTT 5 the will waits {WILL_DELAY_S} s",
        "bindings": {"mqtt": {"cleanSession": False, "lastWill": will, "bindingVersion": BINDING}},
    }


def _channels(place: Place) -> dict[str, Any]:
    events = {name: ref for row in taxonomy.TYPES.values() for name, ref in _ref(row.name).items()}
    channels = {"event": _channel("event/{category}", "Events", events, place)}
    for name, doc in (_DOCUMENTS | _HEARD).items():
        channels[name] = _channel(doc.topic, doc.title, _ref(name), place)
    channels["command"] = _channel("command/{device}", "Commands", _ref("command"), place)
    channels["command"]["parameters"]["device"] = _parameter("target", place)
    channels["reply"] = _channel("reply/{request}", "Answers to commands", _ref("reply"), place)
    channels["desired"] = _channel("config/desired", "A configuration to be run", _ref("desired"), place)
    return channels


def _ref(message: str) -> dict[str, Any]:
    return {message: {"$ref": f"#/components/messages/{message}"}}


def _channel(topic: str, title: str, messages: dict[str, Any], place: Place) -> dict[str, Any]:
    beside = topic.removeprefix("../")
    address = f"{BASE}/{topic}" if beside == topic else f"{BASE.rpartition('/')[0]}/{beside}"
    parameters = {name: _parameter(name, place) for name in _LEVELS if "{" + name + "}" in address}
    return {"address": address, "title": title, "messages": messages, "parameters": parameters}


def _parameter(name: str, place: Place) -> dict[str, Any]:
    made: dict[str, Any] = {"description": _LEVELS[name]}
    allowed = list(taxonomy.CATEGORIES) if name == "category" else list(place.levels.get(name, ()))
    if allowed:
        made["enum"] = allowed
    elif name == "root":
        made["default"] = _EXAMPLES[name]
    if not allowed:
        made["examples"] = [_EXAMPLES[name]]
    return made


def _operations() -> dict[str, Any]:
    made: dict[str, Any] = {"receive-command": _receive_command(), "receive-desired": _receive_desired()}
    for name in ("event", *_DOCUMENTS):
        made[f"send-{name}"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{name}"},
            "bindings": {"mqtt": {"qos": 1, "retain": name != "event", "bindingVersion": BINDING}},
        }
    for name in _HEARD:
        made[f"receive-{name}"] = {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{name}"},
            "description": "Kept here as it came, also across a restart; an empty retained message takes it back.",
            "bindings": {"mqtt": {"qos": 1, "retain": True, "bindingVersion": BINDING}},
        }
    return made


def _receive_command() -> dict[str, Any]:
    """The subscription is a persistent session: none is lost while the link is away."""
    return {
        "action": "receive",
        "channel": {"$ref": "#/channels/command"},
        "description": "The answer goes to the command's response topic where that is one below BASE/reply/ (MQTT 5.0, "
        "with its correlation data), else to BASE/reply/{request}. Never retained: a retained one is refused.",
        "bindings": {"mqtt": {"qos": 1, "retain": False, "bindingVersion": BINDING}},
        "reply": {"channel": {"$ref": "#/channels/reply"}, "messages": [{"$ref": "#/channels/reply/messages/reply"}]},
    }


def _receive_desired() -> dict[str, Any]:
    return {
        "action": "receive",
        "channel": {"$ref": "#/channels/desired"},
        "description": "Heard from uplinks with `config: true` only. It is examined, tried, and kept or rolled back.",
        "bindings": {"mqtt": {"qos": 1, "retain": True, "bindingVersion": BINDING}},
    }


def _messages() -> dict[str, Any]:
    made = {
        row.name: _message(row.name, f"{row.en} · {row.zh}", CLOUDEVENT, samples.event(row))
        for row in taxonomy.TYPES.values()
    }
    for name, doc in (_DOCUMENTS | _HEARD).items():
        made[name] = _message(doc.model.__name__, doc.title, "application/json", doc.sample())
    made["command"] = _message("Command", "A command", "application/json", *orders.commands())
    made["command"]["bindings"]["mqtt"] |= {"responseTopic": {"type": "string"}, "correlationData": {"type": "string"}}
    made["desired"] = _message("Desired", "A configuration to be run", "application/json", desired.desired())
    made["reply"] = _message("Answer", "The answer to a command", "application/json", *orders.answers())
    made["reply"]["bindings"]["mqtt"] |= {"correlationData": {"type": "string"}}
    return made


def _message(schema: str, title: str, content_type: str, *examples: dict[str, Any]) -> dict[str, Any]:
    binding = {"payloadFormatIndicator": 1, "bindingVersion": BINDING}
    return {
        "title": title,
        "contentType": content_type,
        "payload": {"$ref": SCHEMAS.format(model=schema)},
        "examples": [{"payload": example} for example in examples],
        "bindings": {"mqtt": binding},
    }


def _schemas() -> dict[str, Any]:
    models: list[type[BaseModel]] = [Event, *(doc.model for doc in (_DOCUMENTS | _HEARD).values())]
    models += [orders.Command, orders.Answer, desired.Desired, *dict.fromkeys(ARGUMENTS.values())]
    made = schemas.definitions(SCHEMAS, *models) | schemas.data_models(SCHEMAS)
    made["Command"]["allOf"] = [_takes(action, model) for action, model in ARGUMENTS.items()]
    envelope = {"$ref": SCHEMAS.format(model="Event")}
    for row in taxonomy.TYPES.values():
        made[row.name] = {"allOf": [envelope, schemas.of_type(row, SCHEMAS)]}
    return {name: _draft7(schema) for name, schema in made.items()}


def _takes(action: str, model: type[Args]) -> dict[str, Any]:
    """What an action's arguments must be; a command whose action needs none needs no `args`."""
    needed = any(field.is_required() for field in model.model_fields.values())
    then = {"properties": {"args": {"$ref": SCHEMAS.format(model=model.__name__)}}}
    return {
        "if": {"properties": {"action": {"const": action}}},
        "then": then | ({"required": ["args"]} if needed else {}),
    }


def _draft7(schema: Any) -> Any:
    """AsyncAPI schemas follow JSON Schema draft 7, where nothing may stand beside a `$ref`."""
    if isinstance(schema, list):
        return [_draft7(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _draft7(value) for key, value in schema.items()}
    if isinstance(made.get("$ref"), str) and len(made) > 1:
        return {"allOf": [{"$ref": made.pop("$ref")}], **made}
    return made
