"""A camera moved by words: motion, any event of its alert stream, power."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from drivers.sim.console import Act, Stage, Tell, Words, on_off
from drivers.sim.isapi import Camera
from gateway.errors import Text


@asynccontextmanager
async def stage(port: int, login: tuple[str, str], tell: Tell) -> AsyncIterator[Stage]:
    """One camera on a port of this machine (0: any)."""
    async with Camera(login, port=port) as camera, asyncio.TaskGroup() as group:
        watch = group.create_task(_tell_streams(camera, tell))
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
    return {
        "motion": Act("motion on|off", Text("something moves, or no more", "移动侦测开始或结束"),
                      lambda words: camera.motion(on_off(*words))),
        "event": Act("event TYPE on|off [CHANNEL]", Text("any event of the stream, e.g. linedetection, shelteralarm",
                                                         "报警流中的任意事件,如 linedetection、shelteralarm"),
                     lambda words: _event(camera, words)),
        "access": Act("access MAJOR MINOR [CARD]", Text("a door controller's event, by its numbers",
                                                        "门禁主机事件,按主、次类型号"),
                      lambda words: _access(camera, words)),
        "heartbeat": Act("heartbeat", Text("what it says when there is nothing to say", "心跳"),
                         lambda _: camera.heartbeat()),
        "hangup": Act("hangup", Text("end the streams", "断开报警流"), lambda _: camera.hang_up()),
        "power": Act("power on|off", Text("cut its power, or give it back", "断电或上电"),
                     lambda words: camera.start() if on_off(*words) else camera.stop()),
    }  # fmt: skip


def _event(camera: Camera, words: Words) -> None:
    kind, state, *channel = words
    camera.event(kind, on_off(state), *map(int, channel))


def _access(camera: Camera, words: Words) -> None:
    major, minor, *card = words
    camera.access(int(major), int(minor), **({"cardNo": card[0]} if card else {}))
