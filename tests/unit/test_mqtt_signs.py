"""What a broker's messages tell of hubs: each kind in its own shapes, other bases, foreign messages, rubbish."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import _mqtt_survey
from drivers._mqtt_signs import FILTERS, ROUTES, take
from drivers._mqtt_survey import Survey
from drivers.sim.mqtt_in import ChirpStack, Frigate, Said, Zigbee2mqtt, said
from gateway.driver import Found
from tests.finds import validated

NAME = "3号楼/烟感 1"
BOARD = {"ip": "192.0.2.8", "dn": "Pump room", "mac": "E09806F17F56", "md": "Sonoff Basic", "sw": "12.4.0",
         "t": "pump", "ft": "%prefix%/%topic%/", "tp": ["cmnd", "stat", "tele"], "rl": [1]}  # fmt: skip
SMOKE = {"ieee_address": "0x1", "friendly_name": "x", "type": "EndDevice", "disabled": True,
         "definition": {"vendor": "HEIMAN", "model": "HS1SA", "exposes": [{"property": "smoke"}, 7]}}  # fmt: skip
topics = st.sampled_from([pattern.replace("{", "").replace("}", "") for pattern, _ in ROUTES])
bodies = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["deviceInfo", "devEui", "ieee_address", "friendly_name", "t", "ft", "cameras", "service",
                             "version", "coordinator", "src", "method", "id", "mac", "definition", "exposes"]),
            inner,
            max_size=5,
        )
    ),
)  # fmt: skip


def told(messages: Iterable[Said], port: int = 1883, user: str | None = None) -> list[Found]:
    survey = Survey("192.0.2.5", port, user)
    for each in messages:
        take(survey, each.topic, each.payload.encode())
    return list(survey.news())


def keys(messages: Iterable[Said]) -> list[dict[str, Any]]:
    return [dict(each.device) for each in told(messages)]


def tasmota(**changed: Any) -> list[Said]:
    return [said("tasmota/discovery/E09806F17F56/config", BOARD | changed, retain=True)]


# rubbish


@given(topics, st.binary(max_size=200))
def test_rubbish_never_raises(topic: str, payload: bytes) -> None:
    survey = Survey("192.0.2.5", 1883, None)
    take(survey, topic, payload)
    for found in survey.news():
        validated(found)


@given(st.lists(st.tuples(topics, bodies), max_size=6))
def test_whatever_is_found_can_stand_in_the_configuration(messages: list[tuple[str, Any]]) -> None:
    for found in told([Said(topic, json.dumps(body)) for topic, body in messages]):
        assert validated(found).driver == "mqtt_in"
        assert found.where.isprintable()
        assert found.what.en.isprintable()


@given(st.text(max_size=60))
def test_any_topic(topic: str) -> None:
    survey = Survey("192.0.2.5", 1883, None)
    take(survey, topic, b"online")
    assert len(list(survey.news())) <= 2


def test_an_inventory_that_is_nested_too_deep() -> None:
    assert told([Said("zigbee2mqtt/bridge/devices", "[" * 100_000)]) == []


# each kind


def test_zigbee2mqtt_with_its_version_names_and_addresses() -> None:
    source = Zigbee2mqtt([NAME])
    info = said("zigbee2mqtt/bridge/info", {"version": "2.1.3", "coordinator": {"type": "zStack3x0"}})
    hub, device = told([source.inventory(), info])
    assert hub.where == "192.0.2.5:1883 zigbee2mqtt"
    assert hub.what.en == "Zigbee2MQTT; 2.1.3"
    expected = {"id": "zigbee2mqtt", "driver": "mqtt_in", "url": "mqtt://192.0.2.5", "profile": "zigbee2mqtt"}
    assert hub.device == expected
    assert device.device == {
        "driver": "mqtt_in", "hub": "zigbee2mqtt", "address": "0x00158d0000000001", "name": NAME,
        "make": "HEIMAN", "model": "HS1SA",
    }  # fmt: skip
    assert device.what.zh == "3号楼/烟感 1,HEIMAN,HS1SA"


def test_zigbee2mqtt_under_other_bases() -> None:
    first, second = Zigbee2mqtt(["a"]), Zigbee2mqtt(["b"])
    first.base, second.base = "z2m", "home/Zigbee"
    made = keys([first.inventory(), second.inventory()])
    assert [each.get("base") for each in made] == ["z2m", None, "home/Zigbee", None]
    assert [each.get("id") or each["hub"] for each in made] == ["zigbee2mqtt-z2m"] * 2 + ["zigbee2mqtt-home-zigbee"] * 2


def test_what_a_zigbee_device_shows_is_its_kind() -> None:
    _, found = told([said("zigbee2mqtt/bridge/devices", [SMOKE, {"friendly_name": 7}, "x"])])
    assert found.device["kind"] == "smoke"
    assert "disabled there" in found.what.en


def test_chirpstack_4() -> None:
    source = ChirpStack(["检测器"])
    hub, device = told(source.smoke("检测器", True))
    assert hub.device["profile"] == "chirpstack"
    assert "only when they send" in hub.what.en
    assert "仅在上报时" in hub.what.zh
    expected = {"driver": "mqtt_in", "hub": "chirpstack", "address": "0101010101010001", "name": "检测器"}
    assert device.device == expected


@pytest.mark.parametrize("payload", ['{"devEUI": "AQEBAQEBAQE="}', "\x01\x02"])
def test_chirpstack_3_or_protobuf_is_told_and_not_read(payload: str) -> None:
    (hub,) = told([Said("application/1/device/0101010101010101/event/up", payload)])
    assert "version 3 and protobuf are not read" in hub.what.en


def test_chirpstack_before_any_device_sends() -> None:
    (hub,) = told([Said("cn470_10/gateway/0016c001f153a14c/state/conn", "\x0a\x10", retain=True)])
    assert hub.device["id"] == "chirpstack"


def test_tasmota_by_its_own_account() -> None:
    hub, device = told([*tasmota(), Said("tele/pump/LWT", "Online", retain=True)])
    assert hub.device == {"id": "tasmota", "driver": "mqtt_in", "url": "mqtt://192.0.2.5", "profile": "tasmota"}
    expected = {"driver": "mqtt_in", "hub": "tasmota", "address": "pump", "name": "Pump room", "model": "Sonoff Basic"}
    assert device.device == expected
    assert device.what.en == "Pump room, Sonoff Basic, Tasmota 12.4.0"


@pytest.mark.parametrize(("ft", "base"), [("home/%prefix%/%topic%/", "home"), ("a/b/%topic%/%prefix%/", "a/b")])
def test_tasmota_under_a_base(ft: str, base: str) -> None:
    hub, device = keys(tasmota(ft=ft))
    assert (hub["base"], device["hub"]) == (base, hub["id"])


@pytest.mark.parametrize(
    "changed", [{"ft": "%topic%/x/%prefix%/"}, {"tp": ["a", "b", "c"]}, {"ft": "%hostname%/%prefix%/%topic%/"}]
)
def test_tasmota_whose_topics_the_profile_does_not_know(changed: dict[str, Any]) -> None:
    _, device = told(tasmota(**changed))
    assert "set its FullTopic" in device.what.en
    assert "请将其 FullTopic" in device.what.zh


@pytest.mark.parametrize("topic", ["tele/pump/LWT", "pump/tele/LWT"])
def test_tasmota_without_discovery(topic: str) -> None:
    assert [each.get("address") for each in keys([Said(topic, "Offline")])] == [None, "pump"]


def test_shelly_of_both_generations() -> None:
    announced = {"id": "shellysmoke-AA", "model": "SHSM-01", "mac": "AA", "fw_ver": "v1.14"}
    made = keys([
        Said("shellyplussmoke-aabb/online", "true", retain=True),
        said("flat-7/events/rpc", {"src": "shellyplussmoke-cc", "method": "NotifyStatus", "params": {}}),
        Said("shellies/shellydw-01/online", "true", retain=True),
        said("shellies/announce", announced),
    ])  # fmt: skip
    hubs = [each["profile"] for each in made if "profile" in each]
    addresses = [each["address"] for each in made if "address" in each]
    assert hubs == ["shelly", "shelly-gen1"]
    assert addresses == ["shellyplussmoke-aabb", "flat-7", "shellydw-01", "shellysmoke-AA"]
    assert made[-1]["model"] == "SHSM-01"


def test_frigate_and_its_cameras() -> None:
    stats = {"cameras": {"gate": {}, "yard": {}}, "detectors": {}, "service": {"version": "0.14.1"}}
    hub, *cameras = told([*Frigate([]).hello(), said("frigate/stats", stats), Said("frigate/lift/detect/state", "ON")])
    assert hub.what.en == "Frigate; 0.14.1"
    assert [each.device["address"] for each in cameras] == ["gate", "yard", "lift"]
    assert {each.device["kind"] for each in cameras} == {"camera"}


def test_frigate_under_another_name_needs_two_signs() -> None:
    signs = [Said("nvr-2/available", "online"), Said("nvr-2/gate/detect/state", "ON")]
    assert [keys([sign]) for sign in signs] == [[], []]
    assert [each.get("base") for each in keys(signs)] == ["nvr-2", None]


def test_what_others_say_is_no_hub() -> None:
    foreign = [
        Said("lamp/online", "true"),
        Said("weather/stats", "{}"),
        Said("weather/available", "online"),
        Said("x/bridge/devices", "[]"),
        Said("x/bridge/info", '{"version": 1}'),
        Said("shellies/announce", '{"id": 7}'),
        Said("a/events/rpc", '{"src": "me"}'),
        Said("tele/x/LWT", "gone"),
        Said("some/thing/else", "1"),
    ]
    assert told(foreign) == []


# all together


def test_nothing_is_told_twice_and_what_comes_later_is_told_then() -> None:
    survey, source = Survey("192.0.2.5", 1883, None), Zigbee2mqtt(["a"])
    take(survey, source.inventory().topic, source.inventory().payload.encode())
    assert len(list(survey.news())) == 2
    again = Zigbee2mqtt(["a", "b"]).inventory()
    take(survey, again.topic, again.payload.encode())
    assert [found.device.get("name") for found in survey.news()] == ["b"]
    assert list(survey.news()) == []


def test_no_more_than_anybody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mqtt_survey, "MOST_DEVICES", 5)
    assert len(told([Said(f"tele/t{n}/LWT", "Online") for n in range(20)])) == 1 + 5
    monkeypatch.setattr(_mqtt_survey, "MOST_HUBS", 3)
    assert len(told([said(f"z{n}/bridge/devices", [SMOKE]) for n in range(9)])) == 3 * 2


def test_a_user_and_a_tls_port() -> None:
    hub, device = told(Zigbee2mqtt(["a"]).hello()[1:2], 8883, "gw")
    assert hub.device["url"] == "mqtts://192.0.2.5"
    assert (hub.device["username"], hub.device["password"]) == ("gw", None)
    assert "username" not in device.device
    assert validated(hub, password="right-1234").driver == "mqtt_in"
    assert told(Zigbee2mqtt([]).hello()[1:2], 1884)[0].device["url"] == "mqtt://192.0.2.5:1884"


def test_no_filter_is_covered_by_another_and_none_asks_for_everything() -> None:
    assert "#" not in "".join(FILTERS)
    assert all(len(name) > 2 for name in FILTERS)
