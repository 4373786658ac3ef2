"""A fire panel, a Wiegand reader and the box's own pins on one real daemon: from their wires to the district.

What was promised holds on each of them: an event stands in the contract's form, a repeated report is a state, and a
power cut in the middle of an alarm neither loses nor repeats it.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from drivers.sim import gpio, modbus, wiegand
from gateway.access import hash_card
from tests.brokers import Mosquitto, Subscriber, subscribed
from tests.contract.test_end_to_end import SCHEMA
from tests.daemons import RESIDENT, SITE, STRANGER, Own

ADC = "in_voltage0_raw"
SECTIONS = """\
uplinks: {{district: {{url: "mqtt://127.0.0.1:{broker}"}}}}
buses:
  panel: {{tcp: "127.0.0.1:{panel}"}}
  reader: {{serial: "{reader}"}}
devices:
  - id: panel-b3
    driver: modbus
    bus: panel
    address: 1
    profile: jade-bird
    place: b3
    poll: 50ms
    loops: {{1: 60, 2: 3}}
    states: {{1: fire.panel, 2: device.fault}}
    points: {{1-5: 3号楼5层走廊}}
  - {{id: door-gate, driver: wiegand, bus: reader, frame: bits-line, place: gate, ignore_repeats: 60s}}
  - id: pins-gate
    driver: gpio
    chip: {pins}
    place: gate
    poll: 20ms
    inputs:
      1: {{type: door.forced, line: 17, name: 大门门磁}}
      2: {{type: safety.panic, normal: open, analog: {{file: {pins}/{adc}, low: 1000, high: 3000}}}}
    outputs: {{1: {{line: 22}}}}
credentials:
  key: !file cards.key
  list: [{{card: "{card}", doors: ["*"]}}]
"""
DEVICES = ("panel-b3", "door-gate", "pins-gate")
KEY = "a key of a test, long enough for any HMAC"


@dataclass
class Wires:
    """All that stands around the daemon."""

    daemon: Own
    city: Subscriber
    panel: modbus.Slave
    reader: wiegand.Converter
    pins: gpio.Pins

    def events(self, kind: str, phase: str = "") -> list[dict[str, Any]]:
        """Each event once, in order of arrival; of one type, maybe of one phase."""
        once = {event["id"]: event for event in self.city.events()}
        return [event for event in once.values() if event["type"] == kind and phase in ("", event["phase"])]

    async def online(self) -> None:
        """Until every device has answered."""
        await self.city.until(
            lambda: all((self.city.document(f"/state/{device}") or {}).get("online") is True for device in DEVICES)
        )


@asynccontextmanager
async def standing(folder: Path) -> AsyncIterator[Wires]:
    """Broker, devices, daemon; all online."""
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(Mosquitto(folder))
        city = await stack.enter_async_context(subscribed(broker.port))
        panel = modbus.Slave(1, "jade-bird", loops={1: 60, 2: 3})
        line = await stack.enter_async_context(modbus.Line(panel, tcp=("127.0.0.1", 0), framing="tcp"))
        reader = await stack.enter_async_context(wiegand.Converter("bits-line"))
        pins = stack.enter_context(gpio.Pins(inputs=[17], outputs=[22], analogs={ADC: 2000}))
        sections = SITE + SECTIONS.format(
            broker=broker.port,
            panel=line.address[1],
            reader=reader.port,
            pins=pins.folder,
            adc=ADC,
            card=hash_card(KEY, RESIDENT),
        )
        daemon = await stack.enter_async_context(Own(folder, sections, {"cards.key": KEY}))
        await daemon.start()
        made = Wires(daemon, city, panel, reader, pins)
        await made.online()
        yield made


async def test_each_wire_is_told_in_the_contract_s_form(tmp_path: Path) -> None:
    async with standing(tmp_path) as made:
        made.panel.set_point(1, 5, 1)
        made.panel.set_point(2, 3, 7)
        made.reader.present(RESIDENT)
        made.reader.present(RESIDENT)
        made.reader.present(STRANGER)
        made.reader.present(STRANGER, damaged=True)
        made.pins.put(17, True)
        made.pins.measure(ADC, 4000)
        kinds = ("fire.panel", "access.granted", "access.denied", "door.forced", "device.fault")
        await made.city.until(lambda: all(made.events(kind) for kind in kinds))
        await made.city.until(lambda: len(made.events("device.unmapped")) == 2)
        told = made.city.events()
        status, _ = await made.daemon.stop()
    assert status == 0
    schema = Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))
    for event in told:
        schema.validate(event)
    (fire,), (granted,), (forced,), (fault,) = (
        made.events(kind) for kind in ("fire.panel", "access.granted", "door.forced", "device.fault")
    )
    assert (fire["subject"], fire["severity"]) == ("panel-b3", "critical")
    assert fire["data"]["part"] == {"address": "1-5", "loop": 1, "point": 5, "text": "3号楼5层走廊"}
    assert fire["data"]["codes"]["contact-id"] == 110
    assert fire["data"]["raw"] == {"function": 3, "register": 0x0105, "value": 1}
    assert granted["data"]["credential"]["ref"].startswith("hmac-sha256:")
    assert "324" not in str(granted["data"])
    assert forced["data"]["part"] == {"point": 1, "text": "大门门磁"}
    assert (fault["data"]["reason"], fault["subject"]) == ("wire-cut", "pins-gate")
    strange = {event["subject"]: event["data"] for event in made.events("device.unmapped")}
    assert strange["panel-b3"]["raw"] == {"function": 3, "register": 0x0203, "value": 7}
    assert (strange["door-gate"]["reason"], strange["door-gate"]["raw"]) == ("read-error", {"bits": 26})


async def test_a_power_cut_in_the_middle_of_alarms(tmp_path: Path) -> None:
    async with standing(tmp_path) as made:
        made.panel.set_point(1, 5, 1)
        made.panel.set_point(1, 6, 1)
        made.pins.put(17, True)
        made.pins.measure(ADC, 500)
        await made.city.until(
            lambda: len(made.events("fire.panel")) == 2 and made.events("door.forced") and made.events("safety.panic")
        )
        await made.daemon.kill()
        made.panel.set_point(1, 5, 0)  # over, while nobody looked
        made.pins.put(17, False)
        made.panel.set_point(2, 1, 1)  # begun, while nobody looked
        await made.daemon.start()
        await made.city.until(
            lambda: made.events("fire.panel", "clear") and made.events("door.forced", "clear")
            and len(made.events("fire.panel", "raise")) == 3
        )  # fmt: skip
        made.pins.measure(ADC, 2000)
        await made.city.until(lambda: made.events("safety.panic", "clear"))
    phases = [(event["data"]["part"]["address"], event["phase"]) for event in made.events("fire.panel")]
    assert sorted(phases) == [("1-5", "clear"), ("1-5", "raise"), ("1-6", "raise"), ("2-1", "raise")]
    assert [event["phase"] for event in made.events("door.forced")] == ["raise", "clear"]
    assert [event["phase"] for event in made.events("safety.panic")] == ["raise", "clear"]


async def test_a_panel_that_falls_silent_and_pins_that_are_gone_are_offline_never_normal(tmp_path: Path) -> None:
    async with standing(tmp_path) as made:
        made.panel.set_point(1, 5, 1)
        await made.city.until(lambda: made.events("fire.panel"))
        made.panel.unplug()
        made.pins.pull_out()
        await made.city.until(
            lambda: {e["subject"] for e in made.events("device.offline")} == {"panel-b3", "pins-gate"}
        )
        made.panel.plug()
        await made.city.until(lambda: made.events("device.offline", "clear"))
        document = made.city.document("/state/panel-b3")
    assert [event["phase"] for event in made.events("fire.panel")] == ["raise"]
    assert document is not None
    assert "fire.panel" in document["alarms"]
