"""A camera with a door moved by words: motion, any event of its alert stream, records of the door, power."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from drivers.sim.console import Act, Stage, Tell, Words, on_off
from drivers.sim.isapi import Camera
from gateway.errors import Text


@asynccontextmanager
async def stage(port: int, login: tuple[str, str], tell: Tell) -> AsyncIterator[Stage]:
    """One camera on a port of this machine (0: any)."""
    async with Camera(login, port=port) as camera, asyncio.TaskGroup() as group:
        watch = group.create_task(_tell_streams(camera, tell))
        camera.door.tell = tell
        title = Text(f"a camera on {camera.url}", f"摄像机,位于 {camera.url}")
        user, password = login
        config = (
            "devices:\n  - {id: cam-sim, driver: isapi, "
            f'url: "{camera.url}", username: {user}, password: {password}, place: PLACE}}'
        )
        yield Stage(title, config, _acts(camera))
        watch.cancel()


async def _tell_streams(camera: Camera, tell: Tell) -> None:
    opened = 0
    while True:
        await camera.watched(opened + 1)
        opened = camera.streams
        tell(Text("a reader has opened the alert stream", "已有客户端订阅报警流"))


def _acts(camera: Camera) -> dict[str, Act]:
    known = {
        "motion": ("motion on|off", Text("something moves, or no more", "移动侦测开始或结束"), _motion),
        "event": (
            "event TYPE on|off [CHANNEL]",
            Text("any event, e.g. linedetection", "任意事件,如 linedetection"),
            _event,
        ),
        "access": (
            "access MAJOR MINOR [CARD]",
            Text("a door controller's event, e.g. access 5 27: forced", "门禁事件,按主、次类型号,如 5 27 为强行开门"),
            _access,
        ),
        "missed": (
            "missed MAJOR MINOR [CARD]",
            Text("the same, remembered and told to nobody", "同上,只存入设备记录,不上报"),
            _missed,
        ),
        "replay": ("replay", Text("tell all it remembers once more", "重新上报全部记录"), _replay),
        "reset": ("reset", Text("back to the factory: its count begins anew", "恢复出厂,流水号重新开始"), _reset),
        "heartbeat": ("heartbeat", Text("what it says when there is nothing to say", "心跳"), _heartbeat),
        "hangup": ("hangup", Text("end the streams", "断开报警流"), _hang_up),
    }
    acts = {word: Act(usage, what, partial(do, camera)) for word, (usage, what, do) in known.items()}
    power = Text("cut its power, or give it back", "断电或上电")
    return acts | {"power": Act("power on|off", power, partial(_power, camera))}


def _motion(camera: Camera, words: Words) -> None:
    (state,) = words
    camera.motion(on_off(state))


def _heartbeat(camera: Camera, _: Words) -> None:
    camera.heartbeat()


def _hang_up(camera: Camera, _: Words) -> None:
    camera.hang_up()


async def _power(camera: Camera, words: Words) -> None:
    (state,) = words
    await (camera.start() if on_off(state) else camera.stop())


def _event(camera: Camera, words: Words) -> None:
    kind, state, *channel = words
    camera.event(kind, on_off(state), *map(int, channel))


def _access(camera: Camera, words: Words) -> None:
    major, minor, *card = words
    camera.access(int(major), int(minor), **({"cardNo": card[0]} if card else {}))


def _missed(camera: Camera, words: Words) -> None:
    major, minor, *card = words
    camera.door.memory.record(int(major), int(minor), **({"cardNo": card[0]} if card else {}))


def _replay(camera: Camera, _: Words) -> None:
    camera.replay()


def _reset(camera: Camera, _: Words) -> None:
    camera.door.memory.reset()
