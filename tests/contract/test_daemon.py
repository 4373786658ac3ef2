"""The daemon as a process: every trouble at once, restarts with open alarms, its end, its will, its state folder."""

import asyncio
import json
import os
import signal
import socket
import sqlite3
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trustme

from drivers.sim import isapi, modbus
from drivers.sim.webhook import Poster
from tests.brokers import Mosquitto, Subscriber, Wire, free_port, subscribed
from tests.daemons import SITE, Own
from tests.faults.daemon import STOP_S, token, webhook
from tests.houses import ask

POSTS = webhook("panic-1").replace("b3}", "gate}")


def sections(uplinks: dict[str, str], devices: list[str], buses: dict[str, str] | None = None) -> str:
    """Everything of gateway.yaml below `gateway:`."""
    lines = [SITE, "uplinks:", *(f"  {name}: {uplink}" for name, uplink in uplinks.items())]
    lines += ["buses:", *(f"  {name}: {{serial: {port}}}" for name, port in buses.items())] if buses else []
    return "\n".join([*lines, "devices:", *(f"  - {device}" for device in devices), ""])


def to(port: int, more: str = "") -> str:
    """An uplink on loopback."""
    return f'{{url: "mqtt://127.0.0.1:{port}"{more}}}'


def smoke(name: str, bus: str) -> str:
    """A smoke detector."""
    return f"{{id: {name}, driver: modbus, bus: {bus}, address: 5, profile: rs-yg-n01, place: b3/u2/f5, poll: 50ms}}"


def events(city: Subscriber, kind: str) -> list[dict[str, Any]]:
    """Of one type, as they arrived."""
    return [event for event in city.events() if event["type"] == kind]


# --- every trouble at once


@contextmanager
def deaf_port() -> Iterator[int]:
    """A port on which nobody answers the SYN: its queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = int(listener.getsockname()[1])
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        yield port


@asynccontextmanager
async def expired(folder: Path) -> AsyncIterator[int]:
    """A TLS port whose certificate is of last year; the authority's is in `folder/ca.pem`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", not_after=datetime.now(UTC) - timedelta(days=300)).configure_cert(context)
    server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0, ssl=context)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


TROUBLES = {  # logger, and what it must say and advise
    "absent port": ("gateway.driver.modbus[no-port]", "/dev/ttyNOT-THERE", ("cable", "serial", "port")),
    "camera refuses": ("gateway.driver.isapi[cam-1]", "password", ("password",)),
    "camera away": ("gateway.driver.isapi[cam-2]", "Connect call failed", ("check power, cable",)),
    "page": ("gateway", "in use", ("gateway.web",)),
    "broker away": ("gateway.uplink.away", "closed before an answer came", ("check the port",)),
    "unknown host": ("gateway.uplink.nowhere", "host name is not known", ("check url and the DNS",)),
    "wrong password": ("gateway.uplink.locked", "refuses", ("check username, password",)),
    "expired certificate": ("gateway.uplink.expired", "expired", ("check tls.ca, the host name and the clock",)),
}


async def test_every_trouble_at_once_and_the_rest_is_served(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    (locked / "passwords").touch(mode=0o600)
    async with (
        Mosquitto(tmp_path) as broker,
        Mosquitto(locked, "allow_anonymous false", f"password_file {locked}/passwords") as other,
        subscribed(broker.port) as city,
        Wire(broker.port) as wire,
        modbus.Line(modbus.Slave(5, "rs-yg-n01")) as line,
        isapi.Camera(("admin", "another-password")) as camera,
        expired(tmp_path) as tls,
    ):
        wire.cut()
        nowhere = f"http://127.0.0.1:{free_port()}"
        uplinks = {
            "district": to(broker.port),
            "away": to(wire.port, ", protocol: 5"),
            "nowhere": '{url: "mqtt://no-such-host.invalid"}',
            "locked": to(other.port, ", username: gw, password: wrong"),
            "expired": f'{{url: "mqtts://localhost:{tls}", tls: {{ca: ca.pem}}}}',
        }
        devices = [
            smoke("smoke-1", "good"),
            smoke("smoke-2", "no-port"),
            f'{{id: cam-1, driver: isapi, url: "{camera.url}", password: camera-1234, place: gate}}',
            f'{{id: cam-2, driver: isapi, url: "{nowhere}", password: x, place: gate, retry: 100ms}}',
            POSTS,
        ]
        buses = {"good": line.port, "no-port": "/dev/ttyNOT-THERE"}
        async with Own(tmp_path, sections(uplinks, devices, buses)) as daemon:
            with socket.create_server(("127.0.0.1", daemon.page)):
                await daemon.start()
                line.slaves[5].set_condition("fire.smoke", True)
                await city.until(lambda: events(city, "fire.smoke"))
                offline = {"smoke-2", "cam-1", "cam-2"}
                await city.until(lambda: {e["subject"] for e in events(city, "device.offline")} == offline)
                async with asyncio.timeout(30):
                    while wire.connections < 4:
                        await daemon.after(0.2)
                status = await ask(daemon.state, "status")
                assert await daemon.stop() < (0, STOP_S)
        check_log(daemon.log)
        assert {name: link["connected"] for name, link in status["health"]["uplinks"].items()} == {
            "district": True, "away": False, "nowhere": False, "locked": False, "expired": False,
        }  # fmt: skip
        for link in status["health"]["uplinks"].values():
            assert link["connected"] or (link["why"]["en"] and link["why"]["zh"] != link["why"]["en"])


def check_log(log: list[str]) -> None:
    """Each trouble once, with what to do; and nothing else but that."""
    assert not [line for line in log if "Traceback" in line or "exception" in line]
    for name, (logger, what, advice) in TROUBLES.items():
        found = [line for line in log if f" {logger}: " in line and (" ERROR " in line or " WARNING " in line)]
        told = [line for line in found if what in line]
        assert len(told) == 1, (name, found or log)
        assert any(word in told[0] for word in advice), told
        assert len(found) <= 2, found  # and that the device does not answer
    assert len(log) < 30, "\n".join(log)


@pytest.mark.parametrize("uplinks", [1, 10])
async def test_brokers_that_do_not_answer_do_not_hold_up_the_end(tmp_path: Path, uplinks: int) -> None:
    with deaf_port() as port:
        links = {f"deaf-{number}": to(port) for number in range(uplinks)}
        async with Own(tmp_path, sections(links, [POSTS])) as daemon:
            await daemon.start()
            status, seconds = await daemon.stop()
    assert status == 0, daemon.log
    assert seconds < STOP_S


async def test_brokers_that_do_not_answer_hold_up_no_other(tmp_path: Path) -> None:
    with deaf_port() as port:
        async with Mosquitto(tmp_path) as broker, subscribed(broker.port) as city:
            links = {f"deaf-{number}": to(port) for number in range(10)} | {"district": to(broker.port)}
            async with Own(tmp_path, sections(links, [POSTS])) as daemon:
                await daemon.start()
                await city.until(lambda: city.document("/status"), 3.0)


# --- what systemd hears


async def test_systemd_hears_of_its_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    loop = asyncio.get_running_loop()
    async with Own(tmp_path, sections({"district": to(free_port())}, [POSTS])) as daemon:
        await daemon.start()
        beats: list[float] = []
        async with asyncio.timeout(5):
            while len(beats) < 4:
                if b"WATCHDOG=1" in await loop.sock_recv(daemon._notify, 4096):
                    beats.append(loop.time())
            assert max(later - sooner for sooner, later in pairwise(beats)) < 0.2
            daemon.running.send_signal(signal.SIGTERM)
            while b"STOPPING=1" not in await loop.sock_recv(daemon._notify, 4096):
                pass
        assert (await daemon.stop())[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_both_signals_end_it_well(tmp_path: Path, number: signal.Signals) -> None:
    async with Own(tmp_path, sections({"district": to(free_port())}, [POSTS])) as daemon:
        await daemon.start()
        daemon.running.send_signal(number)
        async with asyncio.timeout(STOP_S):
            assert await daemon.running.wait() == 0
        assert not [line for line in daemon.log if "Traceback" in line]
        assert not (daemon.state / "control.sock").exists()


# --- restarts


async def test_an_alarm_that_was_open_at_the_restart_ends_as_itself(tmp_path: Path) -> None:
    slave = modbus.Slave(5, "rs-yg-n01")
    async with (
        Mosquitto(tmp_path) as broker,
        subscribed(broker.port) as city,
        modbus.Line(slave) as line,
        Own(tmp_path, sections({"district": to(broker.port)}, [smoke("smoke-1", "bus")], {"bus": line.port})) as daemon,
    ):
        await daemon.start()
        slave.set_condition("fire.smoke", True)
        await city.until(lambda: events(city, "fire.smoke"))
        assert (await daemon.stop())[0] == 0
        await daemon.start()
        await polled(line, slave, 6)
        (alarm,) = await ask(daemon.state, "alarms")
        slave.set_condition("fire.smoke", False)
        await city.until(lambda: events(city, "fire.smoke")[-1]["phase"] == "clear")
        told = events(city, "fire.smoke")
    assert {event["data"]["alarm"] for event in told} == {told[0]["id"]} == {alarm["alarm"]}
    assert [event["phase"] for event in told if event["phase"] != "still"] == ["raise", "clear"]
    assert [event["id"] for event in told] == sorted({event["id"] for event in told})
    lane = [int(event["sequence"]) for event in city.events("alarm")]
    assert lane == list(range(1, len(lane) + 1))


async def polled(line: modbus.Line, slave: modbus.Slave, times: int) -> None:
    """Until it has been asked so often from now."""
    heard, enough = slave.requests + times, asyncio.Event()
    line.listeners.append(lambda: enough.set() if slave.requests >= heard else None)
    async with asyncio.timeout(15):
        await enough.wait()


async def test_after_a_restart_nothing_comes_twice_but_what_was_not_confirmed(tmp_path: Path) -> None:
    async with (
        Mosquitto(tmp_path) as broker,
        subscribed(broker.port) as city,
        Wire(broker.port) as wire,
        Own(tmp_path, sections({"district": to(wire.port)}, [POSTS])) as daemon,
        Poster(f"{daemon.url}/ingest/panic-1", token("panic-1"), 0.05) as poster,
    ):
        await daemon.start()
        await poster.say(*({"type": "access.granted"} for _ in range(20)))
        await city.until(lambda: len(city.events()) == 20)
        assert (await daemon.stop())[0] == 0  # all of it confirmed
        wire.cut()
        await daemon.start()
        await poster.say(*({"type": "access.granted"} for _ in range(20)))
        await poster.all_accepted()
        assert (await daemon.stop())[0] == 0  # none of it sent
        wire.mend()
        await daemon.start()
        await poster.say({"type": "access.granted"})
        await city.until(lambda: len(city.events()) >= 41)
        assert (await daemon.stop())[0] == 0
    told = [event["id"] for event in city.events()]
    assert told == poster.accepted == sorted(set(told))
    assert [int(event["sequence"]) for event in city.events()] == list(range(1, 42))


# --- the will


async def test_the_will_of_a_daemon_that_was_killed(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, subscribed(broker.port) as city:
        uplinks = {"old": to(broker.port, ', protocol: "3.1.1"'), "new": to(broker.port, ", root: new/v1")}
        async with Own(tmp_path, sections(uplinks, [POSTS])) as daemon:
            await daemon.start()
            await city.until(lambda: status(city, "sc/v1") and status(city, "new/v1"))
            born = status(city, "sc/v1")
            await daemon.kill()
            await city.until(lambda: status(city, "sc/v1")["state"] == "offline")
            will = status(city, "sc/v1")
            assert (will["session"], will["boot"]) == (born["session"], born["boot"])
            assert will["time"] <= born["time"]  # of connecting
            assert status(city, "new/v1")["state"] == "online"  # MQTT 5: for 60 s yet
            await daemon.start()
            await city.until(lambda: all(status(city, root)["session"] == 2 for root in ("sc/v1", "new/v1")))
            assert (await daemon.stop())[0] == 0
            await city.until(lambda: all(status(city, root)["state"] == "offline" for root in ("sc/v1", "new/v1")))
        states = [d["state"] for d in all_statuses(city, "new/v1")]
    assert states == ["online", "online", "offline"]  # whoever is back within 60 s was never away


def all_statuses(city: Subscriber, root: str) -> list[dict[str, Any]]:
    topic = f"{root}/310104/013/002/gw-0001/status"
    return [json.loads(bytes(message.payload)) for message in city.messages if str(message.topic) == topic]


def status(city: Subscriber, root: str) -> dict[str, Any]:
    """The newest, or an empty one."""
    return (all_statuses(city, root) or [{}])[-1]


# --- the state folder


async def refused(daemon: Own, *under: str) -> str:
    """It does not start: exit status 1, and this one sentence. `under`: a command that runs it."""
    process = await asyncio.create_subprocess_exec(
        *under, *daemon.command, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    assert (process.returncode, out) == (1, b""), err.decode()
    (line,) = err.decode().splitlines()
    return line


def a_file(folder: Path) -> str:
    folder.write_text("", "utf-8")
    return "the state folder cannot be used"


def a_newer_database(folder: Path) -> str:
    folder.mkdir()
    with closing(sqlite3.connect(folder / "events.db")) as connection:
        connection.execute("PRAGMA user_version = 999")
    return "schema version 999"


@pytest.mark.parametrize("spoil", [a_file, a_newer_database])
async def test_a_state_folder_that_cannot_be_used(tmp_path: Path, spoil: Callable[[Path], str]) -> None:
    daemon = Own(tmp_path, sections({"district": to(free_port())}, []))
    assert spoil(daemon.state) in await refused(daemon)


async def test_a_second_daemon_is_told_whose_folder_it_is(tmp_path: Path) -> None:
    one = sections({"district": to(free_port())}, [])
    second = tmp_path / "second"
    second.mkdir()
    async with Own(tmp_path, one) as daemon:
        await daemon.start()
        said = await refused(Own(second, one, state=daemon.state, language="zh-CN"))
        assert str(daemon.running.pid) in said
        assert "另一个网关进程" in said
        assert "gateway.state_dir" in said
        assert await ask(daemon.state, "devices") == []


async def test_a_state_folder_without_permission(tmp_path: Path) -> None:
    daemon = Own(tmp_path, sections({"district": to(free_port())}, []))
    daemon.state.mkdir(mode=0o500)
    as_anybody = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    said = await refused(daemon, *as_anybody)
    assert "Permission denied" in said
    assert "chown" in said
