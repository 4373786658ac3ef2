"""Hubs on a broker: zigbee2mqtt, Frigate, ChirpStack 4, Tasmota, Shelly, and any other source of JSON over MQTT.

MQTT 5.0 (OASIS, 2019) and 3.1.1, as a subscriber with a persistent session; what the topics and fields mean is data
(`drivers/profiles/mqtt/`, or a file of one's own). A hub is a device with `url:`; those behind it name it with `hub:`.
All of one hub share one connection and one `run`.

What comes is acknowledged when it is on disk. A report is a state: it is news only where it differs from what stands
open on disk, whether it is retained, cached by the hub, or sent every minute. A device that is not in the configuration
is told once and listed, and left alone until somebody adopts it.
"""

from collections.abc import Sequence

from drivers._group import as_itself
from drivers._mqtt_config import Config
from drivers._mqtt_examples import EXAMPLES
from drivers._mqtt_hub import Hub
from drivers._mqtt_intake import Intake
from drivers._mqtt_report import Heard, Memory, parse, plain, plan_of, read
from drivers._mqtt_topics import below, parts
from gateway.driver import Driver, Line, Link, Proof
from gateway.errors import BadInput, DeviceError, Misconfigured, Text
from gateway.event import Reading


def decode(config: Config, wire: bytes) -> Sequence[Reading]:
    """A hub's message, topic and payload with a newline between them → what it tells of a device that was normal.

    BadInput: it is no message of this hub, or its payload cannot be read.
    """
    name, newline, payload = wire.partition(b"\n")
    if config.url is None or not newline:
        raise BadInput("topic", Text("a hub's topic, a newline and a payload are needed", "需要主题、换行和报文"))
    topic = name.decode("utf-8", "replace")
    base = (config.meaning.base if config.base is None else config.base).strip("/")
    for entry in config.meaning.topics:
        names = parts(below(base, entry.topic), topic)
        if names is None:
            continue
        if entry.report is None:
            return ()
        under = entry.under and names.get(entry.under.strip("{}"), entry.under)
        body = {under: plain(payload)} if under else parse("payload", payload)
        plan = plan_of(config.meaning.maps[entry.report], {}, {})
        report = read(plan, body, Heard(config.id, 0.0, config.zone), Memory(), set())
        return [*report.urgent, *report.samples]
    raise BadInput("topic", Text("no topic of this hub", "不是该汇聚设备的主题"))


async def run(line: Line[Config], link: Link) -> None:
    """Follows one hub for ever. NeedsPerson: its broker refuses us. Misconfigured: there is no hub."""
    if all(config.url is None for config in line.devices):
        raise Misconfigured(
            line.devices[0].id,
            Text(f"there is no hub {line.name}", f"没有名为 {line.name} 的汇聚设备"),
            Text("declare it with driver: mqtt_in, url: and profile:", "请声明它:driver: mqtt_in、url: 和 profile:"),
        )
    with as_itself(DeviceError):
        await Intake(Hub(line.devices, link), link).run()


DRIVER = Driver(
    title="Hubs on an MQTT broker: zigbee2mqtt, Frigate, ChirpStack 4, Tasmota, Shelly, JSON",
    Config=Config,
    run=run,
    decode=decode,
    examples=EXAMPLES,
    kind="sensor",
    proof=Proof(
        "MQTT 5.0 (OASIS, 2019) and 3.1.1; zigbee2mqtt, Frigate, ChirpStack 4, Tasmota and Shelly as documented",
        {
            "the projects' documented messages": "tests/unit/test_mqtt_report.py",
            "zigbee2mqtt's published definitions of 4,516 models": "tests/unit/test_zigbee2mqtt.py",
            "mosquitto, with losses and refusals": "tests/contract/test_mqtt_in.py",
            "tshark's dissector": "tests/contract/test_dissected.py",
        },
        "every hub and sensor: played by the simulator; the fields of Shelly's smoke detector are from memory",
    ),
)
