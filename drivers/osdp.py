"""Door readers on an RS-485 line: OSDP 2.2 (IEC 60839-11-5), secure channel, through libosdp.

Readers of any make that speak OSDP, several on a line, each with the lock on its own output and, where wired, the
door contact and the exit button on its inputs. Cards and PINs are decided by the gateway's own list; so a door works
with no uplink. A reader is used in clear only where its config says `insecure: true`.

Parts: `_osdp_wire` packets, `_osdp_bus` the line, `_osdp_panel` libosdp, `_osdp_session` key and retry, `_osdp_orders`
and `_osdp_reader` one reader's polling, `_osdp_tray` the way to disk, `_osdp_door` what reports mean, `_osdp_doorman`
what is done about them, `_wiegand` card layouts.
"""

import asyncio
from collections.abc import Sequence

from drivers._group import as_itself
from drivers._osdp_bus import Bus, open_bus
from drivers._osdp_config import Config
from drivers._osdp_door import Conditions, plain_readings
from drivers._osdp_doorman import ACTIONS, Doorman
from drivers._osdp_reader import Reader
from drivers._osdp_session import WHY, terms
from drivers._osdp_wire import packets, parse, report
from gateway.driver import Driver, Example, Line, Link, Proof
from gateway.errors import BadInput, Misconfigured, NeedsPerson, Text
from gateway.event import Credential, Phase
from gateway.event import Reading as Seen

QUIET_S = 60.0  # each question takes the line 1 s at most, and is asked by the link's clock


def decode(config: Config, wire: bytes) -> Sequence[Seen]:
    """One reply in clear (from 53, with or without mark) → what it says, nothing known before. BadInput: no reply.

    A card or PIN is `access.denied` by `unknown_credential`, as a door without a list has it.
    """
    packet = next(packets(wire), None)
    found = parse(packet) if packet else None
    if found is None or found.secured:
        raise BadInput(config.id, Text("not an OSDP packet in clear", "不是明文 OSDP 数据包"))
    try:
        told = report(found.code, found.data)
    except ValueError as error:
        raise BadInput(config.id, Text(f"a damaged {error}", f"数据包损坏：{error}")) from error
    return plain_readings(config, told) if told else ()


async def run(line: Line[Config], link: Link) -> None:
    """Serves the readers of one line for ever. Unreachable: the line is gone. Misconfigured: no reader has a key."""
    if line.bus is None:
        raise Misconfigured(line.name, Text("osdp needs a bus", "osdp 需要总线（buses:）"))
    with as_itself():
        async with open_bus(line.name, line.bus) as bus, asyncio.TaskGroup() as group:
            for config in line.devices:
                reader = await _reader(config, link, bus)
                if reader is not None:
                    group.create_task(reader.store(), name=f"osdp store {config.id}")
                    group.create_task(Doorman(reader, link).serve(), name=f"osdp {config.id}")
    raise Misconfigured(line.name, WHY["no-key"])


async def _reader(config: Config, link: Link, bus: Bus) -> Reader | None:
    agreed = terms(config, link)
    if agreed is None:
        link.log.error("%s", NeedsPerson(config.id, WHY["no-key"]))
        await link.emit(*Conditions(config.id, link.active(config.id)).put("device.fault", True, "no-key"))
        return None
    if agreed.key is None:
        link.log.warning("%s: insecure: true: cards pass the line in clear and can be copied from it", config.id)
    return Reader(config, agreed, link, bus)


_CLEAR = {"bus": "rs485-1", "address": 0, "insecure": True}
_CARD = Credential("wiegand-26", 90, 324)
_PIN = Credential("pin", 4, 1234, kind="pin")

DRIVER = Driver(
    title="OSDP door readers (RS-485)",
    Config=Config,
    run=run,
    decode=decode,
    kind="door",
    actions=ACTIONS,
    quiet_s=lambda _line: QUIET_S,
    proof=Proof(
        "SIA OSDP 2.2 (IEC 60839-11-5), secure channel",
        {
            "packets of OSDP's annex E and of readers' traces": "tests/unit/test_osdp.py",
            "libosdp's peripheral device on pty and TCP": "tests/contract/test_osdp.py",
            "the control panel of the package osdp, against the simulator": "tests/contract/test_osdp_peer.py",
        },
        "every reader; of the driver's own panel, keys and sessions are proved with libosdp at both ends",
    ),
    examples=(
        Example(
            "a 26-bit card",
            _CLEAR,
            bytes.fromhex("53 80 10 00 06 50 00 01 1A 00 2D 00 A2 00 BA A6"),
            (
                Seen(
                    "example",
                    "access.denied",
                    Phase.PULSE,
                    reason="unknown_credential",
                    credential=_CARD,
                    raw={"reader": 0, "bits": 26},
                ),
            ),
        ),
        Example(
            "PIN 1234#",
            _CLEAR,
            bytes.fromhex("53 80 0F 00 06 53 00 05 31 32 33 34 0D 3F 15"),
            (
                Seen(
                    "example",
                    "access.denied",
                    Phase.PULSE,
                    reason="unknown_credential",
                    credential=_PIN,
                    raw={"reader": 0},
                ),
            ),
        ),
        Example(
            "casing opened",
            _CLEAR,
            bytes.fromhex("53 80 0A 00 06 48 01 00 77 6F"),
            (Seen("example", "device.tamper", Phase.RAISE), Seen("example", "device.power_fault", Phase.CLEAR)),
        ),
        Example("nothing new", _CLEAR, bytes.fromhex("53 80 08 00 06 40 3B CA"), ()),
    ),
)
