"""Secrets of our own: on disk before they are used, for nobody else to read, whole or not there."""

import os
from pathlib import Path

import pytest

from gateway.errors import StorageError
from gateway.vault import KEY_BYTES, Vault


def test_a_secret_is_kept(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "keys")
    assert vault.kept("osdp-door-1") is None
    vault.keep("osdp-door-1", b"\x00\xff")
    vault.keep("osdp-door-1", b"newer")
    assert Vault(tmp_path / "keys").kept("osdp-door-1") == b"newer"
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "keys" / "osdp-door-1").stat().st_mode & 0o777 == 0o600


def test_a_key_is_made_once(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "keys")
    key = vault.key("uplink-district")
    assert len(key) == KEY_BYTES
    assert vault.key("uplink-district") == key == Vault(tmp_path / "keys").key("uplink-district")
    assert vault.key("uplink-fire-brigade") != key


def test_names_that_differ_in_their_end_are_two(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "keys")
    names = ("door", "door.new", "door.scbk", "door.a.new", "door.a.b")
    for name in names:
        vault.keep(name, name.encode())
    assert [vault.kept(name) for name in names] == [name.encode() for name in names]
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == sorted(names)


def test_what_a_crash_left_half_written_is_no_secret(tmp_path: Path) -> None:
    """The kernel refuses the last step: a folder stands where the file should go."""
    vault = Vault(tmp_path / "keys")
    (tmp_path / "keys" / "door").mkdir(parents=True)
    with pytest.raises(StorageError) as caught:
        vault.keep("door", b"half")
    assert "cannot be stored" in caught.value.say("en")
    assert "密钥无法保存" in caught.value.say("zh")
    (tmp_path / "keys" / "door").rmdir()
    assert vault.kept("door") is None
    assert list((tmp_path / "keys").iterdir()) == [tmp_path / "keys" / "door~"]
    vault.keep("door", b"whole")
    assert vault.kept("door") == b"whole"


def test_a_key_that_cannot_be_stored_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a file in the folder's place", "ascii")
    with pytest.raises(StorageError, match="cannot be read"):
        Vault(tmp_path / "keys").key("uplink-district")
    with pytest.raises(StorageError, match="cannot be stored"):
        Vault(tmp_path / "keys").keep("uplink-district", b"1")


@pytest.mark.parametrize("name", ["", "../door", "a/b", "Door", ".door", "a" * 129, "door\n", "门"])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    vault = Vault(tmp_path / "keys")
    with pytest.raises(ValueError, match="not a name"):
        vault.keep(name, b"")
    with pytest.raises(ValueError, match="not a name"):
        vault.kept(name)


def test_the_process_s_mask_changes_nothing(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Vault(tmp_path / "keys").keep("door", b"1")
    finally:
        os.umask(before)
    assert (tmp_path / "keys" / "door").stat().st_mode & 0o777 == 0o600
