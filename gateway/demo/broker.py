"""The demo's broker on loopback: mosquitto where it is installed, else iotcore (extra `demo`)."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

from gateway.demo.wire import free_port
from gateway.errors import StateError, Text

START_S = 10.0


@asynccontextmanager
async def broker(folder: Path) -> AsyncIterator[tuple[str, int]]:
    """Yields (its name, its port on 127.0.0.1) while it runs. StateError: there is none."""
    port = free_port()
    name, command = _command(folder, port)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await _answers(port)
        yield name, port
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _command(folder: Path, port: int) -> tuple[str, tuple[str, ...]]:
    program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is not None:
        config = folder / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest none\n", "utf-8")
        return "mosquitto", (program, "-c", str(config))
    if find_spec("iotcore") is None:
        raise StateError(
            "demo",
            Text("there is no broker here", "本机没有 MQTT 服务器"),
            Text(
                "install mosquitto (apt-get install mosquitto), or pip install 'community-gateway[demo]'",
                "请安装 mosquitto(apt-get install mosquitto),或 pip install 'community-gateway[demo]'",
            ),
        )
    serve = f"from iotcore import Broker; Broker(port={port}, listen='127.0.0.1').run_forever()"
    return "iotcore", (sys.executable, "-c", serve)


async def _answers(port: int) -> None:
    async with asyncio.timeout(START_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
