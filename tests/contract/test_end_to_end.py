"""From the wire to the district: each kind of event, caused on its real wire, arrives in the contract's exact form.

One community stands for all of these tests: real brokers, the real daemon, detectors and readers on ptys, a camera,
a device that posts. Each test causes what it looks at, so that each stands alone.
"""

import base64
import hmac
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from gateway import documents
from gateway.event import Credential
from tests.brokers import Subscriber, subscribed
from tests.daemons import RESIDENT, RESIDENT_BITS, STRANGER, STRANGER_BITS, Community, community
from tests.houses import ask

pytestmark = pytest.mark.asyncio(loop_scope="module")
BASE = "sc/v1/310104/013/002/gw-0001"
SCHEMA = Path(__file__).parents[2] / "docs" / "contract" / "events.schema.json"
ENVELOPE = {
    "specversion", "id", "source", "subject", "type", "time", "datacontenttype", "dataschema", "phase", "severity",
    "stream", "sequence", "timequality", "data",
}  # fmt: skip
PLACES = {
    "smoke-1": {"path": "b3/u2/f5", "label": "3号楼2单元5层", "grid": "00000031010401300205"},
    "climate-1": {"path": "b3/u2", "label": "3号楼2单元", "grid": "00000031010401300201"},
    "door-1": {"path": "b3/u2", "label": "3号楼2单元", "grid": "00000031010401300201"},
    "door-2": {"path": "gate", "label": "大门", "grid": "00000031010401300201"},
    "cam-1": {"path": "gate", "label": "大门", "grid": "00000031010401300201"},
    "panic-1": {"path": "gate", "label": "大门", "grid": "00000031010401300201"},
}
MODELS: dict[str, type[BaseModel]] = {
    "status": documents.Status,
    "health": documents.Health,
    "alarm": documents.AlarmNow,
    "dossier": documents.Dossier,
    "state": documents.State,
}
Caused = tuple[str, str, str]  # device, type, phase


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Community]:
    async with community(tmp_path_factory.mktemp("community")) as made:
        await made.city.until(
            lambda: all(map(made.answers, ("smoke-1", "climate-1", "door-1", "door-2", "cam-1"))), 30.0
        )
        yield made


@cache
def schema() -> Draft202012Validator:
    """The events' schema as the district has it."""
    return Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))


def arrived(subscriber: Subscriber, root: str) -> list[dict[str, Any]]:
    """Every event under a root."""
    prefix = f"{root}/310104/013/002/gw-0001/event/"
    return [json.loads(bytes(m.payload)) for m in subscriber.messages if str(m.topic).startswith(prefix)]


def of(subscriber: Subscriber, caused: Caused, root: str = "sc/v1") -> list[dict[str, Any]]:
    """Every arrival of one kind, in order."""
    return [e for e in arrived(subscriber, root) if (e["subject"], e["type"], e["phase"]) == caused]


class Next:
    """`await Next(subscriber, device, type, phase)`: the next of its kind after this was made."""

    def __init__(self, subscriber: Subscriber, *caused: str, root: str = "sc/v1") -> None:
        device, kind, phase = caused
        self._subscriber, self._caused, self._root = subscriber, (device, kind, phase), root
        self._before = len(of(subscriber, self._caused, root))

    async def arrived(self) -> dict[str, Any]:
        """The event, its form checked."""
        await self._subscriber.until(lambda: len(of(self._subscriber, self._caused, self._root)) > self._before)
        return checked(of(self._subscriber, self._caused, self._root)[self._before])


def checked(event: dict[str, Any]) -> dict[str, Any]:
    """An event by the models, by the published schema, and by the contract's envelope."""
    documents.Event.model_validate_json(json.dumps(event))
    schema().validate(event)
    assert set(event) == ENVELOPE
    assert (event["specversion"], event["source"], event["datacontenttype"], event["dataschema"]) == (
        "1.0", "/310104/013/002/gw-0001", "application/json", f"urn:sc:v1:{event['type']}",
    )  # fmt: skip
    assert abs(datetime.fromisoformat(event["time"]) - datetime.now(UTC)) < timedelta(seconds=60)
    if event["subject"] in PLACES:
        assert event["data"]["place"] == PLACES[event["subject"]]
    return event


def form(event: dict[str, Any]) -> tuple[str, str, str]:
    """(phase, severity, stream)."""
    return event["phase"], event["severity"], event["stream"]


# --- detectors on RS-485


async def test_smoke_begins_and_ends(made: Community) -> None:
    begins, ends = (Next(made.city, "smoke-1", "fire.smoke", phase) for phase in ("raise", "clear"))
    made.smoke.set_condition("fire.smoke", True)
    event = await begins.arrived()
    assert form(event) == ("raise", "critical", "district.alarm")
    assert event["data"]["codes"] == {
        "contact-id": 111, "gb26875.3": {"table": "2011", "level": "part", "system": 1, "part": 40, "bit": 1},
    }  # fmt: skip
    assert event["data"]["test"] is False
    assert "raw" in event["data"]
    made.smoke.set_condition("fire.smoke", False)
    cleared = await ends.arrived()
    assert form(cleared) == ("clear", "critical", "district.alarm")
    assert cleared["data"]["alarm"] == event["data"]["alarm"] <= event["id"] < cleared["id"]


async def test_measured_values_with_their_units(made: Community) -> None:
    sample = Next(made.city, "climate-1", "telemetry.sample", "pulse")
    if not of(made.city, ("climate-1", "telemetry.sample", "pulse")):
        event = await sample.arrived()
    else:
        event = checked(of(made.city, ("climate-1", "telemetry.sample", "pulse"))[0])
    assert form(event) == ("pulse", "info", "district.telemetry")
    assert event["data"]["values"]["temperature"] == {"value": 21.5, "unit": "°C"}
    assert event["data"]["values"]["humidity"] == {"value": 48.0, "unit": "%RH"}
    assert "alarm" not in event["data"]


async def test_a_detector_that_is_unplugged(made: Community) -> None:
    gone, back = (Next(made.city, "smoke-1", "device.offline", phase) for phase in ("raise", "clear"))
    made.smoke.unplug()
    event = await gone.arrived()
    assert form(event) == ("raise", "high", "district.alarm")  # of a fire-class device one level higher
    assert event["data"]["codes"]["contact-id"] == 381
    assert event["data"]["reason"] == "no-answer"
    made.smoke.plug()
    assert (await back.arrived())["data"]["alarm"] == event["data"]["alarm"]


# --- doors on OSDP, with a secure channel


def reference(folder: Path, uplink: str, credential: Credential) -> str:
    """As the contract says: HMAC-SHA256 with the uplink's own key over `{format}:{facility}:{number}`."""
    key = (folder / "keys" / f"uplink-{uplink}").read_bytes()
    text = f"{credential.format}:{credential.facility}:{credential.number}".encode()
    return "hmac-sha256:" + base64.urlsafe_b64encode(hmac.digest(key, text, "sha256")).decode().rstrip("=")


async def test_a_card_is_granted_and_the_door_opens(made: Community) -> None:
    granted = Next(made.city, "door-1", "access.granted", "pulse")
    opened = len(made.readers.ledger.of("output", 1))
    made.readers.readers[1].present(*RESIDENT_BITS)
    event = await granted.arrived()
    await made.readers.ledger.wait("output", 1, opened + 1)
    assert form(event) == ("pulse", "info", "district.event")
    assert event["data"]["codes"] == {"contact-id": 422}
    assert event["data"]["credential"] == {
        "ref": reference(made.daemon.state, "district", RESIDENT), "kind": "card", "format": "wiegand-26",
    }  # fmt: skip
    assert "324" not in json.dumps(event)


async def test_a_stranger_is_denied_with_the_reason(made: Community) -> None:
    denied = Next(made.city, "door-2", "access.denied", "pulse")
    opened = len(made.readers.ledger.of("output", 2))
    made.readers.readers[2].present(*STRANGER_BITS)
    event = await denied.arrived()
    assert form(event) == ("pulse", "low", "district.event")
    assert event["data"]["reason"] == "unknown_credential"
    assert event["data"]["credential"]["ref"] == reference(made.daemon.state, "district", STRANGER)
    assert event["data"]["alarm"]  # it waits to be seen
    assert len(made.readers.ledger.of("output", 2)) == opened


async def test_a_door_left_open_and_a_reader_opened(made: Community) -> None:
    reader = made.readers.readers[1]
    granted = Next(made.city, "door-1", "access.granted", "pulse")
    waited = {
        (kind, phase): Next(made.city, "door-1", kind, phase)
        for kind in ("door.open", "door.held", "device.tamper")
        for phase in ("raise", "clear")
    }
    reader.present(*RESIDENT_BITS)
    await granted.arrived()
    reader.input(0, True)
    open_ = await waited["door.open", "raise"].arrived()
    held = await waited["door.held", "raise"].arrived()
    assert (form(open_), "alarm" in open_["data"]) == (("raise", "info", "district.event"), False)
    assert (form(held), held["data"]["alarm"]) == (("raise", "medium", "district.event"), held["id"])
    reader.input(0, False)
    assert (await waited["door.held", "clear"].arrived())["data"]["alarm"] == held["id"]
    await waited["door.open", "clear"].arrived()
    reader.tamper(True)
    tamper = await waited["device.tamper", "raise"].arrived()
    assert form(tamper) == ("raise", "high", "district.alarm")
    reader.tamper(False)
    assert (await waited["device.tamper", "clear"].arrived())["data"]["alarm"] == tamper["id"]


async def test_a_reader_without_power(made: Community) -> None:
    gone, back = (Next(made.city, "door-2", "device.offline", phase) for phase in ("raise", "clear"))
    made.readers.readers[2].power(False)
    event = await gone.arrived()
    assert form(event) == ("raise", "medium", "district.event")
    made.readers.readers[2].power(True)
    assert (await back.arrived())["data"]["alarm"] == event["data"]["alarm"]


# --- a camera, and a device that posts


async def test_motion_with_the_camera_s_own_time(made: Community) -> None:
    begins, ends = (Next(made.city, "cam-1", "video.motion", phase) for phase in ("raise", "clear"))
    made.camera.motion(True)
    event = await begins.arrived()
    assert form(event) == ("raise", "info", "district.event")
    said = datetime.fromisoformat(event["data"]["device_time"])
    assert abs(said - datetime.fromisoformat(event["time"])) < timedelta(seconds=30)
    assert event["data"]["device_time"].endswith(".000Z")  # the camera says it in +08:00, to the second
    assert event["data"]["raw"]["eventType"] == "VMD"
    made.camera.motion(False)
    await ends.arrived()


async def test_a_line_that_is_crossed(made: Community) -> None:
    crossed = Next(made.city, "cam-1", "video.line_cross", "pulse")
    made.camera.event("linedetection")
    event = await crossed.arrived()
    assert form(event) == ("pulse", "medium", "district.event")
    assert event["data"]["codes"] == {"contact-id": 131}


async def test_a_call_for_help(made: Community) -> None:
    called, over = (Next(made.city, "panic-1", "safety.panic", phase) for phase in ("raise", "clear"))
    moment = "2026-11-23T18:06:19+08:00"
    raw = {"按键": 3, "v": 'a"b\\\u2028'}
    await made.panic.say({"type": "safety.panic", "phase": "raise", "time": moment, "raw": raw})
    event = await called.arrived()
    assert form(event) == ("raise", "critical", "district.alarm")
    assert event["data"]["device_time"] == "2026-11-23T10:06:19.000Z"
    assert event["data"]["raw"] == raw
    assert event["id"] in made.panic.accepted
    await made.panic.say({"type": "safety.panic", "phase": "clear"})
    assert (await over.arrived())["data"]["alarm"] == event["id"]


# --- what a person does


async def test_acknowledged_and_disposed(made: Community) -> None:
    begins, ends = (Next(made.city, "climate-1", "fire.smoke", phase) for phase in ("raise", "clear"))
    steps = [Next(made.city, "climate-1", f"operator.{step}", "pulse") for step in ("ack", "dispose")]
    made.climate.set_condition("fire.smoke", True)
    alarm = (await begins.arrived())["data"]["alarm"]
    await made.city.until(lambda: word(made, "climate-1") == "alarm")
    answer = await ask(made.daemon.state, "ack", alarm=alarm, who="wang", outcome="false", note="炒菜")
    assert answer["state"] == "active_acked"
    acked, disposed = [await step.arrived() for step in steps]
    for event in (acked, disposed):
        assert form(event) == ("pulse", "info", "district.event")
        said = {name: event["data"][name] for name in ("who", "role", "from", "alarm", "outcome", "note")}
        assert said == {
            "who": "wang", "role": "installer", "from": "cli", "alarm": alarm, "outcome": "false", "note": "炒菜",
        }  # fmt: skip
    made.climate.set_condition("fire.smoke", False)
    await ends.arrived()
    await made.city.until(lambda: word(made, "climate-1") == "normal")
    assert alarm not in {shown["alarm"] for shown in await ask(made.daemon.state, "alarms")}


def word(made: Community, device: str) -> str:
    """The device's word as the district has it now."""
    return str((made.city.document(f"/state/{device}") or {}).get("state"))


# --- what is kept on the broker


async def test_all_documents_are_as_published_and_retained(made: Community) -> None:
    async with subscribed(made.broker.port) as later:
        await later.until(lambda: all(later.document(f"/state/{device}") for device in PLACES))
        await later.until(lambda: all(later.document(f"/{name}") for name in ("status", "health", "dossier")))
        kept = {str(m.topic).removeprefix(f"{BASE}/"): json.loads(bytes(m.payload)) for m in later.messages if m.retain}
    lasting = {name for name in kept if not name.startswith("alarm/")}  # whatever alarms there are by now
    assert lasting == {"status", "health", "dossier", *(f"state/{device}" for device in PLACES)}
    for name, document in kept.items():
        MODELS[name.partition("/")[0]].model_validate_json(json.dumps(document))
    assert (kept["status"]["state"], kept["status"]["session"]) == ("online", 1)
    assert set(kept["health"]["uplinks"]) == {"district"}
    assert kept["health"]["drivers"]["modbus"] == {"state": "running", "devices": 2, "offline": 0}
    assert kept["dossier"]["area"] == {"district": "310104", "street": "013", "community": "002", "name": "阳光花园"}
    assert {place["path"]: place["label"] for place in kept["dossier"]["places"]}["b3/u2/f5"] == "3号楼2单元5层"
    assert [device["id"] for device in kept["dossier"]["devices"]] == [
        "smoke-1", "climate-1", "door-1", "door-2", "cam-1", "panic-1",
    ]  # fmt: skip


async def test_topics_keep_to_the_contract(made: Community) -> None:
    topics = {str(m.topic) for subscriber in (made.city, made.brigade) for m in subscriber.messages}
    for topic in topics:
        assert re.fullmatch(r"[a-z0-9_-]+(/[a-z0-9_-]+)+", topic), topic
        assert topic.count("/") <= 7
    for message in made.city.messages:
        if "/event/" in str(message.topic):
            event = json.loads(bytes(message.payload))
            assert str(message.topic) == f"{BASE}/event/{event['type'].partition('.')[0]}"
            assert (message.qos, message.retain) == (1, False)


# --- several departments


async def test_each_department_gets_exactly_its_share(made: Community) -> None:
    smoke = Next(made.brigade, "smoke-1", "fire.smoke", "raise")
    passed = Next(made.brigade, "door-1", "access.granted", "pulse", root="police/v1")
    end = Next(made.brigade, "smoke-1", "fire.smoke", "clear")
    made.readers.readers[1].present(*RESIDENT_BITS)
    made.smoke.set_condition("fire.smoke", True)
    told = await smoke.arrived()
    assert told["stream"] == "fire-brigade.alarm"
    assert "raw" not in told["data"]  # strict
    seen = await passed.arrived()
    assert seen["stream"] == "police.event"
    assert seen["data"]["credential"] == {
        "ref": reference(made.daemon.state, "police", RESIDENT),
        "kind": "card", "format": "wiegand-26", "facility": 90, "number": 324,
    }  # fmt: skip
    made.smoke.set_condition("fire.smoke", False)
    await end.arrived()
    kinds = {root: {event["type"] for event in arrived(made.brigade, root)} for root in ("sc/v1", "police/v1")}
    assert {kind for kind in kinds["sc/v1"] if not kind.startswith("fire.") and kind != "device.fault"} == set()
    assert {kind.partition(".")[0] for kind in kinds["police/v1"]} <= {"access", "operator"}
    same = {event["id"] for event in made.city.events()}
    assert {event["id"] for event in arrived(made.brigade, "sc/v1")} <= same
    keys = {reference(made.daemon.state, uplink, RESIDENT) for uplink in ("district", "fire-brigade", "police")}
    assert len(keys) == 3  # no two departments can join their data


async def test_every_stream_counts_without_a_gap(made: Community) -> None:
    granted = Next(made.city, "door-1", "access.granted", "pulse")
    made.readers.readers[1].present(*RESIDENT_BITS)
    await granted.arrived()
    streams: dict[str, list[dict[str, Any]]] = {}
    for event in (*made.city.events(), *made.brigade.events()):
        streams.setdefault(event["stream"], []).append(event)
    for stream, events in streams.items():
        assert [int(event["sequence"]) for event in events] == list(range(1, len(events) + 1)), stream
        assert [event["id"] for event in events] == sorted(event["id"] for event in events), stream
        assert len({event["id"] for event in events}) == len(events), stream


async def test_a_dead_department_is_told_and_costs_nobody_anything(made: Community) -> None:
    await made.city.until(lambda: of(made.city, ("gw-0001", "gateway.uplink_lost", "raise")), 20.0)
    (event,) = of(made.city, ("gw-0001", "gateway.uplink_lost", "raise"))
    checked(event)
    assert form(event) == ("raise", "high", "district.alarm")
    assert (event["data"]["uplink"], event["data"]["codes"]) == ("dead", {"contact-id": 350})
    assert "place" not in event["data"]
    lanes = (await ask(made.daemon.state, "outbox"))["dead"]["lanes"]
    assert lanes["alarm"]["backlog"] >= 1
    assert lanes["alarm"]["sent"] == 0
    assert not [line for line in made.daemon.log if "Traceback" in line]
    assert len([line for line in made.daemon.log if "uplink.dead" in line]) == 1
