"""The house around the code, tried: the environment script, the installer, the unit, the README's subscriber."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import aiomqtt
import pytest

import gateway
from tests.brokers import WAIT_S, Mosquitto
from tests.test_style import unlocked

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "deploy/systemd/community-gateway.service"
SCRIPTS = ["deploy/environment.sh", "deploy/install.sh", "deploy/lib.sh", ".ci/run"]
SHUTDOWN_S = 10  # from SIGTERM until all that was accepted is on disk
SERVERS = "mosquitto socat mbpoll tshark chromium fonts-noto-cjk"  # what the tests need from Debian
TOOLS = ("sh", "env", "dirname", "basename", "cat", "id", "uname", "sha256sum", "tail", "mktemp", "rm", "python3")


def directives(name: str) -> list[str]:
    """Every value of a directive of the unit."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text("utf-8"), re.MULTILINE)


def seconds(name: str) -> int:
    """A directive that is a number of seconds."""
    return int(directives(name)[-1])


def sh(*command: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run to the end without a terminal, with what it said."""
    variables = os.environ | environment
    return subprocess.run(
        command, cwd=cwd, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A machine with a shell and little else, and the project's set-up scripts on it."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in TOOLS:
        (tools / tool).symlink_to(shutil.which(tool) or "missing")
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    lib = tmp_path / "deploy/lib.sh"  # the machine under test has no /usr/sbin either
    lib.write_text(lib.read_text("utf-8").replace(":/usr/sbin:/sbin", ""), "utf-8")
    return tmp_path


def stand_in(machine: Path, tool: str, script: str) -> None:
    """Another program under this name."""
    path = machine / "bin" / tool
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    path.chmod(0o755)


def set_up(machine: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """environment.sh on that machine."""
    return sh(machine / "deploy/environment.sh", *arguments, cwd=machine, PATH=str(machine / "bin"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_sound_shell(script: str) -> None:
    checked = sh("sh", "-n", script)
    assert checked.returncode == 0, checked.stderr
    assert (ROOT / script).stat().st_mode & 0o111 or script.endswith("lib.sh")


def test_an_environment_that_fits_needs_no_network_and_says_nothing() -> None:
    if Path(sys.prefix) != ROOT / ".venv":
        pytest.skip("these tests run in an environment of another place")
    sh(
        "deploy/environment.sh", "test", PIP_NO_INDEX="1"
    )  # work left by a change of pyproject.toml is done offline, too
    again = sh("deploy/environment.sh", "test", PIP_INDEX_URL="http://127.0.0.1:9/")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_the_lock_of_the_peers_is_complete_and_names_no_address() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]["peers"]
    lock = (ROOT / "tests/peers/requirements.lock").read_text("utf-8")
    assert unlocked(lock, [requirement.partition("==")[0] for requirement in wanted]) == []
    assert "libosdp" not in lock  # one folder for two packages


def test_without_apt_it_says_what_is_missing(bare: Path) -> None:
    told = set_up(bare, "test")
    assert told.returncode == 1
    assert f"{SERVERS} is missing (real peers for the tests) and this system has no apt-get" in told.stderr
    assert f"缺少 {SERVERS}" in told.stderr


def test_without_root_and_sudo_it_says_whom_to_ask(bare: Path) -> None:
    stand_in(bare, "apt-get", "exit 0")
    stand_in(bare, "id", "echo 1000")
    told = set_up(bare, "test")
    assert told.returncode == 1
    assert f"Ask an administrator for: apt-get install {SERVERS}" in told.stderr


def test_a_python_without_ensurepip_is_told_together_with_the_rest(bare: Path) -> None:
    stand_in(bare, "apt-get", "exit 0")
    stand_in(bare, "id", "echo 1000")
    stand_in(bare, "python3", 'test -z "$2" -o "$2" != "${2#import sys}"')  # all but `import ensurepip`
    told = set_up(bare, "test")
    assert told.returncode == 1
    assert f"Ask an administrator for: apt-get install {SERVERS} python3-venv" in told.stderr


def test_apt_that_fails_is_shown_with_the_command_to_try(bare: Path) -> None:
    stand_in(bare, "apt-get", 'echo "E: Unable to fetch some archives" >&2; exit 100')
    stand_in(bare, "id", "echo 0")
    told = set_up(bare, "test")
    assert told.returncode == 1
    assert "E: Unable to fetch some archives" in told.stderr
    assert f"run it by hand: apt-get install {SERVERS}" in told.stderr


def test_without_root_it_goes_through_sudo_and_says_why(bare: Path) -> None:
    asked = bare / "asked"
    stand_in(bare, "apt-get", "exit 1")
    stand_in(bare, "id", "echo 1000")
    stand_in(bare, "sudo", f'printf "%s\\n" "$*" >>{asked}')
    stand_in(bare, "python3", "exit 1")  # the next obstacle
    told = set_up(bare, "test")
    assert told.stdout == f"Installing Debian packages: {SERVERS} (real peers for the tests)\n"
    assert asked.read_text("utf-8").splitlines() == [
        "-n apt-get -qq update",
        f"-n env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends {SERVERS}",
    ]


@pytest.mark.parametrize(
    ("tool", "script", "said"),
    [
        ("python3", 'echo "Python 3.9.2"; exit 1', "Python 3.11 to 3.13 (64 bit) is needed, found: Python 3.9.2"),
        ("uname", "echo armv7l", "this machine is armv7l"),
    ],
)
def test_a_machine_that_cannot_is_told_so_before_anything_is_done(
    bare: Path, tool: str, script: str, said: str
) -> None:
    stand_in(bare, tool, script)
    told = set_up(bare, "demo")
    assert told.returncode == 1
    assert said in told.stderr
    assert "停止：" in told.stderr
    assert not (bare / ".venv").exists()


def test_an_unknown_target_is_refused(bare: Path) -> None:
    assert "usage: deploy/environment.sh demo|test" in set_up(bare, "prod").stderr


@pytest.mark.parametrize("arguments", [("--purge",), ("--help",)])
def test_the_installer_refuses_what_it_does_not_know(arguments: tuple[str, ...]) -> None:
    told = sh("deploy/install.sh", *arguments)
    assert told.returncode == 1
    assert "usage: sudo deploy/install.sh [--onvif | --uninstall [--purge]]" in told.stderr


def test_the_installer_needs_root(bare: Path) -> None:
    stand_in(bare, "id", "echo 1000")
    told = sh(bare / "deploy/install.sh", cwd=bare, PATH=str(bare / "bin"))
    assert told.returncode == 1
    assert "needs root: sudo deploy/install.sh" in told.stderr


def test_the_unit_gives_the_daemon_time_to_end() -> None:
    assert seconds("TimeoutStopSec") > SHUTDOWN_S
    assert seconds("WatchdogSec") == 30


def test_the_unit_starts_what_the_installer_installs() -> None:
    installer = (ROOT / "deploy/install.sh").read_text("utf-8").replace("$NAME", "community-gateway")
    program, _, *arguments = directives("ExecStart")[0].split()
    assert program == "/opt/community-gateway/current/bin/gateway"
    assert "OPT=/opt/community-gateway\n" in installer
    assert arguments == ["--config", "/etc/community-gateway/gateway.yaml"]


def test_the_unit_lets_the_daemon_read_the_clock_s_quality_and_open_serial_lines() -> None:
    assert "adjtimex clock_adjtime" in directives("SystemCallFilter")
    assert "char-ttyUSB rw" in directives("DeviceAllow")
    assert directives("PrivateDevices") == []
    assert directives("MemoryDenyWriteExecute") == ["yes"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
def test_systemd_finds_the_unit_sound_and_shut_in(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    copy.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text("utf-8")), "utf-8")
    verified = sh("systemd-analyze", "verify", copy)
    assert (verified.returncode, verified.stderr) == (0, "")
    exposure = sh("systemd-analyze", "security", "--offline=yes", "--threshold=20", copy)
    assert exposure.returncode == 0, exposure.stdout[-200:]


def test_the_changelog_knows_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"## [{gateway.__version__}]" in text
    assert "## [Unreleased]" in text


def test_every_target_says_what_it_does_and_is_the_default_s_answer() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert re.findall(r"^make ([a-z]+) ", sh("make").stdout, re.MULTILINE) == targets


def test_both_readmes_show_the_same_code() -> None:
    english, chinese = (blocks(ROOT / name) for name in ("README.md", "README.zh-CN.md"))
    assert english == chinese


def blocks(page: Path) -> list[str]:
    """Code blocks without their comments."""
    found = re.findall(r"```\w+\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    return [re.sub(r" *# .*| FILE| 文件", "", block) for block in found]


def test_scripts_and_locks_use_the_locked_python_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["requires-python"] == ">=3.11,<3.14"
    assert "(3, 11) <= sys.version_info < (3, 14)" in (ROOT / "deploy/lib.sh").read_text("utf-8")


def event(number: int) -> str:
    """An event as far as a subscriber looks."""
    facts = {"id": f"id-{number}", "source": "/310104/013/002/gw-0001", "subject": "smoke-b3-u2-f5"}
    facts |= {"type": "fire.smoke", "phase": "raise", "time": "2026-11-23T10:06:19.123Z", "stream": "district.alarm"}
    return json.dumps(facts | {"sequence": f"{number:016d}"})


async def test_the_readme_s_subscriber_has_each_event_once_and_sees_a_loss(tmp_path: Path) -> None:
    code = next(block for block in blocks(ROOT / "README.md") if "aiomqtt" in block)
    async with Mosquitto(tmp_path) as broker, asyncio.timeout(WAIT_S):
        district = aiomqtt.Client("127.0.0.1", broker.port, identifier="district-1", clean_session=False)
        async with district:  # its session, in which the broker keeps what comes while it is away
            await district.subscribe("sc/v1/+/+/+/+/event/#", qos=1)
        async with aiomqtt.Client("127.0.0.1", broker.port) as publisher:
            for number in (1, 2, 2, 5):
                await publisher.publish("sc/v1/310104/013/002/gw-0001/event/fire", event(number), qos=1)
        subscriber = await asyncio.create_subprocess_exec(
            sys.executable, "-u", "-c", code.replace("1883", str(broker.port)), stdout=asyncio.subprocess.PIPE
        )
        assert subscriber.stdout is not None
        said = [(await subscriber.stdout.readline()).decode().split() for _ in range(4)]
        subscriber.terminate()
        await subscriber.wait()
    assert [line[0] for line in said] == ["2026-11-23T10:06:19.123Z"] * 2 + ["GAP", "2026-11-23T10:06:19.123Z"]
    assert said[2][-3:] == ["3", "to", "4"]
