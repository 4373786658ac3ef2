"""What a program does to its files, recorded with strace(1): of itself and of all that it starts, in order.

`recorded()` runs a program to its end; a `Recording` talks with one while it runs. Both skip the test where nothing
can be recorded. Which files are used does not matter, only that they lie under one folder. What is mapped into memory
(mmap(2)) is not seen: SQLite maps its `-shm`, which holds nothing that must last.
"""

import json
import os
import re
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

CALLS = (
    "?open,openat,?creat,write,pwrite64,writev,pwritev,pwritev2,lseek,fsync,fdatasync,ftruncate,fallocate,"
    "?rename,?renameat,renameat2,?unlink,unlinkat"
)
REFUSED = "truncate,?link,linkat,copy_file_range,sendfile"  # not understood, and would change files
MOST_BYTES = 2**20  # of one write
HANG_S = 60.0
ROOT = Path(__file__).resolve().parents[2]
_SYNC = re.compile(r"\b(O|RWF)_D?SYNC\b")
_TAIL = re.compile(r"[(,] ?(-?\d+|\w+)(?=[,)])")  # plain arguments: numbers and words


@dataclass(frozen=True, slots=True)
class Call:
    """`name`: create, write, forced, truncate, grow, syncing, sync, rename, unlink, say (standard output), end.

    `at`: offset or length in bytes. `forced`: the file's write just before is on disk, by the way the file was opened.
    `syncing` and `sync`: a `thread` begins to force a file or folder to disk, and has done so. `to`: the new name.
    `end`: the thread is no more.
    """

    name: str
    path: str = ""
    data: bytes = b""
    at: int = 0
    to: str = ""
    thread: str = ""


class Trace:
    """Lines of strace to calls. A call counts from when it returned, and not at all where it failed."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._begun: dict[str, str] = {}  # by thread: a call that has not returned
        self._forces: set[str] = set()  # descriptors opened with O_SYNC or O_DSYNC
        self._at: dict[str, int] = {}  # by descriptor: where the next write goes

    def calls(self, line: str) -> Iterator[Call]:
        """What one line says. AssertionError: something that is not understood here, so states would be wrong."""
        thread, _, text = line.partition(" ")
        text = text.strip()
        if text.startswith("+++"):
            yield Call("end", thread=thread)
        elif text.startswith("<... "):
            yield from self._returned(thread, self._begun.pop(thread) + text.partition(" resumed>")[2])
        elif not text.startswith("---"):
            whole = text.removesuffix(" <unfinished ...>")
            if whole.startswith(("fsync(", "fdatasync(")) and self._ours(path := _path(whole)):
                yield Call("syncing", path, thread=thread)
            if whole != text:
                self._begun[thread] = whole
            else:
                yield from self._returned(thread, whole)

    def _ours(self, path: str) -> bool:
        return path == self._root or path.startswith(f"{self._root}/")

    def _returned(self, thread: str, text: str) -> Iterator[Call]:
        head, _, result = text.rpartition(" = ")
        name, _, rest = head.partition("(")
        if result[:1] in "-?":
            return
        if name.startswith(("open", "creat")):
            yield from self._opened(rest, result)
        elif name.startswith(("rename", "unlink")):
            paths = [_text(part) for part in rest.split('"')[1::2]]
            if self._ours(paths[0]):
                yield Call(name[:6], paths[0], to=paths[-1])
        elif name == "write" and rest.startswith("1<"):
            yield Call("say", data=_data(rest), thread=thread)
        elif self._ours(path := _path(rest)):
            yield from self._changed(name, path, rest.rstrip(), result, thread)

    def _opened(self, rest: str, result: str) -> Iterator[Call]:
        handle, path = result.partition("<")[0], _path(result)
        if not self._ours(path):
            return
        self._at[handle] = 0
        self._forces.discard(handle)
        assert "O_APPEND" not in rest, f"not understood: {path} opened to append"
        if _SYNC.search(rest):
            self._forces.add(handle)
        if "O_CREAT" in rest:
            yield Call("create", path)
        if "O_TRUNC" in rest:
            yield Call("truncate", path)

    def _changed(self, name: str, path: str, rest: str, result: str, thread: str) -> Iterator[Call]:
        handle, numbers = rest.partition("<")[0], _TAIL.findall(rest.rpartition('"')[2].partition(">")[2] or rest)
        if name in ("fsync", "fdatasync"):
            yield Call("sync", path, thread=thread)
        elif name == "ftruncate":
            yield Call("truncate", path, at=int(numbers[-1]))
        elif name == "fallocate":
            assert numbers[0] == "0", f"not understood: {name} {numbers} of {path}"
            yield Call("grow", path, at=int(numbers[1]) + int(numbers[2]))
        elif name == "lseek":
            self._at[handle] = int(result)
        else:
            yield from self._wrote(name, path, rest, int(result.split()[0]))

    def _wrote(self, name: str, path: str, rest: str, count: int) -> Iterator[Call]:
        handle, tail = rest.partition("<")[0], rest.rpartition('"')[2]
        assert "write" in name, f"not understood: {name} of {path}"
        assert not tail.startswith("..."), f"more than {MOST_BYTES} bytes at once into {path}"
        numbers = re.findall(r"\d+", tail)
        if name.startswith("p"):
            at = int(numbers[-2] if name == "pwritev2" and "RWF" not in tail else numbers[-1])
        else:
            at = self._at[handle]
            self._at[handle] += count
        yield Call("write", path, _data(rest)[:count], at)
        if handle in self._forces or _SYNC.search(tail):
            yield Call("forced", path)


def _text(escaped: str) -> str:
    return bytes.fromhex(escaped.replace("\\x", "")).decode()


def _data(rest: str) -> bytes:
    return bytes.fromhex("".join(rest.split('"')[1::2]).replace("\\x", ""))


def _path(text: str) -> str:
    """Of a descriptor; empty where it has none, or none any more."""
    escaped, _, after = text.partition("<")[2].partition(">")
    return "" if after.startswith("(deleted)") else _text(escaped)


def _strace(trace: Path) -> list[str]:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed (Debian package strace)")
    filtered = ["strace", "--seccomp-bpf", "-f", "-y", "-xx", "-s", str(MOST_BYTES), "-e", f"trace={CALLS},{REFUSED}"]
    if subprocess.run([*filtered, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("strace may not trace here (ptrace is not allowed)")
    return [*filtered, "-o", str(trace)]


def recorded(folder: Path, *module: str) -> list[Call]:
    """Run `python -m module…` and return what it did to the files under `folder`."""
    trace = folder / "trace"
    subprocess.run([*_strace(trace), sys.executable, "-m", *module], cwd=ROOT, check=True, capture_output=True)
    reader = Trace(folder)
    return [call for line in trace.read_text("ascii").splitlines() for call in reader.calls(line)]


class Recording:
    """`python -m module…` while it runs, its files under `folder`: `tell` it a thing, then read `until` it is done."""

    def __init__(self, folder: Path, *module: str) -> None:
        self._folder = folder
        self._module = module
        self._trace = Trace(folder)
        self._rest = b""
        self._calls: list[Call] = []  # read, and not yet handed out

    def __enter__(self) -> Self:
        fifo = self._folder / "trace"
        command = [*_strace(fifo), sys.executable, "-m", *self._module]
        os.mkfifo(fifo)
        self._fifo = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self._errors = (self._folder / "stderr").open("w+b")
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._errors
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        with suppress(AssertionError):  # what it still says must be read, or it cannot end
            self.until(lambda _call: False)
        self._process.kill()
        self._process.wait()
        self._errors.close()
        os.close(self._fifo)

    def tell(self, what: object) -> None:
        """One line of JSON to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        self._process.stdin.flush()

    def until(self, last: Callable[[Call], bool]) -> list[Call]:
        """What it did, up to a call that is the `last`. AssertionError: it ended, or hangs."""
        done: list[Call] = []
        while True:
            while self._calls:
                done.append(self._calls.pop(0))
                if last(done[-1]):
                    return done
            self._read()

    def _read(self) -> None:
        ready, _, _ = select.select([self._fifo], [], [], HANG_S)
        assert ready, f"it does nothing any more: {self.complaint()}"
        piece = os.read(self._fifo, MOST_BYTES)
        assert piece, f"it has ended: {self.complaint()}"
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._calls += self._trace.calls(line.decode("ascii"))

    def complaint(self) -> str:
        """What it said on standard error, the end of it."""
        self._errors.flush()
        return (self._folder / "stderr").read_text("utf-8", "replace")[-2000:]
