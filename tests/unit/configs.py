"""A small right gateway.yaml, drivers for it, and every mistake one can make in it: for the tests of configuration."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from gateway.driver import registry
from gateway.fields import DeviceConfig, Duration, Id, Secret

ROOT = Path(__file__).parent.parent.parent
CARD = "hmac-sha256:" + "a" * 43


class Detector(DeviceConfig):
    """A device on a bus."""

    bus: Id
    address: int = Field(ge=1, le=247)
    part: str | None = None
    poll: Duration = 1.0
    install: bool | str = False


class Poster(DeviceConfig):
    """A device that posts."""

    token: Secret


class Panel(DeviceConfig):
    """Devices that share a listener."""

    listen: str
    address: str


DRIVERS: Mapping[str, type[DeviceConfig]] = {"modbus": Detector, "osdp": Detector, "webhook": Poster, "gb26875": Panel}

VALID = f"""\
gateway: {{id: gw-0001, buffer: {{max_size: 64MiB}}}}
site:
  name: 阳光花园
  area: {{district: "310104", street: "013", community: "002"}}
  places:
    b3: {{label: 3号楼, units: {{u2: {{label: 2单元, floors: {{f5: {{label: 5层, rooms: {{501: {{label: 室}}}}}}}}}}}}}}
    gate: {{label: 大门}}
uplinks:
  district: {{url: mqtt://127.0.0.1:1883, username: gw-0001, password: secret, types: ["fire.*", device.fault]}}
  fire: {{url: "wss://fire.example/broker", protocol: 5, commands: [unlock]}}
buses:
  line-1: {{serial: /dev/ttyS90, baudrate: 4800}}
  line-2: {{tcp: "192.0.2.40:502", framing: rtu}}
devices:
  - {{id: smoke-1, driver: modbus, bus: line-1, address: 5, place: b3/u2/f5, kind: smoke, installed: 2026-05-01}}
  - {{id: door-1, driver: osdp, bus: line-2, address: 5, place: b3/u2, poll: 500ms}}
  - {{id: hook-1, driver: webhook, token: 0123456789abcdef, place: gate}}
  - {{id: panel-1, driver: gb26875, listen: "0.0.0.0:5200", address: "010203040506", place: b3/u2/f5/501}}
credentials:
  key: 0123456789abcdef-key
  list:
    - {{card: "{CARD}", doors: ["*"]}}
    - {{card: "{CARD}", doors: [door-1], valid_until: 2026-12-31, hours: {{mon-fri: "22:00-06:00"}}}}
responsibility:
  fire.*: {{lead: 消控室, assist: [物业经理], escalate: [district], respond: 60s}}
  "*": {{lead: 物业经理}}
rules:
  - name: doors
    when: {{type: "fire.*", phase: raise}}
    do: [{{action: release, devices: {{kind: door, place: same-building}}}}]
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "gateway.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def changed(old: str, new: str) -> str:
    assert old in VALID
    return VALID.replace(old, new, 1)


def marked(old: str, new: str, expected: str) -> tuple[str, str]:
    """The changed text, and what is to be said with its line and column."""
    text = changed(old, new)
    if "§" in new:
        before = text.partition("§")[0]
        expected = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}: {expected}"
    return text.replace("§", ""), f"gateway.yaml:{expected}"


def real_drivers() -> dict[str, type[DeviceConfig]]:
    return {name: driver.Config for name, driver in registry().items()}


WRONG = [  # what is changed, into what, what is said; § marks where, else line and column are said
    ("id: gw-0001", "id: §GW 1", "gateway.id: a name is needed: lower-case"),
    ("id: gw-0001", "id: §notice", "gateway.id: no gateway is called notice"),
    ("id: gw-0001, ", "", "1:1: gateway.id: this key is missing"),
    ("max_size: 64MiB", "max_size: §64", "gateway.buffer.max_size: a size with its unit is needed"),
    ("max_size: 64MiB", "max_size: §64KiB", "gateway.buffer.max_size: at least 1MiB"),
    ("max_size: 64MiB", "max_age: §30", "gateway.buffer.max_age: a duration with its unit"),
    ("max_size: 64MiB", "alarm_reserve: §25", "gateway.buffer.alarm_reserve: a percentage"),
    (
        "max_size: 64MiB",
        "§maxsize: 1GiB",
        "gateway.buffer.maxsize: not a known key "
        "(allowed: max_size, max_age, alarm_reserve, max_cards_age; did you mean max_size?)",
    ),
    (
        "buffer: {max_size: 64MiB}",
        "language: §fr",
        "gateway.language: not one of the allowed values (allowed: zh-CN, en)",
    ),
    (
        "buffer: {max_size: 64MiB}",
        "log: {level: §warn}",
        "gateway.log.level: not one of the allowed values "
        "(allowed: debug, info, warning, error; did you mean warning?)",
    ),
    ("buffer: {max_size: 64MiB}", "web: §on", 'gateway.web: write off, or {listen: "127.0.0.1:8080"}'),
    ("buffer: {max_size: 64MiB}", "web: {listen: §8080}", 'gateway.web.listen: "host:port" is needed'),
    ("buffer: {max_size: 64MiB}", "web: {names: [§http://gw]}", "gateway.web.names[0]: a host name is needed, without"),
    (
        "buffer: {max_size: 64MiB}",
        "§web: {tls: {cert: gateway.yaml, key: gateway.yaml}}",
        'gateway.web: tls: needs https: "0.0.0.0:8443"',
    ),
    (
        "buffer: {max_size: 64MiB}",
        '§web: {listen: "127.0.0.1:8080", https: "0.0.0.0:8080"}',
        "gateway.web: listen: and https: need a port each",
    ),
    ("buffer: {max_size: 64MiB}", "web: {§tls: {cert: gateway.yaml}}", "gateway.web.tls.key: this key is missing"),
    ("buffer: {max_size: 64MiB}", "buffer: §64MiB", "gateway.buffer: a mapping is needed"),
    ("  name: 阳光花园\n", "  name:\n", "4:3: site.name: a value is missing after the colon"),
    (
        'street: "013"',
        "street: §013",
        "site.area.street: a text is needed; YAML takes this for a number or a yes/no: put it in quotes",
    ),
    ('street: "013"', 'street: §"13"', "site.area.street: 3 digits are needed, in quotes"),
    ("gate: {label: 大门}", "gate: {label: 大门, grid: §00000031010401300201}", "site.places.gate.grid: a text"),
    (
        "gate: {label: 大门}",
        "gate: {label: 大门, §unit: {}}",
        "site.places.gate.unit: not a known key (allowed: label, grid, units; did you mean units?)",
    ),
    ("mqtt://127.0.0.1:1883", "§http://127.0.0.1", "uplinks.district.url: mqtt://host"),
    ("mqtt://127.0.0.1:1883", "§mqtt://h:99999", "uplinks.district.url: mqtt://host"),
    ("mqtt://127.0.0.1:1883", "§mqtt://:1883", "uplinks.district.url: mqtt://host"),
    ("mqtt://127.0.0.1:1883", "§mqtt://me:pw@h", "uplinks.district.url: user and password do not stand"),
    ("username: gw-0001, ", "", "9:3: uplinks.district: password: needs username:"),
    (
        '"fire.*"',
        '§"fier.*"',
        'uplinks.district.types[0]: no event type is like "fier.*" '
        "(allowed: fire.smoke, fire.*, *, …; did you mean fire.*?)",
    ),
    ('types: ["fire.*", device.fault]', "§types: []", "uplinks.district.types: at least 1 of them"),
    ("protocol: 5", "protocol: §4", "uplinks.fire.protocol: not one of the allowed values (allowed: auto, 5, 3.1.1)"),
    ("commands: [unlock]", "commands: [§unlok]", "uplinks.fire.commands[0]: not one of the allowed values"),
    ("commands: [unlock]", "keepalive: §2m", "uplinks.fire.keepalive: 1s to 60s are allowed"),
    ("commands: [unlock]", "root: §/sc/v1", "uplinks.fire.root: levels of a-z"),
    ("commands: [unlock]", "root: §$SYS", "uplinks.fire.root: levels of a-z"),
    ("commands: [unlock]", "root: §a/+/b", "uplinks.fire.root: levels of a-z"),
    ("commands: [unlock]", "tls: {ca: §nope.pem}", "uplinks.fire.tls.ca: nope.pem cannot be read: No such file"),
    ("commands: [unlock]", "§tls: {cert: gateway.yaml}", "uplinks.fire.tls: cert: and key: go together"),
    ("fire: {url", "§Fire: {url", "uplinks.Fire: a name is needed"),
    ("username: gw-0001", "tls: {}, username: x", "9:3: uplinks.district: tls: needs mqtts:// or wss://"),
    ("serial: /dev/ttyS90, ", "", "12:3: buses.line-1: a bus is either serial: /dev/… or tcp: host:port"),
    ("baudrate: 4800", "baudrate: §fast", "buses.line-1.baudrate: a whole number is needed"),
    ("baudrate: 4800", "baudrate: §100", "buses.line-1.baudrate: at least 300 is needed"),
    (
        'tcp: "192.0.2.40:502", framing: rtu',
        "serial: §/dev/../dev/ttyS90",
        "buses.line-2.serial: this serial port is taken by the bus in gateway.yaml:12",
    ),
    (
        "driver: modbus",
        "driver: §modbsu",
        "devices[0].driver: no driver is called modbsu (allowed: gb26875, modbus, osdp, webhook; did you mean modbus?)",
    ),
    ("driver: modbus, ", "", "15:5: devices[0].driver: this key is missing"),
    (
        "bus: line-1",
        "bus: §line-3",
        "devices[0].bus: no bus is called line-3 (allowed: line-1, line-2; did you mean line-",
    ),
    ("address: 5, place: b3/u2/f5", "address: §300, place: b3/u2/f5", "devices[0].address: at most 247"),
    ("kind: smoke", "kind: §smok", "devices[0].kind: smok is no kind of device"),
    ("kind: smoke", "§install: [1]", "devices[0].install: true or false is needed; or a text is needed"),
    ("installed: 2026-05-01", "installed: §2026-02-30", "devices[0].installed: a date is needed"),
    ("installed: 2026-05-01", "§adress: 1", "devices[0].adress: not a known key"),
    (
        "place: b3/u2/f5,",
        "place: §b3/u2/f6,",
        "devices[0].place: no place is called b3/u2/f6 "
        "(allowed: b3, b3/u2, b3/u2/f5, b3/u2/f5/501, gate; did you mean b3/u2/f5?)",
    ),
    ("id: hook-1", "id: §smoke-1", "devices[2].id: this id stands already in gateway.yaml:15"),
    ("id: hook-1", "id: §gateway", "devices[2].id: no device is called gateway"),
    (
        "bus: line-2, address: 5",
        "bus: §line-1, address: 6",
        "devices[1].bus: the bus line-1 is used by driver modbus already (device smoke-1); a bus has one driver",
    ),
    (
        "osdp, bus: line-2",
        "modbus, bus: line-1",
        "16:56: devices[1].address: this address is taken by the device in gateway.yaml:15; only part:",
    ),
    (
        "buffer: {max_size: 64MiB}",
        "web: off",
        "17:5: devices[2]: hook-1 posts its events to /ingest/hook-1, but gateway.web is off",
    ),
    (
        '  - {id: panel-1, driver: gb26875, listen: "0.0.0.0:5200", address: "010203040506",',
        "  - {id: hook-2, driver: webhook, token: §0123456789abcdef,",
        "devices[3].token: this token is that of the device in gateway.yaml:17",
    ),
    ('address: "010203040506"', "address: §010203040506", "devices[3].address: a text is needed; YAML takes"),
    ("key: 0123456789abcdef-key", "key: §short", "credentials.key: a key has at least 16 characters"),
    ("doors: [door-1]", "doors: [§dor-1]", "credentials.list[1].doors[0]: no device is called dor-1"),
    ("mon-fri", "mon-fry", '23:115: credentials.list[1].hours: "mon-fry" names no weekdays'),
    ("22:00-06:00", "22:00-25:00", '23:115: credentials.list[1].hours: "22:00-25:00" are no hours'),
    (
        "valid_until: 2026-12-31",
        "valid_until: 2026-01-01, valid_from: 2026-02-01",
        "23:7: credentials.list[1]: valid_until is before valid_from",
    ),
    (
        '"hmac-sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", doors: ["*"]',
        '§"0004711", doors: ["*"]',
        "credentials.list[0].card: hmac-sha256: and 43",
    ),
    ("fire.*: {lead", "§fire.smok: {lead", 'responsibility.fire.smok: no event type is like "fire.smok"'),
    (
        "escalate: [district]",
        "escalate: [§distrct]",
        "responsibility.fire.*.escalate[0]: no contact or uplink is called distrct "
        "(allowed: page, sound, district, fire; did you mean district?)",
    ),
    (
        "escalate: [district]",
        "escalate: [page, {to: page, after: 2m, §too: page}]",
        "responsibility.fire.*.escalate[1].too: not a known key (allowed: to, after; did",
    ),
    (
        "escalate: [district]",
        "escalate: [{after: 2m, to: §nobody}]",
        "responsibility.fire.*.escalate[0].to: no contact or",
    ),
    ("respond: 60s", "respond: §8d", "responsibility.fire.*.respond: at most 7d"),
    ("respond: 60s", "instead: [§{lead: 保安}]", "responsibility.fire.*.instead[0]: place: or hours: is needed"),
    ("respond: 60s", "instead: [{place: §b8, lead: 保安}]", "responsibility.fire.*.instead[0].place: no place is"),
    (
        "responsibility:\n",
        "contacts: {§district: {wecom: 'https://a/b'}}\nresponsibility:\n",
        "contacts.district: district is",
    ),
    ("responsibility:\n", "contacts: {群: {wecom: §a/b}}\nresponsibility:\n", "contacts.群.wecom: the whole address"),
    ("responsibility:\n", "contacts: {§群: {sign: a}}\nresponsibility:\n", "contacts.群: one of wecom:, dingtalk:"),
    ("responsibility:\n", "contacts: {§群: {mail: [a@b]}}\nresponsibility:\n", "contacts.群: mail: needs smtp:"),
    (
        "phase: raise",
        "phase: §rise",
        "rules[0].when.phase: not one of the allowed values (allowed: raise, clear, still, pulse; did you mean raise?)",
    ),
    ("{kind: door, place: same-building}", "{}", "30:28: rules[0].do[0].devices: kind: or place: is needed, or ids:"),
    ("place: same-building", "place: §b9", "rules[0].do[0].devices.place: no place is called b9"),
    ("kind: door", "kind: §dor", "rules[0].do[0].devices.kind: dor is no kind of device"),
    ("rules:\n", "§rulez:\n", "rulez: not a known key"),
]
