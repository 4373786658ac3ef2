"""A hub and its devices without a broker: whose a message is, who is there, who was found; configuration."""

import json
import logging
import math
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from drivers._mqtt_config import Config
from drivers._mqtt_device import Batch
from drivers._mqtt_found import MOST, Find, Finds, cleaned, id_of
from drivers._mqtt_hub import MOST_KEYS, Hub
from drivers._mqtt_profile import known, load
from drivers._mqtt_topics import below, filters, parts, topic_filter
from drivers.mqtt_in import DRIVER
from gateway.build import lines
from gateway.config import ConfigProblems
from gateway.config import load as load_config
from gateway.driver import Line, registry
from gateway.errors import Misconfigured
from gateway.event import Phase, Reading
from gateway.fields import Wrong
from tests.fakes import EPOCH, ManualClock, RecordingLink
from tests.unit.configs import ROOT

HUB = {"id": "hub", "url": "mqtt://127.0.0.1"}
IEEE = "0x00158d0000000001"
INVENTORY = [
    {"friendly_name": "Coordinator", "ieee_address": "0x0", "type": "Coordinator"},
    {"friendly_name": "hall", "ieee_address": IEEE, "type": "EndDevice", "definition": {"vendor": "V", "model": "M"}},
    {"friendly_name": "new", "ieee_address": "0x00158d0000000002", "type": "EndDevice", "definition": None},
]


def config(**entry: Any) -> Config:
    return Config.model_validate({"driver": "mqtt_in", "place": "b3", **entry})


class House:
    """A hub of a profile, with devices; `take` one message and look at what is new."""

    def __init__(self, profile: str, *devices: dict[str, Any], **hub: Any) -> None:
        self.clock = ManualClock()
        self.link = RecordingLink(self.clock)
        entries = [config(**HUB, profile=profile, **hub), *(config(hub="hub", **entry) for entry in devices)]
        self.hub = Hub(entries, self.link)

    def take(self, topic: str, payload: Any, retained: bool = False) -> Batch:
        """One message; text as it is, anything else as JSON."""
        batch = self.hub.batch()
        wire = payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()
        self.hub.take(batch, topic, wire, retained)
        for device in self.hub.devices:
            self.link.conditions[device] = batch.held(device)
        for name, why in batch.gone.items():
            if name in self.hub.devices:
                self.hub.devices[name].away = why
        for there in batch.there.values():
            if there is not None:
                there.away = None
        return batch


def news(batch: Batch) -> list[tuple[str, str, str]]:
    return [(reading.device, reading.type, reading.phase.value) for reading in (*batch.urgent, *batch.samples)]


def zigbee(**hub: Any) -> House:
    return House("zigbee2mqtt", {"id": "hall", "address": IEEE}, **hub)


# whose it is


def test_the_address_counts_not_the_name() -> None:
    house = zigbee()
    house.take("zigbee2mqtt/bridge/devices", INVENTORY)
    raised = [("hall", "fire.smoke", "raise")]
    assert news(house.take("zigbee2mqtt/hall", {"smoke": True})) == raised
    house.take("zigbee2mqtt/bridge/devices", [{"friendly_name": "a/b c", "ieee_address": IEEE.upper()}])
    assert news(house.take("zigbee2mqtt/a/b c", {"smoke": False})) == [("hall", "fire.smoke", "clear")]


def test_what_comes_before_the_inventory_waits_if_nobody_knows_it() -> None:
    house = zigbee()
    assert house.hub.waits("zigbee2mqtt/hall")
    assert house.hub.waits("zigbee2mqtt/hall/availability")
    assert not house.hub.waits(f"zigbee2mqtt/{IEEE}")
    assert not house.hub.waits("zigbee2mqtt/bridge/state")
    assert not house.hub.waits("zigbee2mqtt/bridge/devices")
    assert not house.hub.waits("zigbee2mqtt/hall/set")
    house.take("zigbee2mqtt/bridge/devices", INVENTORY)
    assert not house.hub.waits("zigbee2mqtt/new")
    assert not House("chirpstack").hub.waits("application/1/device/2/event/up")


@pytest.mark.parametrize(
    "tail", ["bridge/logging", "bridge/event", "hall/set", "hall/get", "hall/set/state", "hall/x/set"]
)
def test_commands_and_the_bridge_s_own_talk_are_no_reports(tail: str) -> None:
    house = zigbee()
    house.take("zigbee2mqtt/bridge/devices", INVENTORY)
    batch = house.take(f"zigbee2mqtt/{tail}", {"smoke": True})
    assert (batch.urgent, batch.there) == ([], {})
    for topic, payload in (("other/hall", "{}"), ("zigbee2mqtt/hall", "")):
        assert house.take(topic, payload).there == {}


def test_ids_by_a_pattern() -> None:
    house = House("chirpstack", {"id": "lora-0101-yard"}, ids="lora-{device}-{deviceInfo.tags.place}")
    body = {"deviceInfo": {"tags": {"place": "Yard"}}, "object": {"smoke": 1}}
    assert news(house.take("application/1/device/0101/event/up", body)) == [("lora-0101-yard", "fire.smoke", "raise")]
    house.take("application/1/device/0202/event/up", body)
    assert [find.suggested for find in house.hub.directory.finds.by_address.values()] == ["lora-0202-yard"]


@pytest.mark.parametrize(
    ("pattern", "names", "made"),
    [
        ("z-{address}", {"address": "0x00AB"}, "z-0x00ab"),
        ("{name}", {"name": "3号楼/烟感 1"}, "3-1"),
        ("{name}", {"name": "烟感"}, None),
        ("a-{deep.number}", {}, "a-7"),
        ("a-{deep.no}", {}, None),
        ("a-{deep}", {}, None),
        (None, {"name": "x"}, None),
        ("{name}", {"name": "x" * 80}, None),
    ],
)
def test_what_a_pattern_makes(pattern: str | None, names: dict[str, str], made: str | None) -> None:
    assert id_of(pattern, names, {"deep": {"number": 7}}) == made


# who was found


def test_what_is_not_configured_is_told_once_and_listed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    house = zigbee(ids="z2m-{address}")
    house.take("zigbee2mqtt/bridge/devices", INVENTORY)
    for _ in range(3):
        assert news(house.take("zigbee2mqtt/new", {"smoke": True})) == []
    assert len(caplog.records) == 1
    assert "id: z2m-0x00158d0000000002" in caplog.text
    listed = YAML(typ="safe", pure=True).load(house.hub.directory.finds.text())
    (entry,) = listed["devices"]
    assert entry["address"] == "0x00158d0000000002"
    adopted = config(**{**entry, "place": "b3"})
    assert adopted.id == "z2m-0x00158d0000000002"


def test_a_list_of_finds_has_an_end_and_no_tricks() -> None:
    told: list[Any] = []
    finds = Finds("hub", lambda *words: told.append(words))
    for number in range(MOST + 10):
        finds.tell(Find(f"{number}", None, "x", EPOCH))
    assert len(finds.by_address) == len(told) == MOST
    tricky = Find('a"}\n- {id: evil', None, cleaned("line\nbreak\x1b[31m" + "x" * 200), EPOCH)
    assert "\n" not in tricky.line("hub")
    (entry,) = YAML(typ="safe", pure=True).load(f"devices:\n{tricky.line('hub')}\n")["devices"]
    assert entry["address"] == 'a"}\n- {id: evil'


@given(st.text(max_size=40))
def test_any_address_can_be_listed(address: str) -> None:
    line = Find(address, None, cleaned(address), EPOCH).line("hub")
    (entry,) = YAML(typ="safe", pure=True).load(f"devices:\n{line}\n")["devices"]
    assert entry["address"] == address


# who is there


def test_a_report_is_a_sign_of_life_unless_it_is_retained() -> None:
    house = zigbee()
    assert set(house.take(f"zigbee2mqtt/{IEEE}", {"smoke": False}).there) == {"hall"}
    assert set(house.take(f"zigbee2mqtt/{IEEE}", {"smoke": False}, retained=True).there) == set()


def test_an_old_report_from_a_cache_is_no_sign_of_life() -> None:
    house = zigbee(offline_after="1h")
    device = house.hub.devices["hall"]
    old, fresh = (house.clock.utc() - timedelta(minutes=minutes) for minutes in (61, 59))
    batch = house.take(f"zigbee2mqtt/{IEEE}", {"smoke": True, "last_seen": old.isoformat()})
    assert (set(batch.there), device.heard_s) == (set(), -math.inf)
    assert news(batch) == [("hall", "fire.smoke", "raise")]
    batch = house.take(f"zigbee2mqtt/{IEEE}", {"last_seen": int(fresh.timestamp() * 1000)}, retained=True)
    assert set(batch.there) == {"hall"}
    assert device.heard_s == pytest.approx(-59 * 60)


def test_silence_is_told_after_its_time_and_once() -> None:
    house = zigbee(offline_after="1h")
    assert (list(house.hub.roll.silent()), house.hub.roll.due_s()) == ([], 3600)
    house.clock.advance(1800)
    house.take(f"zigbee2mqtt/{IEEE}", {"battery": 50})
    house.clock.advance(3599)
    assert list(house.hub.roll.silent()) == []
    house.clock.advance(1)
    assert list(house.hub.roll.silent()) == ["hall"]
    house.hub.devices["hall"].away = "silent"
    assert list(house.hub.roll.silent()) == []
    assert house.hub.roll.due_s() == math.inf


def test_the_device_s_own_limit_counts_most() -> None:
    house = House("zigbee2mqtt", {"id": "a", "address": "a", "offline_after": "5m"}, {"id": "b", "address": "b"})
    assert house.hub.devices["a"].offline_after_s == 300
    assert house.hub.devices["b"].offline_after_s == 25 * 3600
    assert House("frigate", {"id": "a", "address": "a"}).hub.devices["a"].offline_after_s == math.inf


def test_a_device_that_sleeps_is_not_lost_by_its_own_word() -> None:
    house = House("shelly", {"id": "a", "address": "s-1"}, {"id": "b", "address": "s-2", "sleeps": True})
    assert house.take("s-1/online", "false", retained=True).gone == {"a": "reported-offline"}
    assert house.take("s-2/online", "false", retained=True).gone == {}
    assert set(house.take("s-2/online", "true").there) == {"b"}


def test_the_hub_s_word_counts_more_than_a_stale_availability() -> None:
    house = zigbee()
    house.take("zigbee2mqtt/bridge/state", "offline", retained=True)
    assert house.take(f"zigbee2mqtt/{IEEE}/availability", "online", retained=True).there == {}
    assert "hall" in house.take(f"zigbee2mqtt/{IEEE}", {"smoke": False}).there  # it speaks all the same


def test_devices_come_back_with_the_hub_unless_they_are_silent() -> None:
    house = zigbee(offline_after="1h")
    house.take(f"zigbee2mqtt/{IEEE}", {"battery": 50})
    for away_s, back in ((60, True), (3600, False)):
        gone = house.take("zigbee2mqtt/bridge/state", {"state": "offline"}).gone
        assert gone == {"hub": "reported-offline", "hall": "hub-offline"}
        house.clock.advance(away_s)
        assert ("hall" in house.take("zigbee2mqtt/bridge/state", {"state": "online"}).there) is back


def test_what_the_hub_says_of_a_device_counts_more_than_its_own_return() -> None:
    house = House("frigate", {"id": "a", "address": "front"}, {"id": "b", "address": "back"})
    house.take("frigate/front/status/detect", "offline", retained=True)
    assert set(house.take("frigate/available", "online").there) == {"hub", "b"}
    assert set(house.take("frigate/front/status/detect", "online").there) == {"a"}


def test_a_device_that_was_never_heard_does_not_come_back() -> None:
    house = zigbee()
    house.hub.devices["hall"].away = "unreachable"
    assert set(house.take("zigbee2mqtt/bridge/state", "online").there) == {"hub"}
    assert house.hub.connected().there == {}
    assert house.hub.roll.online is None
    assert set(House("tasmota", {"id": "a", "address": "a"}).hub.connected().there) == {"hub"}


@pytest.mark.parametrize("payload", ["", "maybe", "[]", '{"x": 1}', "null", "\x00"])
def test_a_presence_that_makes_no_sense_changes_nothing(payload: str) -> None:
    house = zigbee()
    batch = house.take(f"zigbee2mqtt/{IEEE}/availability", payload)
    assert (batch.there, batch.gone) == ({}, {})
    batch = house.take("zigbee2mqtt/bridge/state", payload)
    assert (batch.there, batch.gone, house.hub.roll.online) == ({}, {}, None)


# keys, nonsense, floods


def test_a_key_counts_for_its_device() -> None:
    house = House("json", {"id": "a", "address": "a"}, {"id": "b", "address": "b"}, base="x")
    said = {"event_id": "7", "smoke": True}
    assert len(house.take("x/a", said).urgent) == len(house.take("x/b", said).urgent) == 1
    house.link.conditions.clear()
    again = house.take("x/a", said)
    assert (again.urgent, set(again.there), again.keys) == ([], {"a"}, [])
    for number in range(2 * MOST_KEYS):
        house.take("x/a", {"event_id": f"n{number}"})
    assert len(house.hub.keys) == MOST_KEYS


def test_what_cannot_be_read_is_told_once_for_its_topic(caplog: pytest.LogCaptureFixture) -> None:
    house = House("chirpstack", {"id": "a", "address": "01"})
    for payload in ("\x0a\x03protobuf", "{}", "[]", "7"):
        assert news(house.take("application/1/device/01/event/up", payload)) == []
    (record,) = caplog.records
    assert "json=true" in record.getMessage()
    assert house.link.readings == []


TAILS = st.sampled_from(["bridge/state", "bridge/devices", "hall", f"{IEEE}/availability", IEEE, "x/set"])
PAYLOADS = st.binary(max_size=40) | st.sampled_from([b"online", b'{"smoke": true}', b"[{}]", b"[1]"])


@given(st.lists(st.tuples(TAILS, PAYLOADS, st.booleans()), max_size=8))
def test_a_hub_takes_whatever_comes(messages: list[tuple[str, bytes, bool]]) -> None:
    house = zigbee()
    for tail, payload, retained in messages:
        batch = house.hub.batch()
        house.hub.take(batch, f"zigbee2mqtt/{tail}", payload, retained)
        assert all(reading.device == "hall" for reading in batch.urgent)


def test_activities_end_with_time_and_with_the_hub() -> None:
    house = House("frigate", {"id": "cam", "address": "front"})
    begun = {"type": "new", "after": {"id": "1", "camera": "front", "severity": "alert"}}
    assert news(house.take("frigate/reviews", begun)) == [("cam", "video.intrusion", "raise")]
    assert house.hub.roll.due_s() == 600
    batch = house.hub.batch()
    assert list(house.hub.roll.over(batch, 601.0)) == [Reading("cam", "video.intrusion", Phase.CLEAR)]
    begun["after"] = {"id": "2", "camera": "front", "severity": "alert"}
    house.link.conditions.clear()
    house.take("frigate/reviews", begun)
    assert news(house.take("frigate/available", "stopped")) == [("cam", "video.intrusion", "clear")]


# topics


@pytest.mark.parametrize(
    ("pattern", "topic", "found"),
    [
        ("{device}/x", "a/x", {"device": "a"}),
        ("{device}/x", "a/b/x", None),
        ("{device*}/x", "a/b/x", {"device": "a/b"}),
        ("+/{name}", "a/b", {"name": "b"}),
        ("a/#", "a/b/c", {}),
        ("a.b", "aXb", None),
        ("{device}", "烟感 1", {"device": "烟感 1"}),
        ("{device}", "", None),
    ],
)
def test_parts_of_topics(pattern: str, topic: str, found: dict[str, str] | None) -> None:
    assert parts(pattern, topic) == found


def test_the_fewest_subscriptions_that_bring_it_all() -> None:
    assert topic_filter("a/{x}/b") == "a/+/b"
    assert topic_filter("a/{x*}/b") == "a/#"
    assert filters(["a/{x*}", "a/b", "c/+", "c/d", "c/d/e"]) == ("a/#", "c/+", "c/d/e")
    assert filters(["+/a", "b/+"]) == ("+/a", "b/+")
    assert zigbee().hub.filters == ("zigbee2mqtt/#",)
    assert House("zigbee2mqtt", base="zigbee/east/").hub.filters == ("zigbee/east/#",)
    assert "#" not in House("tasmota").hub.filters
    assert below("", "x") == "x"


# configuration and profiles


WRONG = [
    ({}, "either url: of the broker"),
    ({**HUB, "hub": "x", "profile": "json"}, "either url: of the broker"),
    ({**HUB}, "a hub needs profile:"),
    ({"hub": "hub", "profile": "json"}, "the devices behind it have none"),
    ({"hub": "hub", "username": "x"}, "username: stands with the hub"),
    ({**HUB, "profile": "json", "address": "x"}, "address: stands with a device behind the hub"),
    ({**HUB, "profile": "zigbe2mqtt"}, "did you mean zigbee2mqtt?"),
    ({**HUB, "profile": "json", "ids": "x"}, "a pattern of ids is needed"),
    ({**HUB, "profile": "json", "ids": "X-{address}"}, "a pattern of ids is needed"),
    ({**HUB, "profile": "json", "tls": {}}, "tls: needs mqtts://"),
    ({**HUB, "profile": "json", "password": "x"}, "password: needs username:"),
    ({**HUB, "url": "http://h", "profile": "json"}, "the broker is needed as"),
    ({**HUB, "url": "mqtt://u:p@h", "profile": "json"}, "without user and password"),
    ({**HUB, "url": "mqtt://h:0", "profile": "json"}, "the broker is needed as"),
    ({"hub": "hub", "conditions": {"a": "fire.smok"}}, "did you mean fire.smoke?"),
    ({"hub": "hub", "conditions": {"a": "access.granted"}}, "no condition that begins and ends"),
    ({"hub": "hub", "conditions": {"a": {"type": "fire.smoke", "on": [1], "off": ["1"]}}}, "1 stands under on: and"),
    ({"hub": "hub", "conditions": {"a": {"type": "fire.heat", "below": 1, "above": 2}}}, "either below: or above:"),
]


@pytest.mark.parametrize(("entry", "said"), WRONG)
def test_a_wrong_configuration_is_explained(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        config(**{"id": "d", **entry})


def test_a_broker_that_anybody_may_use_is_advised_against() -> None:
    open_ = config(id="hub", url="mqtt://192.0.2.9", profile="json")
    ((key, text),) = open_.advice()
    assert key == "url"
    assert text.zh
    assert config(id="hub", url="mqtt://192.0.2.9", profile="json", username="u").advice() == ()
    assert config(**HUB, profile="json").advice() == config(id="d", hub="hub").advice() == ()
    assert open_.endpoint == ("192.0.2.9", 1883)
    assert config(id="hub", url="mqtts://h", profile="json", protocol=5).endpoint == ("h", 8883)


HOUSE = """\
gateway: {id: gw-0001}
site: {name: 阳光花园, area: {district: "310104", street: "013", community: "002"}, places: {b3: {label: 3号楼}}}
devices:
  - {id: zigbee, driver: mqtt_in, url: "mqtt://127.0.0.1", profile: zigbee2mqtt, place: b3}
  - {id: a, driver: mqtt_in, hub: zigbee, address: "0x1", place: b3}
  - {id: hook, driver: webhook, token: 0123456789abcdef, place: b3}
"""


def read(folder: Path, *more: str) -> Any:
    (folder / "gateway.yaml").write_text(HOUSE + "".join(f"  - {line}\n" for line in more), "utf-8")
    return load_config(folder / "gateway.yaml", registry().models()).config


def test_a_hub_and_its_devices_share_a_line(tmp_path: Path) -> None:
    made = lines(read(tmp_path))
    assert [(driver, line.name, [d.id for d in line.devices]) for driver, line in made] == [
        ("mqtt_in", "zigbee", ["zigbee", "a"]),
        ("webhook", "hook", ["hook"]),
    ]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{id: b, driver: mqtt_in, hub: zigbe, place: b3}", "no device is called zigbe"),
        ("{id: b, driver: mqtt_in, hub: hook, place: b3}", "hook is no hub"),
        ("{id: b, driver: mqtt_in, hub: a, place: b3}", "a is no hub"),
        ('{id: b, driver: mqtt_in, hub: zigbee, address: "0x1", place: b3}', "this address is taken"),
    ],
)
def test_a_hub_that_is_none_is_told(tmp_path: Path, entry: str, said: str) -> None:
    with pytest.raises(ConfigProblems) as caught:
        read(tmp_path, entry)
    (problem,) = caught.value.problems
    assert said in problem.what.en
    assert problem.key in ("devices[3].hub", "devices[3].address")
    assert re.search("[一-鿿]", problem.what.zh)


async def test_devices_without_their_hub_are_told() -> None:
    with pytest.raises(Misconfigured, match="there is no hub"):
        await DRIVER.run(Line("hub", None, (config(id="d", hub="hub"),)), RecordingLink())


@pytest.mark.parametrize("name", known())
def test_every_profile_is_sound(name: str) -> None:
    profile = load(name)
    assert re.search("[一-鿿]", profile.title.zh)
    assert all(map.conditions or map.values or map.happenings or map.activity for map in profile.maps.values())
    assert {topic.report for topic in profile.topics if topic.report} == set(profile.maps)
    assert House(name).hub.filters


HEAD = "title: {en: A, zh: 甲}\nsource: a test of the parser\nconfidence: memory\n"
TOPIC = 'topics: [{topic: "x/{device}", report: m}]\n'


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("topics: []", "topics: "),
        ('topics: ["x/{device}"]', "no topic says anything"),
        (TOPIC, 'there is no map "m"'),
        ("topics: [{topic: x, report: m}]\nmaps: {m: {}}", "whose it is must stand in the topic"),
        ('topics: [{topic: "{device}", alive: true, report: m}]\nmaps: {m: {}}', "one of presence, inventory"),
        ('topics: [{topic: "a{device}", alive: true}]', "a topic is needed"),
        ('topics: [{topic: "#/a", about: hub, alive: true}]', "a topic is needed"),
        ('topics: [{topic: "{a}/{a}", about: hub, alive: true}]', "a topic is needed"),
        (f"{TOPIC}maps: {{m: {{conditions: {{a: fire.smoke, b: fire.smoke}}}}}}", "give each a part:"),
        (f"{TOPIC}maps: {{m: {{conditions: {{a: fire.smok}}}}}}", "did you mean fire.smoke"),
        (f"{TOPIC}maps: {{m: {{valus: {{}}}}}}", "did you mean values?"),
        (f"{TOPIC}maps: {{m: {{activity: {{id: a, type: access.granted, ended: b}}}}}}", "no condition that begins"),
        (f"{TOPIC}maps: {{m: {{happenings: [{{at: a, map: {{type: operator.ack}}}}]}}}}", "is the gateway's to tell"),
    ],
)
def test_a_wrong_profile_is_explained(tmp_path: Path, body: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(HEAD + body + "\n", "utf-8")
    with pytest.raises(Wrong) as caught:
        load(str(path))
    assert said in caught.value.text.en
    assert caught.value.text.en.startswith(str(path))
    assert re.search("[一-鿿]", caught.value.text.zh)


def test_a_profile_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    body = "maps: {m: {conditions: {alarm.level: {type: fire.smoke, on: [3], off: [0]}}, values: {ppm: ppm}}}\n"
    path.write_text(HEAD + TOPIC + body, "utf-8")
    house = House(str(path), {"id": "a", "address": "7", "conditions": {"leak": "fire.supervisory"}})
    batch = house.take("x/7", {"alarm": {"level": 3}, "leak": 1, "ppm": 4})
    assert news(batch) == [
        ("a", "fire.smoke", "raise"),
        ("a", "fire.supervisory", "raise"),
        ("a", "telemetry.sample", "pulse"),
    ]


def test_the_guide_s_examples_are_right(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "drivers" / "mqtt_in.md").read_text("utf-8")
    yaml = YAML(typ="safe", pure=True)
    yaml.constructor.add_constructor("!file", lambda *_: "secret")
    blocks = [yaml.load(block) for block in re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)]
    entries = [entry for block in blocks for entry in block.get("devices", ())]
    assert len(entries) >= 6
    for entry in entries:
        assert config(**entry).driver == "mqtt_in"
    (own,) = [block for block in blocks if "topics" in block]
    (tmp_path / "meters.yaml").write_text(json.dumps(own), "utf-8")
    house = House(str(tmp_path / "meters.yaml"), {"id": "m", "address": "7"})
    batch = house.take("meters/7/data", {"msgId": "1", "alarm": {"leak": 1}, "reading": 12345, "event": "opened"})
    assert [type for _, type, _ in news(batch)] == [
        "fire.supervisory", "device.tamper", "device.tamper", "telemetry.sample",
    ]  # fmt: skip
    assert house.take("meters/7/status", {"state": "down"}).gone == {"m": "reported-offline"}
    assert set(re.findall(r"^\| (.+?) \|", guide, re.MULTILINE)[2:]) >= {"`frigate`", "`chirpstack`", "`tasmota`"}
