"""The gateway without its promise: nothing that it writes is forced to disk at once. So that tests of power cuts are
seen to notice.

`python -m tests.faults.weak …` is the command `gateway …`.
"""

import os
import sqlite3
from typing import Any

from gateway import database


class Weak(sqlite3.Connection):
    """Does not force every commit to disk."""

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """As asked, but for one thing."""
        return super().execute(sql.replace("synchronous = FULL", "synchronous = NORMAL"), *values)


def weaken() -> None:
    """From now on every database of this process is opened so, and no file so that each write is forced to disk."""
    connect, opened = sqlite3.connect, os.open
    database.sqlite3.connect = lambda *at, **how: connect(*at, **how, factory=Weak)  # type: ignore[attr-defined]
    os.open = lambda path, flags, *how, **more: opened(path, flags & ~os.O_SYNC, *how, **more)


if __name__ == "__main__":
    from gateway.cli import main

    weaken()
    main()
