"""An ONVIF camera moved by words: motion, alarm inputs, any state or happening, subscriptions lost, power."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from drivers.sim.console import Act, Stage, Tell, Words, on_off
from drivers.sim.onvif import SOURCES, OnvifCamera
from gateway.errors import Text


@asynccontextmanager
async def stage(port: int, login: tuple[str, str], tell: Tell) -> AsyncIterator[Stage]:
    """One camera on a port of this machine (0: any)."""
    async with OnvifCamera(login, port=port) as camera:
        camera.tell = tell
        title = Text(f"an ONVIF camera on {camera.url}", f"ONVIF 摄像机,位于 {camera.url}")
        user, password = login
        config = (
            f'devices:\n  - {{id: cam-sim, driver: onvif, url: "{camera.url}", username: {user}, password: {password}, '
            'inputs: {"1": {type: safety.panic}}, place: PLACE}'
        )
        yield Stage(title, config, _acts(camera))


def _acts(camera: OnvifCamera) -> dict[str, Act]:
    known = {
        "motion": ("motion on|off [V1]", Text("something moves, or no more", "移动侦测开始或结束"), _motion),
        "input": ("input TOKEN on|off", Text("an alarm input", "报警输入"), _input),
        "relay": ("relay R0|R1 on|off", Text("a relay switches by itself", "继电器自行动作"), _relay),
        "state": (
            "state TOPIC ITEM VALUE",
            Text("any state, e.g. Device/HardwareFailure/StorageFailure Failed true", "任意状态"),
            _state,
        ),
        "happen": ("happen TOPIC ITEM VALUE", Text("anything without duration", "任意瞬时事件"), _happen),
        "forget": ("forget", Text("lose every subscription", "丢失全部订阅"), _forget),
    }
    acts = {word: Act(usage, what, partial(do, camera)) for word, (usage, what, do) in known.items()}
    power = Text("cut its power, or give it back", "断电或上电")
    return acts | {"power": Act("power on|off", power, partial(_power, camera))}


def _motion(camera: OnvifCamera, words: Words) -> None:
    state, *source = words
    camera.motion(on_off(state), *source or SOURCES[:1])


def _input(camera: OnvifCamera, words: Words) -> None:
    token, state = words
    camera.input(token, on_off(state))


def _relay(camera: OnvifCamera, words: Words) -> None:
    token, state = words
    camera.relay({"r0": "R0", "r1": "R1"}[token.lower()], on_off(state))


def _state(camera: OnvifCamera, words: Words) -> None:
    topic, item, value = words
    camera.events.state(topic, {}, {item: value})


def _happen(camera: OnvifCamera, words: Words) -> None:
    topic, item, value = words
    camera.events.happen(topic, {}, {item: value})


def _forget(camera: OnvifCamera, _: Words) -> None:
    camera.events.points.clear()


async def _power(camera: OnvifCamera, words: Words) -> None:
    (state,) = words
    await (camera.start() if on_off(state) else camera.stop())
