"""The real daemon, `gateway run`, as a process that tests start, kill, starve of disk and stop."""

import asyncio
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import aiohttp

from gateway.demo.wire import free_port

ROOT = Path(__file__).resolve().parents[2]
READY_S = 30.0  # longest wait for READY=1, on a busy machine
STOP_S = 10.0  # the contract: SIGTERM ends within this
_SITE = """\
site:
  name: 阳光花园
  area: {district: "310104", street: "013", community: "002"}
  places: {b3: {label: 3号楼}}
"""
BASE = "sc/v1/310104/013/002/gw-0001"


def webhook(name: str, kind: str = "camera") -> str:
    """A device that posts, as a line of `devices:`."""
    return f"{{id: {name}, driver: webhook, token: {token(name)}, kind: {kind}, place: b3}}"


def token(device: str) -> str:
    """The token of a device that posts."""
    return f"only-{device}-knows-this"


class Daemon:
    """`gateway run` on a folder of its own: `async with Daemon(folder, uplink=port, devices=[…]) as daemon`.

    `uplink` is the district's port, `beside` are other uplinks' by name. `devices` and `buses` are lines of YAML flow
    style. What it logs is in `log`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        uplink: int,
        beside: Mapping[str, int] | None = None,
        devices: Sequence[str] = (),
        buses: Mapping[str, str] | None = None,
        state: Path | None = None,
        room: str = "512MiB",
        program: str = "gateway",  # the module that is run
    ) -> None:
        self.folder = folder
        self.program = program
        self.state = state or folder / "state"
        self.page = free_port()
        self.log: list[str] = []
        self.environment: dict[str, str] = {}  # beside the tests' own, from the next start on
        self.process: asyncio.subprocess.Process | None = None
        self._changed = asyncio.Condition()
        self._config = folder / "gateway.yaml"
        page = f'web: {{listen: "127.0.0.1:{self.page}"}}, buffer: {{max_size: {room}}}'
        lines = [f"gateway: {{id: gw-0001, state_dir: {json.dumps(str(self.state))}, language: en, {page}}}"]
        uplinks = {"district": uplink} | dict(beside or {})
        lines += [_SITE + "uplinks:"]
        lines += [f'  {name}: {{url: "mqtt://127.0.0.1:{port}"}}' for name, port in uplinks.items()]
        lines += ["buses:"] * bool(buses) + [f"  {name}: {bus}" for name, bus in (buses or {}).items()]
        lines += ["devices:"] * bool(devices) + [f"  - {device}" for device in devices]
        self._config.write_text("\n".join(lines) + "\n", "utf-8")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    @property
    def url(self) -> str:
        """Of its page."""
        return f"http://127.0.0.1:{self.page}"

    @property
    def running(self) -> asyncio.subprocess.Process:
        """The process; AssertionError where there is none."""
        assert self.process is not None
        assert self.process.returncode is None, "\n".join(self.log)
        return self.process

    # its life

    async def start(self, file_bytes: int | None = None) -> float:
        """Returns the seconds to READY=1. `file_bytes`: no file may grow beyond this, as on a full disk."""
        began_s = await self.spawn(file_bytes)
        await self.ready()
        return time.monotonic() - began_s

    async def spawn(self, file_bytes: int | None = None) -> float:
        """Start it, and do not wait; returns the moment, monotonic."""
        path = self.folder / "notify"
        path.unlink(missing_ok=True)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._notify.bind(str(path))

        def limit() -> None:
            if file_bytes is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, resource.RLIM_INFINITY))

        began_s = time.monotonic()
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", self.program, "run", "--config", str(self._config),
            stderr=asyncio.subprocess.PIPE, cwd=ROOT, preexec_fn=limit,
            env=os.environ | {"NOTIFY_SOCKET": str(path)} | self.environment,
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read(self.process))
        return began_s

    async def ready(self) -> None:
        """Until it has said READY=1. AssertionError with its log where it ended instead."""
        loop = asyncio.get_running_loop()
        ended = asyncio.create_task(self.running.wait())
        try:
            async with asyncio.timeout(READY_S):
                while True:
                    told = asyncio.create_task(loop.sock_recv(self._notify, 4096))
                    await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
                    assert told.done(), "\n".join(self.log)
                    if b"READY=1" in told.result():
                        return
        finally:
            ended.cancel()

    async def after(self, seconds: float) -> None:
        """Let it run for so long. AssertionError with its log where it ends by itself."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.running.wait()
        assert self.running

    async def kill(self) -> None:
        """kill -9, where it still runs."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> tuple[int, float]:
        """SIGTERM; returns exit status and seconds."""
        began_s = time.monotonic()
        status = await self._end(signal.SIGTERM)
        return status, time.monotonic() - began_s

    async def _end(self, number: int) -> int:
        if self.process is None:
            return 0
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(2 * STOP_S):
            status = await self.process.wait()
            await self._reading
        self._notify.close()
        return status

    # what it says

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            async with self._changed:
                self.log.append(line.decode().rstrip())
                self._changed.notify_all()

    async def logged(self, condition: Callable[[list[str]], object], wait_s: float = 15.0) -> None:
        """Until its log fits."""
        try:
            async with asyncio.timeout(wait_s), self._changed:
                await self._changed.wait_for(lambda: condition(self.log))
        except TimeoutError as error:
            raise AssertionError("\n".join(self.log)) from error

    async def get(self, path: str) -> tuple[int, Any]:
        """HTTP status and JSON of its page's `path`."""
        async with aiohttp.ClientSession(self.url) as http, http.get(path) as answer:
            return answer.status, await answer.json()
