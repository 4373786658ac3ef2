"""Fire panels behind a user information transmission device (用户信息传输装置): GB/T 26875.3-2011, over TCP or UDP.

The device dials out to a monitoring centre; the gateway is that centre and listens. Each message is confirmed when it
is on disk, not before; what is damaged is denied, so that it is sent again. Status words of the device, of the systems
and of their parts become conditions; a word told again is none. The gateway reads and sets the device's clock; it
never resets, silences or initialises anything (type 89 is not offered).

Parts: `_gb26875_table` the standard's numbers, `_gb26875_frame` and `_gb26875_unit` the codec, `_gb26875_config` and
`_gb26875_family` who is who, `_gb26875_board` what it means, `_gb26875_station` one device (with its `_resends`,
`_dialogue` and `_timing`), `_gb26875_port` where many arrive, `_gb26875_orders` commands, `_gb26875_examples` frames.
"""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from drivers._gb26875_board import KIND, Board
from drivers._gb26875_config import Config
from drivers._gb26875_examples import EXAMPLES
from drivers._gb26875_family import Family, families
from drivers._gb26875_frame import FIRST_VENDOR_CODE, Code, whole
from drivers._gb26875_orders import ACTIONS, carry_out
from drivers._gb26875_port import Crowd, open_port
from drivers._gb26875_station import HELLO, Station
from drivers._gb26875_unit import parse
from drivers._group import as_itself
from gateway.driver import Driver, Line, Link, Proof
from gateway.errors import BadInput, Misconfigured, Text, Unreachable
from gateway.event import Reading
from gateway.listeners import allow_list, announce


def decode(config: Config, wire: bytes) -> Sequence[Reading]:
    """One frame → what it says where nothing was known before. BadInput: damaged, or no frame."""
    frame = whole(wire)
    if frame is None:
        raise BadInput(
            config.id,
            Text("no whole frame of GB/T 26875.3", "不是完整的 GB/T 26875.3 数据帧"),
            Text("check length, checksum and end mark", "请检查长度、校验和与结束符"),
        )
    vendor = frame.command >= FIRST_VENDOR_CODE
    if not vendor and (frame.command not in (Code.SEND, Code.ANSWER) or frame.data in (b"", HELLO)):
        return ()
    unit = None if vendor else parse(config.table, frame.data, config.sizes)
    return Board(Family(config)).draft(frame.command, unit, frame.data, lambda _: frozenset()).readings


async def run(line: Line[Config], link: Link) -> None:
    """Listens for the devices of one `listen` address. Unreachable: it cannot. Misconfigured: a part without device."""
    found, strays = families(line.devices)
    if strays:
        stray = strays[0]
        raise Misconfigured(
            stray.id,
            Text("a part of a device that is not configured", "所属的传输装置没有配置"),
            Text(
                "declare the transmission device with the same listen: and address:, without part:",
                "请用相同的 listen: 和 address: 声明该传输装置,不写 part:",
            ),
        )
    crowd = Crowd([Station(family, link) for family in found], link)
    with as_itself(Unreachable):
        await _serve(line, link, crowd)


async def _serve(line: Line[Config], link: Link, crowd: Crowd) -> None:
    listen = line.devices[0].listening
    async with asyncio.TaskGroup() as group, open_port(line.name, listen, crowd, group):
        allowed = allow_list(station.config.peers for station in crowd.stations)
        announce(link.log, crowd.named, str(listen), allowed, "name their addresses in peers:")
        with ExitStack() as commands:
            for station in crowd.stations:
                handler = partial(carry_out, station, link.clock)
                commands.enter_context(link.handle(station.config.id, ACTIONS, handler))
                group.create_task(station.watch(), name=f"gb26875 watch {station.config.id}")
                group.create_task(station.timing.keep(), name=f"gb26875 clock {station.config.id}")
            await asyncio.get_running_loop().create_future()


DRIVER = Driver(
    title="Fire transmission devices (GB/T 26875.3-2011), TCP and UDP",
    Config=Config,
    run=run,
    decode=decode,
    examples=EXAMPLES,
    kind=KIND,
    actions=ACTIONS,
    proof=Proof(
        "GB/T 26875.3-2011",
        {"published frames, some of real devices": "tests/unit/test_gb26875.py"},
        "every transmission device and fire panel",
    ),
)
