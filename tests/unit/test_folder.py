"""The state folder: made when absent, one daemon at a time, a sentence for everything else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import StateError
from gateway.folder import LOCK, held


def test_it_is_made_for_us_alone(tmp_path: Path) -> None:
    folder = tmp_path / "var" / "gateway"
    with held(folder):
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / LOCK).read_text("ascii") == f"{os.getpid()}\n"
    with held(folder):
        pass


def test_a_second_one_is_told_who_has_it(tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from gateway.folder import held\nwith held(Path(sys.argv[1])): pass"
    command = [sys.executable, "-c", script, str(tmp_path)]
    with held(tmp_path):
        second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        assert second.returncode == 1
        assert f"another gateway (process {os.getpid()}) uses this state folder" in second.stderr
        with pytest.raises(StateError, match=r"gateway\.state_dir") as caught, held(tmp_path):
            pass
        assert f"另一个网关进程({os.getpid()})" in caught.value.say("zh")
    assert subprocess.run(command, check=False, timeout=30).returncode == 0  # it is free again


def test_a_daemon_that_was_killed_leaves_no_lock(tmp_path: Path) -> None:
    script = "import os, sys; from pathlib import Path; from gateway.folder import held\n"
    script += "with held(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, timeout=30)
    assert killed.returncode == -9
    with held(tmp_path):
        assert (tmp_path / LOCK).read_text("ascii") == f"{os.getpid()}\n"


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_in_its_place(tmp_path: Path, below: str) -> None:
    (tmp_path / "state").write_text("a file", "ascii")
    with pytest.raises(StateError, match="cannot be used") as caught, held(tmp_path / "state" / below):
        pass
    assert "chown" in caught.value.say("en")
    assert "chown" in caught.value.say("zh")


def test_a_folder_without_permission(tmp_path: Path) -> None:
    """As a user without rights would meet it: root passes every permission, so root becomes nobody here."""
    tmp_path.chmod(0o555)
    script = "import os, sys; from pathlib import Path; from gateway.folder import held\n"
    script += "os.geteuid() or os.seteuid(65534)\nwith held(Path(sys.argv[1])): pass"
    command = [sys.executable, "-c", script, str(tmp_path / "state")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert "the state folder cannot be used: Permission denied" in done.stderr
