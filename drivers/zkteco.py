"""ZKTeco terminals and door controllers that push: both dialects of the protocol (ADMS, "cloud server" in their menu).

Security PUSH (documents V4.8 of January 2024, protocol 3.1.2: access controllers, newer face terminals) and attendance
PUSH (V4.0 of January 2021, protocol 2.4.2). The device is the HTTP client; the gateway is the server it polls. It is
known by its serial number and its address, for the protocol has no password: keep these devices on a network of their
own. Records are acknowledged when they are on disk; a repeated one is told once. Who the device lets in is its own
list's business; commands (unlock, …) go to it with its next poll. Photos, templates and people are never kept.

Parts: `_zkteco_config`, `_zkteco_records` lines and numbers, `_zkteco_events` what they mean, `_zkteco_orders`
commands, `_zkteco_desk` one device, `_zkteco_doors` what may be asked of it, `_zkteco_http` requests and answers,
`_zkteco_settings` what a device is told at first, `_guard` the listener.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from urllib.parse import parse_qsl

from drivers._group import as_itself
from drivers._guard import Doorkeeper, Limits, listening
from drivers._zkteco_config import Config as Config
from drivers._zkteco_desk import Desk
from drivers._zkteco_doors import Doors
from drivers._zkteco_events import told_in
from drivers._zkteco_http import Reception
from drivers._zkteco_orders import ACTIONS
from drivers._zone import BEIJING, local_time
from gateway.driver import Driver, Example, Line, Link, Proof
from gateway.errors import BadInput, Text
from gateway.event import Credential, Json, Phase, Reading
from gateway.listeners import allow_list, announce

END_OF_HEAD = b"\r\n\r\n"  # RFC 9112, 2.1


def decode(config: Config, wire: bytes) -> Sequence[Reading]:
    """One HTTP request as it stands on the wire → what its records say by themselves. BadInput: it is none.

    Requests that tell nothing of doors (polls, options, people) give nothing.
    """
    head, found, body = wire.partition(END_OF_HEAD)
    words = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
    if not found or len(words) != 3 or not words[2].startswith("HTTP/"):
        what = Text("not an HTTP request", "不是 HTTP 请求")
        raise BadInput(config.id, what, Text("check the device's server settings", "请检查设备的服务器设置"))
    asked = {name.lower(): value for name, value in parse_qsl(words[1].partition("?")[2])}
    table = asked.get("tablename" if asked.get("table", "").lower() == "tabledata" else "table", "")
    return [reading for told in told_in(config, table, body) for reading in told.readings]


async def run(line: Line[Config], link: Link) -> None:
    """Serves the devices of one listening address for ever. Unreachable: the gateway cannot listen there."""
    with as_itself():
        await serve(line, link, Limits(per_peer=4 * (1 + len(line.devices))))


async def serve(line: Line[Config], link: Link, limits: Limits) -> None:
    """`run`, with what the listener bears."""
    families: defaultdict[str, list[Config]] = defaultdict(list)
    for config in line.devices:
        families[config.address].append(config)
    desks = {serial: Desk(configs, link) for serial, configs in families.items()}
    named = "zkteco " + ", ".join(config.id for config in line.devices)
    keeper = Doorkeeper(limits, link.log, named, lambda peer: any(config.allows(peer) for config in line.devices))
    reception = Reception(desks, link, keeper)
    where, address = line.devices[0].id, line.devices[0].listen
    with ExitStack() as commands:
        for desk in desks.values():
            commands.enter_context(Doors(desk, link).serve())
        async with listening(where, address, reception.answer, keeper, reception.date) as (host, port):
            allowed = allow_list(config.allow for config in line.devices)
            announce(link.log, named, f"{host}:{port}", allowed, "write allow: with their addresses")
            async with asyncio.TaskGroup() as group:
                for serial, desk in desks.items():
                    group.create_task(desk.watch(), name=f"zkteco {serial}")


_CONFIG = {"listen": "0.0.0.0:8081", "address": "CKJ1234567"}
_TIME = local_time("2026-11-23 18:06:19", ["%Y-%m-%d %H:%M:%S"], BEIJING)


def _post(table: str, body: str, encoding: str = "utf-8") -> bytes:
    data = body.encode(encoding)
    head = f"POST /iclock/cdata?SN=CKJ1234567&table={table} HTTP/1.1\r\nHost: 192.0.2.10:8081\r\n"
    return f"{head}Content-Type: application/push\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


def _log(event: int, pin: str = "0", card: str = "0", door: int = 1, verify: str = "200") -> str:
    """A line of `rtlog`, as one firmware orders its fields."""
    return (
        f"time=2026-11-23 18:06:19\tpin={pin}\tcardno={card}\teventaddr={door}\tevent={event}\tinoutstatus=0"
        f"\tverifytype={verify}\tindex=140\tsitecode=0\tlinkid=0\tmaskflag=0\ttemperature=0\tconvtemperature=0"
    )


def _raw(event: int, door: int = 1, verify: int = 200) -> dict[str, Json]:
    return {"event": event, "door": door, "index": 140, "inout": 0, "verify": verify}


EXAMPLES = (
    Example(
        "a face lets its owner in (newer terminals say 3 for that)",
        _CONFIG,
        _post("rtlog", _log(3, pin="2", verify="15")),
        (
            Reading(
                "example",
                "access.granted",
                Phase.PULSE,
                device_time=_TIME,
                credential=Credential("zkteco-user", 0, 2, "face"),
                raw=_raw(3, verify=15),
            ),
        ),
    ),
    Example(
        "a card that the controller does not know, at door 2 of 4",
        _CONFIG | {"doors": 4},
        _post("rtlog", _log(27, card="123456789", door=2, verify="4")),
        (
            Reading(
                "example",
                "access.denied",
                Phase.PULSE,
                part={"address": "door-2", "point": 2},
                device_time=_TIME,
                reason="unknown_credential",
                credential=Credential("zkteco-card", 0, 123456789),
                raw=_raw(27, door=2, verify=4),
            ),
        ),
    ),
    Example(
        "the door is forced, and the state that goes with it",
        _CONFIG,
        _post(
            "rtlog", _log(102) + "\r\ntime=2026-11-23 18:06:20\tsensor=02\trelay=00\talarm=0100000000000000\tdoor=01"
        ),
        (
            Reading("example", "door.forced", Phase.RAISE, device_time=_TIME, raw=_raw(102)),
            Reading("example", "door.open", Phase.RAISE),
            Reading("example", "door.forced", Phase.RAISE),
            Reading("example", "device.tamper", Phase.CLEAR),
            Reading("example", "door.held", Phase.CLEAR),
            Reading("example", "device.tamper", Phase.CLEAR, part={"address": "reader-1", "point": 1}),
            Reading("example", "device.power_fault", Phase.CLEAR),
        ),
    ),
    Example(
        "attendance dialect: out, by fingerprint",
        _CONFIG,
        _post("ATTLOG&Stamp=9999", "1452\t2026-11-23 18:06:19\t1\t1\t0\t0\t0\n"),
        (
            Reading(
                "example",
                "access.granted",
                Phase.PULSE,
                device_time=_TIME,
                reason="egress",
                credential=Credential("zkteco-user", 0, 1452, "fingerprint"),
                raw={"status": 1, "verify": 1},
            ),
        ),
    ),
    Example(
        "attendance dialect: somebody takes the terminal off its wall",
        _CONFIG,
        _post("OPERLOG&Stamp=9999", "OPLOG 3\t0\t2026-11-23 18:06:19\t55\t0\t0\t0\n"),
        (Reading("example", "device.tamper", Phase.RAISE, device_time=_TIME, raw={"operation": 3, "alarm": 55}),),
    ),
    Example(
        "stored while the network was away; its seconds are the vendor's own",
        _CONFIG,
        _post(
            "tabledata&tablename=transaction&count=1",
            "transaction cardno=0\tpin=0\tverified=200\tdoorid=1\teventtype=200\tinoutstate=2"
            "\ttime_second=864410779\tindex=92\tsitecode=0\tdevid=1",
        ),
        (
            Reading(
                "example",
                "door.open",
                Phase.RAISE,
                device_time=_TIME,
                raw={"event": 200, "door": 1, "index": 92, "inout": 2, "verify": 200},
            ),
        ),
    ),
    Example(
        "a code of the extended range, which nobody has described",
        _CONFIG,
        _post("rtlog", _log(4012, pin="7")),
        (Reading("example", "device.unmapped", Phase.PULSE, device_time=_TIME, raw=_raw(4012)),),
    ),
    Example(
        "people and photos tell nothing",
        _CONFIG,
        _post("tabledata&tablename=user&count=1", "user uid=5\tcardno=1\tpin=4\tname=张三", "gb18030"),
        (),
    ),
)
DRIVER = Driver(
    title="ZKTeco push: access control and attendance terminals",
    Config=Config,
    run=run,
    decode=decode,
    examples=EXAMPLES,
    kind="door",
    actions=ACTIONS,
    proof=Proof(
        "security PUSH V4.8 (2024-01, protocol 3.1.2), attendance PUSH V4.0 (2021-01, protocol 2.4.2)",
        {
            "the vendor's documents, request by request; curl": "tests/contract/test_zkteco_wire.py",
            "the documents' example records": "tests/unit/test_zkteco.py",
        },
        "every terminal and controller; firmware is known to differ on lock, face passes (0 or 3), alarm bits",
    ),
)
