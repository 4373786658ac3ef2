"""A file is replaced whole, or stays as it was."""

import os
from pathlib import Path

import pytest

from gateway.whole import put_whole


def test_what_was_there_is_replaced_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    path.write_bytes(b"something longer than what comes")
    (tmp_path / "history.json~").write_bytes(b"what an earlier power cut has left")
    put_whole(path, b"new")
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"new", ["history.json"])


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    put_whole(tmp_path / "secret", b"x")
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    path.write_bytes(b"old")
    (tmp_path / "history.json~").mkdir()  # nothing can be written aside
    with pytest.raises(IsADirectoryError):
        put_whole(path, b"new")
    assert path.read_bytes() == b"old"
