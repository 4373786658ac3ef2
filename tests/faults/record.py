"""What a program does to its files, recorded with strace(1), and what could be left of it after a power cut.

What was written before the last fsync of a file is there. Of each later write anything may be: all, nothing, or the
first sectors of it; whatever order they were issued in. A file that was unlinked may still be there.
"""

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SECTOR_BYTES = 512
CALLS = "pwrite64,write,fsync,fdatasync,ftruncate,unlink"
_LINE = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)(?:\((.*)| resumed>.*)$")
_FILE = re.compile(r"^\d+<((?:\\x[0-9a-f]{2})*)>")
_DATA = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True, slots=True)
class Call:
    """`name`: write, truncate, sync, unlink, or say (on standard output). `at`: offset or length in bytes."""

    name: str
    path: str = ""
    data: bytes = b""
    at: int = 0


def recorded(folder: Path, *module: str) -> list[Call]:
    """Run `python -m module…` and return what it did. The test is skipped where that cannot be recorded."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed (Debian package strace)")
    trace = folder / "trace"
    strace = ["strace", "-f", "-y", "-xx", "-s", "100000", "-o", str(trace), "-e", f"trace={CALLS}"]
    if subprocess.run([*strace, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("strace may not trace here (ptrace is not allowed)")
    root = Path(__file__).resolve().parents[2]
    subprocess.run([*strace, sys.executable, "-m", *module], cwd=root, check=True, capture_output=True)
    return list(_calls(trace.read_text("ascii").splitlines()))


def _calls(lines: Sequence[str]) -> Iterator[Call]:
    waiting: dict[str, str] = {}  # by process: the file of a sync that has not returned
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue
        process, name, rest = match.groups()
        if name in ("fsync", "fdatasync"):
            if rest is not None and rest.endswith("<unfinished ...>"):
                waiting[process] = rest
                continue
            yield Call("sync", _path(waiting.pop(process) if rest is None else rest))
        elif rest is not None:
            yield from _call(name, rest)


def _call(name: str, rest: str) -> Iterator[Call]:
    data = bytes.fromhex("".join(_DATA.findall(rest)[:1]).replace("\\x", ""))
    numbers = [int(number) for number in re.findall(r", (\d+)", rest)]
    if name == "pwrite64":
        yield Call("write", _path(rest), data, numbers[1])
    elif name == "ftruncate":
        yield Call("truncate", _path(rest), at=numbers[0])
    elif name == "unlink":
        yield Call("unlink", data.decode())
    elif rest.startswith("1<"):
        yield Call("say", data=data)


def _path(rest: str) -> str:
    match = _FILE.match(rest)
    assert match is not None, rest
    return bytes.fromhex(match[1].replace("\\x", "")).decode()


@dataclass
class Card:
    """Files by name: what is safely there, and what was done since."""

    safe: dict[str, bytes | None]
    since: dict[str, list[Call]] = field(default_factory=dict)

    def do(self, call: Call) -> None:
        """It happens."""
        if call.name == "sync":
            for done in self.since.pop(call.path, []):
                self.safe[call.path] = _done(self.safe.get(call.path), done)
        else:
            self.since.setdefault(call.path, []).append(call)

    def cut(self, dice: random.Random) -> dict[str, bytes]:
        """What could be there after a power cut now."""
        left = dict(self.safe)
        for path, calls in self.since.items():
            share = dice.choice((0.0, 0.5, 0.9, 1.0))
            for call in calls:
                if dice.random() < share:
                    left[path] = _done(left.get(path), _torn(call, dice))
        return {path: content for path, content in left.items() if content is not None}


def _done(content: bytes | None, call: Call) -> bytes | None:
    if call.name == "unlink":
        return None
    old = content or b""
    if call.name == "truncate":
        return old[: call.at].ljust(call.at, b"\0")
    return old[: call.at].ljust(call.at, b"\0") + call.data + old[call.at + len(call.data) :]


def _torn(call: Call, dice: random.Random) -> Call:
    if call.name != "write" or dice.random() < 0.7:
        return call
    kept = dice.randrange(len(call.data) // SECTOR_BYTES + 1) * SECTOR_BYTES
    return Call(call.name, call.path, call.data[:kept], call.at)
