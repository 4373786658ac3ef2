"""A ZKTeco terminal moved by words: events by number, doors, people who pass, power; it tells what it is ordered."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

from drivers.sim.console import Act, Stage, Tell, Words, on_off
from drivers.sim.zkteco import Dialect, Terminal
from gateway.errors import Text

DOORS = 4  # of the simulated controller


@asynccontextmanager
async def stage(url: str, serial: str, dialect: Dialect, tell: Tell) -> AsyncIterator[Stage]:
    """One device that pushes to `url`; ends when all it was told to say is on the gateway's disk."""
    doors = DOORS if dialect == "access" else 1
    async with Terminal(url, serial, dialect, doors=doors) as device, asyncio.TaskGroup() as group:
        told = _Told(device, tell)
        watching = group.create_task(_watch(device, told))
        title = Text(f"a ZKTeco device {serial} that pushes to {url}", f"向 {url} 推送的 ZKTeco 设备 {serial}")
        address = urlsplit(url)
        more = f", doors: {doors}" if doors > 1 else ""
        config = (
            "devices:\n  - {id: door-sim, driver: zkteco, "
            f'listen: "{address.hostname}:{address.port or 80}", address: {serial}{more}, place: PLACE}}'
        )
        yield Stage(title, config, _acts(device), device.all_accepted)
        watching.cancel()
        told.catch_up()


async def _watch(device: Terminal, told: "_Told") -> None:
    while True:
        await device.until(told.behind)
        told.catch_up()


class _Told:
    """What has been told of a device's ledger."""

    def __init__(self, device: Terminal, tell: Tell) -> None:
        self._device, self._tell = device, tell
        self._accepted = self._orders = self._refused = 0

    def behind(self) -> bool:
        """Has something happened since?"""
        device = self._device
        return (len(device.accepted), len(device.orders), len(device.refused)) != (
            self._accepted, self._orders, self._refused,
        )  # fmt: skip

    def catch_up(self) -> None:
        """Tells it."""
        device = self._device
        for name in device.accepted[self._accepted :]:
            self._tell(Text(f"on the gateway's disk: record {name}", f"网关已存盘:记录 {name}"))
        for order in device.orders[self._orders :]:
            self._tell(Text(f"ordered: {order.text}", f"收到命令:{order.text}"))
        for status, answer in device.refused[self._refused :][:1]:
            self._tell(Text(f"refused ({status}): {answer}", f"被拒绝({status}):{answer}"))
        self._accepted, self._orders, self._refused = len(device.accepted), len(device.orders), len(device.refused)


def _acts(device: Terminal) -> dict[str, Act]:
    power = Act("power on|off", Text("cut its power, or give it back", "断电或上电"), partial(_power, device))
    if device.dialect == "attendance":
        known: dict[str, tuple[str, Text, Callable[[Terminal, Words], None]]] = {
            "pass": ("pass PERSON [STATUS]", Text("a person is let in (0) or out (1)", "人员进(0)或出(1)"), _pass),
            "alarm": ("alarm NUMBER", Text("55: taken off its wall; 54: door forced", "55 拆机,54 强行开门"), _alarm),
        }
    else:
        known = {
            "event": (
                "event CODE [CARD [DOOR]]",
                Text("e.g. 0 granted, 27 unknown card, 102 forced", "事件码,如 0 开门、27 未注册卡、102 强行开门"),
                _event,
            ),
            "state": ("state [BITS …]", Text("alarm bits of door 1, 2, …", "各门报警位状态"), _state),
        }
    known["door"] = ("door NUMBER on|off", Text("a door opens or closes", "门打开或关闭"), _door)
    return {word: Act(usage, what, partial(do, device)) for word, (usage, what, do) in known.items()} | {"power": power}


def _event(device: Terminal, words: Words) -> None:
    code, card, door = [*words, *("", "0", "1")[len(words) :]]
    device.event(int(code), card=card, door=_number(device, door), verify="4" if card != "0" else "200")


def _state(device: Terminal, words: Words) -> None:
    device.state(*(int(word, 0) for word in words))


def _door(device: Terminal, words: Words) -> None:
    number, state = words
    device.sensor(_number(device, number), on_off(state))


def _number(device: Terminal, word: str) -> int:
    if not 1 <= int(word) <= device.doors:
        raise ValueError(word)
    return int(word)


def _pass(device: Terminal, words: Words) -> None:
    person, *status = words
    device.stamp(person, *map(int, status))


def _alarm(device: Terminal, words: Words) -> None:
    (number,) = words
    device.operation(3, int(number))


def _power(device: Terminal, words: Words) -> None:
    (state,) = words
    device.power(on_off(state))
