"""The gateway without its promise: `synchronous=NORMAL`. So that tests of power cuts are seen to notice.

`python -m tests.faults.weak …` is the command `gateway …`.
"""

import sqlite3
from typing import Any

from gateway import database


class Weak(sqlite3.Connection):
    """Does not force every commit to disk."""

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """As asked, but for one thing."""
        return super().execute(sql.replace("synchronous = FULL", "synchronous = NORMAL"), *values)


def weaken() -> None:
    """From now on every database of this process is opened so."""
    connect = sqlite3.connect
    database.sqlite3.connect = lambda *at, **how: connect(*at, **how, factory=Weak)  # type: ignore[attr-defined]


if __name__ == "__main__":
    from gateway.cli import main

    weaken()
    main()
