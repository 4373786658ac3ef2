"""The audit log: only added to, and whoever changes, deletes or reorders a line behind its back is found out."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import FIRST_SEAL, Broken, Seal, add, lines, newest, verify
from tests.wards import WANG, ward

SCHEMA = "CREATE TABLE audit (n INTEGER PRIMARY KEY, entry TEXT NOT NULL, seal TEXT NOT NULL) STRICT"


def log(count: int) -> sqlite3.Connection:
    """So many lines, without the triggers that refuse to change them."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute(SCHEMA)
    for number in range(1, count + 1):
        assert add(connection, {"what": "operator.ack", "who": f"王{number}"}).count == number
    return connection


def test_an_empty_log_is_whole() -> None:
    connection = log(0)
    assert list(verify(connection)) == []
    assert newest(connection) == Seal(0, FIRST_SEAL)


@given(st.integers(1, 12), st.data())
def test_a_changed_line_is_found(count: int, data: st.DataObject) -> None:
    with closing(log(count)) as connection:
        line = data.draw(st.integers(1, count))
        connection.execute("UPDATE audit SET entry = replace(entry, '王', '李') WHERE n = ?", (line,))
        assert list(verify(connection)) == [Broken(line, "changed")]


@given(st.integers(2, 12), st.data())
def test_a_deleted_line_is_found(count: int, data: st.DataObject) -> None:
    with closing(log(count)) as connection:
        line = data.draw(st.integers(1, count - 1))
        connection.execute("DELETE FROM audit WHERE n = ?", (line,))
        assert Broken(line, "missing") in list(verify(connection))
        connection.execute("UPDATE audit SET n = n - 1 WHERE n > ?", (line,))  # and the gap is closed
        assert list(verify(connection)) == [Broken(line, "changed")]


@given(st.integers(2, 12), st.data())
def test_two_lines_in_another_order_are_found(count: int, data: st.DataObject) -> None:
    with closing(log(count)) as connection:
        line = data.draw(st.integers(1, count - 1))
        for old, new in ((line, 99), (line + 1, line), (99, line + 1)):
            connection.execute("UPDATE audit SET n = ? WHERE n = ?", (new, old))
        assert Broken(line, "changed") in list(verify(connection))


def test_lines_cut_off_at_the_end_miss_the_seal_that_went_up() -> None:
    with closing(log(5)) as connection:
        told = newest(connection)
        connection.execute("DELETE FROM audit WHERE n = 5")
        assert list(verify(connection)) == []
        assert newest(connection) != told


async def test_a_line_says_who_did_what_when_and_from_where(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        await made.audit.put(WANG, "login", "gw-0001", reason="", note="早班")
        ((number, entry),) = await made.store.read(lambda connection: lines(connection, 0, 10))
    assert (number, entry) == (1, {
        "time": "2026-11-23T10:06:19.000Z", "timequality": "synced", "who": "wang", "role": "duty", "from": "page",
        "what": "login", "subject": "gw-0001", "outcome": "asked", "note": "早班",
    })  # fmt: skip


async def test_the_file_refuses_to_change_and_without_its_triggers_it_shows(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        for number in range(4):
            await made.audit.put(WANG, "login", str(number))
        sealed = made.audit.newest
    async with ward(tmp_path) as made:
        await made.audit.load()
        assert made.audit.newest == sealed
        await made.audit.put(WANG, "login", "4")
    with closing(sqlite3.connect(tmp_path / "events.db", isolation_level=None)) as connection:
        for statement in ("DELETE FROM audit WHERE n = 2", "UPDATE audit SET entry = '{}' WHERE n = 2"):
            with pytest.raises(sqlite3.IntegrityError, match="only added to"):
                connection.execute(statement)
        assert list(verify(connection)) == []
        connection.execute("DROP TRIGGER audit_is_final")
        connection.execute("UPDATE audit SET entry = 'no JSON' WHERE n = 2")
        assert list(verify(connection)) == [Broken(2, "changed")]
        assert [entry for number, entry in lines(connection, 0, 10) if number == 2] == [{}]
