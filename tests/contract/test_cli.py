"""The real command against a real daemon and real simulators; and wrong surroundings, tried as a new user would."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.brokers import Mosquitto, free_port
from tests.faults.daemon import Daemon, token, webhook

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 20.0
AS_NOBODY = """\
import os, sys
from gateway import app, cli, config, logs, problems, yamlmarks
cli.run(["version"])  # what it needs is imported while it may be
if os.geteuid() == 0:
    os.seteuid(65534)  # nobody: root may everything
else:
    os.chmod(sys.argv[1], 0)
sys.exit(cli.run(sys.argv[2:]))
"""


class Said(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """Its document."""
        return json.loads(self.out)


def environment(**more: str) -> dict[str, str]:
    """No configuration, and a locale in no language."""
    clean = {name: value for name, value in os.environ.items() if name not in {"GATEWAY_CONFIG", "LANG", "LC_ALL"}}
    return clean | {"PYTHONUTF8": "1"} | more


async def gateway(*arguments: str | Path, give: str = "", **more: str) -> Said:
    """One command, to its end."""
    return await told(sys.executable, "-m", "gateway", *map(str, arguments), give=give, **more)


async def told(*command: str, give: str = "", **more: str) -> Said:
    """The same of any program."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, env=environment(**more)
    )
    async with asyncio.timeout(WAIT_S):
        out, err = await process.communicate(give.encode())
    return Said(process.returncode or 0, out.decode(), err.decode())


class Running:
    """A command that goes on: lines of what it says, words for what it hears."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self.stdin, self.stdout, self.stderr = process.stdin, process.stdout, process.stderr

    async def line(self, holding: str = "") -> str:
        """The next line with these words in it."""
        async with asyncio.timeout(WAIT_S):
            while line := (await self.stdout.readline()).decode():
                if holding in line:
                    return line
        raise AssertionError((await self.stderr.read()).decode())

    def say(self, line: str) -> None:
        """To its standard input."""
        self.stdin.write(f"{line}\n".encode())

    async def ended(self, number: int | None = None) -> Said:
        """With a signal, or by itself."""
        if number is not None:
            self.process.send_signal(number)
        async with asyncio.timeout(WAIT_S):
            out, err = await self.process.communicate()
        return Said(self.process.returncode or 0, out.decode(), err.decode())


@asynccontextmanager
async def running(*arguments: str | Path) -> AsyncIterator[Running]:
    """A command that goes on while the block lasts."""
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-u", "-m", "gateway", *map(str, arguments))
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, env=environment()
    )
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@asynccontextmanager
async def daemon(
    folder: Path, *edits: tuple[str, str], uplink: int | None = None, **more: Any
) -> AsyncIterator[Daemon]:
    """A gateway that runs; `edits` replace words of its configuration."""
    async with Daemon(folder, uplink=uplink or free_port(), **more) as made:
        file = folder / "gateway.yaml"
        text = file.read_text("utf-8")
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        file.write_text(text, "utf-8")
        await made.start()
        yield made


async def post(made: Daemon, *lines: str, device: str = "panic") -> None:
    """A simulated device posts, and ends when all is on disk."""
    arguments = ("simulate", "webhook", "--url", f"{made.url}/ingest/{device}", "--token", token(device))
    said = await gateway(*arguments, give="\n".join(lines))
    assert (said.status, said.err) == (0, "")
    assert said.out.count("on the gateway's disk") == len(lines)


PANIC = [webhook("panic", "panic")]


async def alarms_of(device: str, *at: str | Path) -> list[Any]:
    """Open alarms of one device: an uplink that is away for 10 s is one, too."""
    return [alarm for alarm in (await gateway("alarms", "--json", *at)).json() if alarm["device"] == device]


async def test_a_day_with_it(tmp_path: Path) -> None:
    """A detector on Modbus TCP smells smoke: seen live, listed, acknowledged, waiting for an uplink that is away."""
    port = free_port()
    detector = "{id: smoke-5, driver: modbus, bus: io, address: 5, profile: rs-yg-n01, place: b3}"
    simulator = running("simulate", "modbus", "--address", "5", "--tcp", f"127.0.0.1:{port}")
    buses = {"io": f'{{tcp: "127.0.0.1:{port}"}}'}
    async with AsyncExitStack() as stack:
        wire = await stack.enter_async_context(simulator)
        await wire.line(str(port))  # else the detector may not be there yet, which is an alarm of its own
        await stack.enter_async_context(daemon(tmp_path, devices=[*PANIC, detector], buses=buses))
        at = ("--state-dir", tmp_path / "state")
        await wire.line("address 5 is being polled")
        async with running("events", "--follow", "--json", "--since", "1h", "--type", "fire.*", *at) as follower:
            wire.say("smoke 5 on")
            event = json.loads(await follower.line())
            assert (event["type"], event["phase"], event["subject"]) == ("fire.smoke", "raise", "smoke-5")
            assert event["streams"]["district.alarm"]
        (alarm,) = await alarms_of("smoke-5", *at)
        assert (alarm["alarm"], alarm["state"]) == (event["data"]["alarm"], "active_unacked")

        status = await gateway("status", *at)
        assert status.status == 0
        assert status.out.startswith("gw-0001 · FIRE ALARM")
        assert re.search(r"^district  not connected .*127\.0\.0\.1", status.out, re.MULTILINE)
        devices = await gateway("devices", "--lang", "zh", *at)
        assert re.search(r"^smoke-5 +3号楼 +modbus +smoke +报警 +fire\.smoke", devices.out, re.MULTILINE)
        assert devices.out.startswith("设备")
        assert "critical" in (await gateway("alarms", *at)).out

        acked = await gateway("ack", alarm["alarm"], "--outcome", "test", "--note", "烟枪", "--lang", "zh", *at)
        assert (acked.status, acked.out) == (0, "已确认:smoke-5 的 fire.smoke,当前持续,已确认\n")
        wire.say("smoke 5 off")
        async with running("events", "--follow", "--since", "1h", "--device", "smoke-5", *at) as follower:
            assert "critical  begins  fire.smoke Smoke alarm" in await follower.line("begins")
            assert "fire.smoke" in await follower.line("ends")
        assert await alarms_of("smoke-5", *at) == []

        noted = (await gateway("events", "--json", "--type", "operator.*", *at)).json()
        assert [one["data"]["note"] for one in noted] == ["烟枪", "烟枪"]
        owed = await gateway("outbox", "show", "--json", *at)
        assert owed.json()["district"]["lanes"]["alarm"]["backlog"] >= 2
        assert re.search(r"^district +alarms +[2-9]", (await gateway("outbox", "show", *at)).out, re.MULTILINE)


async def test_events_are_chosen_and_limited(tmp_path: Path) -> None:
    async with daemon(tmp_path, devices=PANIC) as made:
        await post(made, "raise fire.manual", "clear fire.manual", "pulse access.granted x=1")
        at = ("--config", tmp_path / "gateway.yaml")
        kinds = [event["type"] for event in (await gateway("events", "--json", *at)).json()]
        assert kinds == ["fire.manual", "fire.manual", "access.granted"]
        assert len((await gateway("events", "--json", "--limit", "1", *at)).json()) == 1
        assert (await gateway("events", "--json", "--since", "2099-01-01", *at)).json() == []
        assert (await gateway("events", "--device", "nobody", *at)).out == "no such event\n"
        (line,) = (await gateway("events", "--type", "access.*", "--lang", "zh", *at)).out.splitlines()
        assert re.match(r"\d\d:\d\d:\d\d  记录", line)
        assert line.endswith("3号楼 x=1.0")


async def test_following_shows_the_past_it_is_asked_for_and_each_event_once(tmp_path: Path) -> None:
    async with daemon(tmp_path, devices=PANIC) as made:
        await post(made, "raise fire.manual", "clear fire.manual")
        at = ("--state-dir", tmp_path / "state")
        async with running("events", "-f", "--json", "--limit", "1", *at) as follower:
            seen = [json.loads(await follower.line())]
            await post(made, "raise fire.manual")
            seen.append(json.loads(await follower.line()))
            said = await follower.ended(signal.SIGINT)
        assert [event["phase"] for event in seen] == ["clear", "raise"]
        assert said == Said(0, "", "")


async def test_a_follower_is_told_that_the_gateway_stops(tmp_path: Path) -> None:
    following = running("events", "-f", "--limit", "1", "--state-dir", tmp_path / "state")
    async with daemon(tmp_path, devices=PANIC) as made, following as follower:
        await post(made, "raise fire.manual")
        await follower.line("fire.manual")
        status, seconds = await made.stop()
        said = await follower.ended()
    assert (status, seconds < 10) == (0, True)
    assert (said.status, said.out) == (1, "")
    assert "the gateway has stopped" in said.err
    assert not any("Traceback" in line for line in made.log)


async def test_a_closed_pipe_ends_it_quietly(tmp_path: Path) -> None:
    async with daemon(tmp_path, devices=PANIC) as made:
        await post(made, *["raise fire.manual", "clear fire.manual"] * 5)
        command = f"{sys.executable} -m gateway events --state-dir {tmp_path}/state; echo $? >&2"
        said = await told("bash", "-c", f"({command}) | head -n 1")
        assert len(said.out.splitlines()) == 1
        assert said.err == "0\n"


async def test_ack_of_nothing(tmp_path: Path) -> None:
    async with daemon(tmp_path):
        said = await gateway("ack", "01234567", "--state-dir", tmp_path / "state")
        assert (said.status, said.out) == (1, "")
        assert said.err == (
            "01234567: there is no such open alarm, or more than one; `gateway alarms` lists them; the last 6 "
            "characters of the first column are enough\n"
        )


async def test_send(tmp_path: Path) -> None:
    async with daemon(tmp_path, devices=PANIC):
        at = ("--config", tmp_path / "gateway.yaml")
        done = await gateway("send", "panic", "shield", "seconds=60", "reason=new battery", "--lang", "zh", *at)
        assert (done.status, done.out, done.err) == (0, "ok: 已完成\n", "")
        (shown,) = (await gateway("devices", "--json", *at)).json()
        assert shown["state"] == "shielded"
        answer = await gateway("send", "gateway", "bundle", "--json", *at)
        assert answer.json()["result"]["path"].startswith(str(tmp_path))
        refused = await gateway("send", "panic", "unlock", *at)
        assert (refused.status, refused.out) == (1, "")
        assert refused.err == "unknown-action: it takes shelve, shield, test, unshield\n"
        wrong = await gateway("send", "panic", "shield", "seconds", *at)
        assert wrong.status == 2
        assert "KEY=VALUE" in wrong.err


# --- wrong surroundings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", ["status", "devices", "alarms", "events", "events -f", "outbox show", "ack 1", "send a test"]
)
async def test_no_gateway_runs(command: str, tmp_path: Path) -> None:
    said = await gateway(*command.split(), "--state-dir", tmp_path)
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith(f"{tmp_path}: no gateway is running on this state folder; start it with: gateway run")
    said = await gateway(*command.split(), "--state-dir", tmp_path, LANG="zh_CN.UTF-8")
    assert "没有网关在运行;请启动:gateway run" in said.err


async def test_a_socket_that_a_killed_gateway_left_behind(tmp_path: Path) -> None:
    async with daemon(tmp_path) as made:
        await made.kill()
        assert (tmp_path / "state" / "control.sock").exists()
        assert "no gateway is running" in (await gateway("status", "--state-dir", made.state)).err


async def test_another_user_may_not_ask(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with daemon(tmp_path):
        said = await told(sys.executable, "-c", AS_NOBODY, str(state), "status", "--state-dir", str(state))
        state.chmod(0o700)
    assert (said.status, said.out.count("\n")) == (1, 1)
    assert said.err.startswith(f"{state}: this user may not ask the gateway; ask as its own user: sudo -u ")


@pytest.mark.parametrize("command", ["check", "run", "status"])
async def test_another_user_may_not_read_the_configuration(command: str, tmp_path: Path) -> None:
    config = tmp_path / "etc" / "gateway.yaml"
    config.parent.mkdir(mode=0o700)
    said = await told(sys.executable, "-c", AS_NOBODY, str(config.parent), command, "--config", str(config))
    config.parent.chmod(0o700)
    assert (said.status, said.out.count("\n")) == (1, 1)
    assert said.err.startswith(f"{config}: this user may not read the configuration; ask as its own user: sudo -u ")


async def test_a_second_gateway_on_the_same_state_folder(tmp_path: Path) -> None:
    async with daemon(tmp_path) as made:
        said = await gateway("run", "--config", tmp_path / "gateway.yaml")
        assert said.status == 1
        (sentence,) = said.err.splitlines()
        number = made.running.pid
        assert sentence.startswith(f"{made.state}: another gateway (process {number}) uses this state folder; stop it")
        assert (await gateway("status", "--state-dir", made.state)).status == 0  # the first one goes on


@pytest.mark.parametrize(("spoken", "sentence"), [("en", "cannot be used"), ("zh", "状态目录无法使用")])
async def test_a_state_folder_that_cannot_be(spoken: str, sentence: str, tmp_path: Path) -> None:
    Daemon(tmp_path, uplink=1883, state=tmp_path / "file" / "state")
    (tmp_path / "file").write_text("", "utf-8")
    said = await gateway("run", "--config", tmp_path / "gateway.yaml", "--lang", spoken)
    assert (said.status, said.out) == (1, "")
    assert said.err.count("\n") == 1
    assert sentence in said.err
    assert "gateway.state_dir" in said.err


async def test_an_absent_serial_port_is_told_once_and_the_rest_goes_on(tmp_path: Path) -> None:
    absent = tmp_path / "ttyUSB9"
    detector = "{id: smoke-5, driver: modbus, bus: line, address: 5, profile: rs-yg-n01, place: b3}"
    buses = {"line": f"{{serial: {absent}}}"}
    async with daemon(tmp_path, devices=[*PANIC, detector], buses=buses) as made:
        await made.logged(lambda log: any(str(absent) in line for line in log))
        await post(made, "raise fire.manual")
        status = await gateway("status", "--state-dir", made.state)
        assert re.search(rf"^modbus +retrying .*there is no serial port {absent}; plug", status.out, re.MULTILINE)
        await made.after(2.5)  # two more tries
        assert len([line for line in made.log if str(absent) in line]) == 1


async def test_the_page_s_port_is_taken(tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    async with daemon(first) as other, Daemon(tmp_path, uplink=free_port()) as made:
        file = tmp_path / "gateway.yaml"
        file.write_text(file.read_text("utf-8").replace(f":{made.page}", f":{other.page}"), "utf-8")
        await made.start()
        await made.logged(lambda log: any(f"127.0.0.1:{other.page} is in use" in line for line in log))
        assert (await gateway("status", "--state-dir", made.state)).status == 0


async def test_a_wrong_broker_address(tmp_path: Path) -> None:
    edit = ('url: "mqtt://127.0.0.1', 'url: "mqtt://no-such-host.invalid')
    async with daemon(tmp_path, edit, devices=PANIC) as made:
        await made.logged(lambda log: any("no-such-host.invalid" in line for line in log))
        await post(made, "raise fire.manual")
        status = await gateway("status", "--state-dir", made.state)
        (line,) = [line for line in status.out.splitlines() if line.startswith("district")]
        assert re.search(r"not connected +\S+ +1 .*no-such-host\.invalid.*; ", line)
        chinese = await gateway("status", "--state-dir", made.state, "--lang", "zh")
        assert re.search(r"^district +未连接.*no-such-host\.invalid.*[\u4e00-\u9fff]", chinese.out, re.MULTILINE)


async def test_a_wrong_broker_password(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path, "allow_anonymous false") as broker:
        login = (f'{broker.port}"}}', f'{broker.port}", username: gw-0001, password: mohnblume}}')
        async with daemon(tmp_path, login, uplink=broker.port, devices=PANIC) as made:
            await made.logged(lambda log: any("password" in line for line in log))
            await post(made, "raise fire.manual")
            status = await gateway("status", "--state-dir", made.state)
            (line,) = [line for line in status.out.splitlines() if line.startswith("district")]
            assert re.search(r"not connected +\S+ +1 .*password", line)
            assert not any("mohnblume" in line for line in made.log)  # the password itself is not told


async def test_warnings_of_the_configuration_are_logged(tmp_path: Path) -> None:
    async with Daemon(tmp_path, uplink=free_port()) as made:
        file = tmp_path / "gateway.yaml"
        rules = "rules: [{name: r, when: {type: 'fire.*'}, do: [{action: unlock, devices: {kind: door}}]}]"
        file.write_text(f"{file.read_text('utf-8')}{rules}\n", "utf-8")
        await made.start()
        warned = "rule r: no device is meant"
        await made.logged(lambda log: any("WARNING gateway.config" in line and warned in line for line in log))
