"""Small durable facts of one kind, told apart by what follows a common beginning (`fact`, schema/001.sql)."""

import sqlite3


def drop_fact(connection: sqlite3.Connection, name: str) -> None:
    """Forget a small durable fact."""
    connection.execute("DELETE FROM fact WHERE name = ?", (name,))


def read_facts(connection: sqlite3.Connection, prefix: str) -> dict[str, str]:
    """All facts whose names begin so, by the rest of their names."""
    found = connection.execute("SELECT name, value FROM fact WHERE substr(name, 1, ?) = ?", (len(prefix), prefix))
    return {name.removeprefix(prefix): value for name, value in found}
