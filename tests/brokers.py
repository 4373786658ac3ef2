"""Real brokers and subscribers for tests: mosquitto on a free loopback port, a TCP line that can be cut, aiomqtt."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiomqtt
from aiohttp import web

from gateway.demo.wire import Wire, free_port

__all__ = ["Mosquitto", "Subscriber", "Wire", "free_port", "subscribed", "websocket_door"]
_LOGGED = ("log_type error", "log_type warning", "log_type notice", "log_type information")
WAIT_S = 15.0  # longest wait for anything that must happen


class Mosquitto:
    """`async with Mosquitto(folder, *options) as broker`: `options` are lines of mosquitto.conf(5)."""

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.options = options or ("allow_anonymous true",)
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> "Mosquitto":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Returns when it listens."""
        config = self.folder / f"mosquitto-{self.port}.conf"
        lines = [f"listener {self.port} 127.0.0.1", *self.options, "log_dest stderr", *_LOGGED, "user root"]
        config.write_text("\n".join(lines) + "\n", "utf-8")
        command = ("mosquitto", "-c", str(config))
        environment = os.environ | {"PATH": os.environ["PATH"] + ":/usr/sbin"}
        self._process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, env=environment)
        assert self._process.stderr is not None
        async with asyncio.timeout(WAIT_S):
            async for line in self._process.stderr:
                if line.rstrip().endswith(b" running"):  # the path of the configuration may have the word too
                    break
            else:
                raise RuntimeError("mosquitto did not start; see its configuration")
        self._drain = asyncio.create_task(self._read_on(self._process.stderr))

    async def _read_on(self, stream: asyncio.StreamReader) -> None:
        async for _ in stream:
            pass

    async def stop(self, number: int = signal.SIGTERM) -> None:
        """End it and wait until it is gone."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            await self._process.wait()
        await self._drain

    def give_way(self) -> None:
        """To every other process (nice(2)): as if it stood on another machine."""
        assert self._process is not None
        os.setpriority(os.PRIO_PROCESS, self._process.pid, 19)

    def signal(self, number: int) -> None:
        """E.g. SIGSTOP: TCP stays, nothing answers. SIGHUP: read ACLs and passwords again."""
        assert self._process is not None
        self._process.send_signal(number)


@asynccontextmanager
async def websocket_door(to_port: int) -> AsyncIterator[int]:
    """A WebSocket port (MQTT 5.0, section 6) in front of a broker's TCP port, by aiohttp; yields the port."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket_ = web.WebSocketResponse(protocols=("mqtt",))
        await socket_.prepare(request)
        reader, writer = await asyncio.open_connection("127.0.0.1", to_port)

        async def down() -> None:
            while data := await reader.read(65536):
                await socket_.send_bytes(data)

        task = asyncio.create_task(down())
        async for message in socket_:
            writer.write(message.data)
        task.cancel()
        writer.close()
        return socket_

    app = web.Application()
    app.router.add_get("/mqtt", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield port
    finally:
        await runner.cleanup()


class Subscriber:
    """Everything that arrived under a topic, in order; `until` waits for a condition on it."""

    def __init__(self) -> None:
        self.messages: list[aiomqtt.Message] = []
        self._changed = asyncio.Condition()

    async def until(self, condition: Callable[[], object], wait_s: float = WAIT_S) -> None:
        """Wait, without sleeping, until `condition()` holds."""
        async with asyncio.timeout(wait_s), self._changed:
            await self._changed.wait_for(condition)

    async def take(self, message: aiomqtt.Message) -> None:
        """Called for each message."""
        async with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    def events(self, lane: str | None = None) -> list[dict[str, Any]]:
        """CloudEvents that arrived, of one lane."""
        decoded = [json.loads(bytes(m.payload)) for m in self.messages if "/event/" in str(m.topic)]
        return [event for event in decoded if lane is None or event["stream"].endswith(f".{lane}")]

    def document(self, tail: str) -> dict[str, Any] | None:
        """The newest document whose topic ends so."""
        found = [m for m in self.messages if str(m.topic).endswith(tail)]
        return json.loads(bytes(found[-1].payload)) if found else None


@asynccontextmanager
async def subscribed(port: int, topic: str = "#", **options: Any) -> AsyncIterator[Subscriber]:
    """A subscriber on a broker at 127.0.0.1 while the block lasts."""
    subscriber = Subscriber()

    async def listen(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            await subscriber.take(message)

    async with aiomqtt.Client("127.0.0.1", port, **options) as client:
        await client.subscribe(topic, qos=1)
        task = asyncio.create_task(listen(client))
        try:
            yield subscriber
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, aiomqtt.MqttError):
                await task
