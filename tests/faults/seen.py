"""A process and a database seen from outside: /proc, resource limits, SQLite."""

import json
import os
import resource
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from gateway.database import read_journal, read_rows
from gateway.event import Lane
from gateway.packing import unpack


def counter(pid: int, name: str) -> int:
    """A number of proc(5): `io`, in bytes, or `status`, in kB."""
    text = "".join(Path(f"/proc/{pid}/{file}").read_text("ascii") for file in ("io", "status"))
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name}:"))


def cpu_s(pid: int) -> float:
    """CPU time used so far, user and system (proc(5), stat, fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def allow(pid: int, file_bytes: int = resource.RLIM_INFINITY) -> None:
    """From now on its files may grow so far (prlimit(2)): 0 is a disk that takes nothing, no number one with room."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (file_bytes, resource.RLIM_INFINITY))


def on_disk(state: Path) -> list[dict[str, Any]]:
    """Every event in the database of a state folder, and in its journal."""
    journal = read_journal(state / "events.db")
    with closing(sqlite3.connect(f"file:{state / 'events.db'}?mode=ro", uri=True)) as connection:
        found = {(lane, row.seq): row.body for lane in Lane for row in read_rows(connection, lane, 0, 10**9)}
    found |= {(lane, columns[0]): unpack(columns[3]) for batch in journal for lane, columns, _ in batch.rows}
    return [json.loads(body) for body in found.values()]
