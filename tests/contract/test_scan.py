"""The command `gateway scan` itself: on a pty, at a terminal, stopped by Ctrl-C, and beside a running gateway."""

import asyncio
import json
import os
import pty
import signal
import sys
from pathlib import Path

import pytest

from drivers.sim import modbus, osdp
from drivers.sim.isapi import Camera
from drivers.sim.mqtt_in import Player, Zigbee2mqtt
from tests.brokers import Mosquitto
from tests.contract.test_cli import ROOT, Said, environment, gateway, running
from tests.daemons import SITE, Own

QUICK = ("--baudrate", "9600", "--wait", "50ms")


async def scan(*arguments: str, **more: str) -> Said:
    return await gateway("scan", *arguments, **more)


async def test_it_says_what_it_will_do_then_what_it_found_and_how_to_write_it_down() -> None:
    async with modbus.Line(modbus.Slave(5, "rs-yg-n01")) as line:
        said = await scan("modbus", "--port", line.port, *QUICK, "--addresses", "4-6", "--lang", "zh")
    assert said.status == 0
    assert said.err.startswith(f"正在搜索 {line.port}:共 3 步")
    assert f"{line.port} 9600 8N1 #5" in said.out
    assert "place: # ← 请填写" in said.out
    assert f"line-1: {{serial: {line.port}, baudrate: 9600}}" in said.out


async def test_for_machines() -> None:
    async with osdp.Line([osdp.Reader(1)]) as line:
        said = await scan("osdp", "--port", line.port, *QUICK, "--addresses", "0-2", "--json")
    assert said.status == 0
    told = said.json()
    assert (told["complete"], [each["device"] for each in told["found"]]) == (
        True,
        [{"driver": "osdp", "address": 1, "key": None}],
    )
    assert told["found"][0]["bus"] == {"serial": line.port, "baudrate": 9600}
    assert "key: !file secrets/osdp-1.key" in told["config"]


async def test_nothing_found_says_what_to_look_at() -> None:
    async with modbus.Line() as line:
        said = await scan("modbus", "--port", line.port, *QUICK, "--addresses", "1", "--lang", "en")
        machine = await scan("modbus", "--port", line.port, *QUICK, "--addresses", "1", "--json")
    assert (said.status, said.out) == (1, "")
    assert "Swap A and B" in said.err
    assert (machine.status, machine.json()) == (1, {"complete": True, "found": [], "config": ""})


async def test_a_port_that_is_not_there() -> None:
    said = await scan("modbus", "--port", "/dev/nothing", "--lang", "en")
    assert said.status == 1
    assert "there is no serial port /dev/nothing" in said.err


class Waking(modbus.Slave):
    """Says when it was asked."""

    def __init__(self, address: int) -> None:
        super().__init__(address)
        self.asked = asyncio.Event()

    def hear(self, pdu: bytes) -> bytes:
        self.asked.set()
        return super().hear(pdu)


async def test_ctrl_c_ends_it_with_what_was_found_so_far() -> None:
    last = Waking(3)
    last.plugged = False
    async with modbus.Line(modbus.Slave(1, "rs-yg-n01"), last) as line:
        arguments = ("scan", "modbus", "--port", line.port, "--addresses", "1,3-247", "--wait", "1s", "--lang", "en")
        async with running(*arguments, "--thorough") as command, asyncio.timeout(60):
            await last.asked.wait()
            said = await command.ended(signal.SIGINT)
    assert said.status == 130
    assert "stopped before its end" in said.err
    assert "Traceback" not in said.err
    assert f"{line.port} 9600 8N1 #1" in said.out
    assert "address: 1" in said.out


async def test_a_line_that_goes_away_does_not_take_what_was_found_with_it() -> None:
    last = Waking(3)
    last.plugged = False
    async with modbus.Line(modbus.Slave(1, "rs-yg-n01"), last, tcp=("127.0.0.1", 0), framing="rtu") as line:
        where = f"127.0.0.1:{line.address[1]}"
        arguments = ("scan", "modbus", "--tcp", where, "--framing", "rtu", "--addresses", "1,3-60", "--wait", "1s")
        async with running(*arguments, "--lang", "en") as command, asyncio.timeout(60):
            await last.asked.wait()
            line.drop()
            said = await command.ended()
    assert said.status == 1
    assert f"{where} #1" in said.out
    assert f"{where}: the line is gone" in said.err


async def test_a_progress_bar_at_a_terminal_only() -> None:
    ours, theirs = pty.openpty()
    async with modbus.Line() as line:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "scan", "modbus", "--port", line.port, *QUICK, "--addresses", "1-3"),
            stdout=asyncio.subprocess.PIPE, stderr=theirs, cwd=ROOT, env=environment(TERM="xterm", COLUMNS="100"),
        )  # fmt: skip
        async with asyncio.timeout(30):
            out, _ = await process.communicate()
        plain = await scan("modbus", "--port", line.port, *QUICK, "--addresses", "1-3")
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    os.close(theirs)
    assert "3/3" in shown
    assert "3/3" not in plain.err
    assert out == b""


async def test_a_camera_says_its_model_to_who_may_log_in(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("camera-1234\n", "utf-8")
    async with Camera(login=("admin", "camera-1234")) as camera:
        port = camera.url.rpartition(":")[2].rstrip("/")
        login = ("--user", "admin", "--password-file", str(file))
        said = await scan("isapi", "127.0.0.1", "--port", port, *login, "--json")
        asked = await scan("isapi", "127.0.0.1", "--port", port, "--user", "admin", "--lang", "en")
    assert said.status == 0
    assert said.json()["found"][0]["device"]["driver"] == "isapi"
    assert "password: !file secrets/isapi-127-0-0-1" in said.json()["config"]
    assert "camera-1234" not in said.out + said.err
    assert asked.status == 2  # nobody there who could be asked
    assert "GATEWAY_SCAN_PASSWORD" in asked.err


async def test_what_a_hub_announces_on_a_broker(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, Player(Zigbee2mqtt(["smoke-1"]), "127.0.0.1", broker.port):
        said = await scan("mqtt", f"127.0.0.1:{broker.port}", "--wait", "1s", "--json")
    assert said.status == 0
    config = said.json()["config"]
    assert "  - id: zigbee2mqtt\n" in config
    assert "    hub: zigbee2mqtt\n" in config
    assert 'address: "0x00158d0000000001"' in config


async def test_cameras_are_asked_by_multicast() -> None:
    said = await scan("onvif", "--interface", "127.0.0.1", "--wait", "200ms", "--json")
    assert (said.status, said.json()["found"]) == (1, [])


BUSES = """
buses:
  rs485-1: {{serial: "{port}", baudrate: 9600}}
devices:
  - {{id: smoke-1, driver: modbus, bus: rs485-1, address: 5, profile: rs-yg-n01, place: gate}}
"""


@pytest.mark.parametrize("link", [False, True])
async def test_the_running_gateway_has_the_line(tmp_path: Path, link: bool) -> None:
    async with modbus.Line(modbus.Slave(5, "rs-yg-n01")) as line:
        port = line.port
        if link:  # as /dev/serial/by-id has them
            port = str(tmp_path / "by-id")
            os.symlink(line.port, port)
        async with Own(tmp_path, SITE + BUSES.format(port=line.port)) as daemon:
            config = str(tmp_path / "gateway.yaml")
            free = await scan("modbus", "--port", port, *QUICK, "--addresses", "5", "--config", config, "--json")
            await daemon.start()
            held = await scan("modbus", "--port", port, *QUICK, "--config", config, "--lang", "en")
            told = await scan("osdp", "--port", port, *QUICK, "--config", config, "--lang", "zh")
    assert len(json.loads(free.out)["found"]) == 1  # configured, but nobody runs
    assert (held.status, told.status) == (1, 1)
    assert "the running gateway talks on this line (bus rs485-1); stop it for the search" in held.err
    assert "正在运行的网关占用此线路(总线 rs485-1)" in told.err
