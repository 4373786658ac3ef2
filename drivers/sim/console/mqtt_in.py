"""A hub on a broker, moved by words: smoke, values, test buttons, presence; any topic with any payload."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

import aiomqtt

from drivers.sim.console import Act, Stage, Tell, Words, on_off, word_of
from drivers.sim.mqtt_in import SOURCES, Player, Said, Source
from gateway.errors import Text
from gateway.fields import Wrong

Switched = Callable[[str, bool], Sequence[Said]]
MQTT_PORT = 1883  # IANA


@asynccontextmanager
async def stage(kind: str, url: str, devices: Sequence[str], tell: Tell) -> AsyncIterator[Stage]:
    """A hub of a kind (zigbee2mqtt, frigate, …) on the broker at `mqtt://host:port`. Wrong: no broker answers there."""
    if kind not in SOURCES:
        known = ", ".join(SOURCES)
        raise Wrong(f"{kind} is no hub that can be played: {known}", f"没有 {kind} 这种汇聚设备,可用:{known}")
    source, where = SOURCES[kind](devices), urlsplit(url)
    host, port = where.hostname or "127.0.0.1", where.port or MQTT_PORT
    try:
        async with Player(source, host, port) as player:
            playing = _Playing(player, tell)
            title = Text(f"{kind} on mqtt://{host}:{port}", f"mqtt://{host}:{port} 上的 {kind}")
            yield Stage(title, _config(source, f"mqtt://{host}:{port}"), playing.acts())
    except aiomqtt.MqttError as error:
        raise Wrong(
            f"no broker answers at {host}:{port}: {error}", f"{host}:{port} 上没有可用的 MQTT 服务器:{error}"
        ) from error


def _config(source: Source, url: str) -> str:
    base = f", base: {source.base}" if source.kind == "json" else ""
    own = ", conditions: {Switch1: fire.smoke}" if source.condition == "Switch1" else ""
    lines = [f'{{id: hub, driver: mqtt_in, url: "{url}", profile: {source.kind}{base}, place: PLACE}}']
    for number, device in enumerate(source.devices, 1):
        address = f'address: "{source.address(device)}"'
        lines.append(f"{{id: device-{number}, driver: mqtt_in, hub: hub, {address}{own}, place: PLACE}}")
    return "devices:\n" + "\n".join(f"  - {line}" for line in lines)


class _Playing:
    """Publishes, and tells what."""

    def __init__(self, player: Player, tell: Tell) -> None:
        self._player, self._tell = player, tell
        self._source = player.source
        self._last: Sequence[Said] = ()

    def acts(self) -> dict[str, Act]:
        """What it can be told."""
        source = self._source
        begins = Text("it begins, or ends", "开始或结束")
        there = Text("it comes and goes", "设备上线或离线")
        acts = {
            "smoke": Act("smoke DEVICE on|off", begins, partial(self._switch, source.smoke)),
            "device": Act("device DEVICE on|off", there, partial(self._switch, source.presence)),
            "value": Act("value DEVICE NAME NUMBER", Text("it has measured", "上报测量值"), self._measure),
            "hub": Act("hub on|off", Text("the hub itself comes and goes", "汇聚设备上线或离线"), self._hub),
            "again": Act("again", Text("the last report once more, as hubs do", "重发上一条"), self._again),
            "say": Act("say TOPIC PAYLOAD", Text("any message", "任意报文"), self._any),
        }
        button = Act("test DEVICE on|off", Text("its test button", "测试按钮"), partial(self._switch, source.test))
        return acts | ({"test": button} if source.tests else {})

    async def _say(self, messages: Sequence[Said]) -> None:
        if not messages:
            self._tell(Text("it has no way to say that", "该设备不会上报此内容"))
            return
        self._last = messages
        await self._player.say(messages)
        for each in messages:
            self._tell(Text(f"{each.topic} {each.payload}", f"{each.topic} {each.payload}"))

    def _device(self, words: Words) -> tuple[str, str]:
        """The device, whose name may hold spaces, and the last word. With one device it may be left out."""
        *name, last = words
        device = " ".join(name) or (self._source.devices[0] if len(self._source.devices) == 1 else "")
        if device not in self._source.devices:
            known = ", ".join(self._source.devices)
            raise Wrong(f"{device} is not among its devices: {known}", f"没有设备 {device},可用:{known}")
        return device, last

    async def _switch(self, what: Switched, words: Words) -> None:
        device, word = self._device(words)
        await self._say(what(device, on_off(word)))

    async def _measure(self, words: Words) -> None:
        *name, value = words
        device, named = self._device(name)
        await self._say(self._source.measure(device, named, float(value)))

    async def _hub(self, words: Words) -> None:
        (word,) = words
        on = on_off(word)
        told = word_of(on)
        await self._say(self._source.hub(on))
        self._tell(Text(f"hub {told.en}", f"汇聚设备 {told.zh}"))

    async def _again(self, _: Words) -> None:
        await self._say(self._last)

    async def _any(self, words: Words) -> None:
        topic, *payload = words
        await self._say([Said(topic, " ".join(payload))])
