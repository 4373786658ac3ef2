"""The history on disk, and what a daemon starts with: after an edit, a push, a power cut, a lost secret."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway import revisions
from gateway.archive import Archive, Start, bring_back, choose, digest, local_differs
from gateway.cli import run
from gateway.errors import StateError, StorageError, Text
from gateway.problems import ConfigProblems
from gateway.revisions import UPLINK, History, Push, Revision, Trial
from gateway.yamlmarks import read
from tests.fakes import ManualClock
from tests.unit.configs import real_drivers

TEXT = """\
gateway: {{id: gw-0001, state_dir: {state}, web: off}}
site:
  name: {name}
  area: {{district: "310104", street: "013", community: "002"}}
  places: !include places.yaml
uplinks:
  district: {{url: "mqtt://127.0.0.1:1883", username: gw, password: {password}, config: true}}
"""
NOW = "2026-11-23T10:06:19.123Z"


class Box:
    """A configuration and its state folder, started and started again."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "gateway.yaml"
        self.state = folder / "state"
        self.state.mkdir()
        (folder / "places.yaml").write_text("{gate: {label: 大门}}\n", "utf-8")
        (folder / "secret").write_text("hunter2", "utf-8")
        self.clock = ManualClock()
        self.archive = Archive(self.state)
        self.edit("阳光花园")

    def text(self, name: str, password: str = "hunter2") -> str:
        """Of gateway.yaml."""
        return TEXT.format(state=json.dumps(str(self.state)), name=name, password=password)

    def edit(self, name: str) -> None:
        """Somebody writes the file."""
        self.file.write_text(self.text(name), "utf-8")

    def start(self) -> Start:
        """A daemon starts."""
        made = choose(self.file, self.state, real_drivers(), self.clock)
        made.save()
        return made

    def push(self, name: str, password: str = "hunter2", seconds: float = 60) -> None:
        """A revision is to be tried."""
        history = self.archive.history()
        texts = {"gateway.yaml": self.text(name, password), "places.yaml": "{gate: {label: 大门}}\n"}
        number, push = history.next, Push(revision=f"r-{name}", config=texts["gateway.yaml"])
        made = Revision(
            number=number, name=push.revision, sha256=digest(texts), who="district", place=UPLINK + "district", time=NOW
        )
        trial = Trial(number=number, uplink="district", seconds=seconds)
        self.archive.save(revisions.attempt(history, made, trial, push.sha256), texts)

    def keep(self) -> None:
        """The trial succeeds."""
        self.archive.save(revisions.keep(self.archive.history(), NOW))


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """It has run once."""
    made = Box(tmp_path)
    made.start()
    return made


def site(start: Start) -> str:
    """What tells revisions apart."""
    return start.loaded.config.site.name


def test_the_first_start_takes_the_file_in_and_the_next_ones_do_not(box: Box) -> None:
    assert [one.place for one in box.start().history.revisions] == ["file"]
    assert box.archive.texts(1) == read(box.file).texts
    assert list(box.archive.texts(1)) == ["gateway.yaml", "places.yaml"]
    assert (box.archive.folder.stat().st_mode & 0o777, (box.archive.folder / "000001.json").stat().st_mode & 0o777) == (
        0o700,
        0o600,
    )


def test_an_edit_of_an_included_part_is_an_edit(box: Box) -> None:
    (box.file.parent / "places.yaml").write_text("{gate: {label: 正门}}\n", "utf-8")
    assert box.start().history.running == 2
    assert bring_back(box.archive.history(), 1, "li", NOW).revisions[-1].of == 1


def test_what_was_pushed_runs_until_the_file_is_edited(box: Box) -> None:
    box.push("月光花园")
    assert site(box.start()) == "月光花园"
    box.keep()
    start = box.start()
    assert (site(start), start.history.trial) == ("月光花园", None)
    assert local_differs(start.history, read(box.file))
    box.edit("星光花园")
    start = box.start()
    assert site(start) == "星光花园"
    assert "replaces revision 2" in start.warnings[0].en
    assert not local_differs(start.history, read(box.file))


def test_a_trial_goes_on_after_a_kill_and_ends_by_its_time(box: Box) -> None:
    box.push("月光花园")
    assert site(box.start()) == "月光花园"
    box.clock.advance(59)
    assert site(box.start()) == "月光花园"
    box.clock.advance(1)
    start = box.start()
    assert (site(start), start.history.trial) == ("阳光花园", None)
    assert revisions.reported(start.history, "district")["state"] == "rolled-back"


def test_a_trial_whose_texts_do_not_load_is_rolled_back_at_once(box: Box) -> None:
    box.push("月光花园", password="!file gone")
    start = box.start()
    assert site(start) == "阳光花园"
    why = start.history.revisions[-1].failed
    assert why is not None
    assert "gone" in why.en


def test_a_kept_one_that_lost_its_secret_yields_to_the_file(box: Box) -> None:
    box.push("月光花园", password="!file secret")
    box.keep()
    assert site(box.start()) == "月光花园"
    (box.file.parent / "secret").unlink()
    start = box.start()
    assert site(start) == "阳光花园"
    assert "revision 2 cannot run" in start.warnings[0].en
    assert "secret" in start.warnings[0].zh


def test_a_wrong_file_keeps_the_daemon_from_starting(box: Box) -> None:
    box.file.write_text(box.text("阳光花园").replace("web: off", "wob: off"), "utf-8")
    with pytest.raises(ConfigProblems):
        box.start()
    box.edit("阳光花园")
    (box.file.parent / "places.yaml").unlink()
    with pytest.raises(ConfigProblems):
        box.start()


def _half_written(folder: Path) -> None:
    (folder / "history.json~").write_text('{"revisions": [', "utf-8")
    (folder / "000002.json").write_text('{"gateway.yaml": ""}', "utf-8")


def _half_text(folder: Path) -> None:
    (folder / "000002.json~").write_bytes(b"\xff")


@pytest.mark.parametrize("cut", [_half_written, _half_text])
def test_a_power_cut_in_the_middle_of_a_step_leaves_the_one_before(box: Box, cut: Callable[[Path], None]) -> None:
    before = box.archive.history()
    cut(box.archive.folder)
    assert box.start().history == before
    assert sorted(path.name for path in box.archive.folder.iterdir()) == ["000001.json", "history.json"]
    box.push("月光花园")
    assert site(box.start()) == "月光花园"


def test_what_cannot_be_read_or_written_is_told(box: Box) -> None:
    (box.archive.folder / "history.json").write_text("{}}", "utf-8")
    with pytest.raises(StateError, match="history of configurations"):
        box.archive.history()
    for number in (1, 2):
        start = box.start()
        assert (site(start), start.history.running) == ("阳光花园", 1)
        assert "history of configurations" in start.warnings[0].en
        assert (box.state / f"config.damaged-{number}" / "history.json").exists()
        (box.archive.folder / "history.json").write_text("", "utf-8")
    with pytest.raises(StateError, match="text cannot be read"):
        box.archive.texts(7)
    box.archive.folder.rename(box.state / "aside")
    box.archive.folder.write_text("in the way", "utf-8")
    with pytest.raises(StorageError, match="cannot be stored"):
        box.archive.save(History())


def test_only_what_is_there_and_does_not_run_comes_back(box: Box) -> None:
    for number, what in ((9, "no revision 9"), (1, "runs already")):
        with pytest.raises(StateError, match=what):
            bring_back(box.archive.history(), number, "li", NOW)


# the command line, without a daemon


def told(box: Box, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit status, output, complaints."""
    capsys.readouterr()
    status = run([*words, "--config", str(box.file)])
    return status, *capsys.readouterr()


def test_the_log_in_chinese(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.push("月光花园")
    box.archive.save(revisions.roll_back(box.archive.history(), Text("no", "上行链路未恢复"), NOW))
    status, out, _ = told(box, capsys, "--lang", "zh", "config", "log")
    assert status == 0
    assert [line.split()[:3] for line in out.splitlines()[1:]] == [
        ["2", "r-月光花园", "已回退"],
        ["1", "local-1", "运行中"],
    ]
    assert "上行链路未恢复" in out
    assert "上行链路 district" in out
    status, out, _ = told(box, capsys, "config", "log", "--json")
    found = json.loads(out)
    assert (found["edited"], found["revisions"][0]["failed"]["en"]) == (False, "no")


def test_diff_and_show_hide_secrets(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.push("月光花园", password="other-secret")
    status, out, _ = told(box, capsys, "--lang", "en", "config", "diff")
    assert (status, "+  name: 月光花园" in out, "other-secret" in out) == (0, True, False)
    assert told(box, capsys, "--lang", "zh", "config", "diff", "1", "1")[1] == "1 与 1 内容相同\n"
    only = told(box, capsys, "--lang", "zh", "config", "diff")[1]
    assert "已隐藏" not in only
    box.push("月光花园")
    assert "已隐藏" in told(box, capsys, "--lang", "zh", "config", "diff")[1]
    assert "hunter2" not in told(box, capsys, "config", "show", "1")[1]
    assert "hunter2" in told(box, capsys, "config", "show", "1", "--secrets")[1]
    assert told(box, capsys, "config", "show", "8")[0] == 1
    found = json.loads(told(box, capsys, "config", "diff", "--json")[1])
    assert (found["old"], found["new"], found["secrets_differ"]) == (2, 3, True)


def test_rollback_without_a_daemon(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.edit("月光花园")
    box.start()
    status, out, _ = told(box, capsys, "--lang", "zh", "config", "rollback", "1")
    assert (status, out) == (0, "版本 1 重新生效,新版本为 local-3\n")
    assert site(box.start()) == "阳光花园"
    assert told(box, capsys, "config", "rollback", "3")[0] == 1
    status, _, complaint = told(box, capsys, "--lang", "zh", "reload")
    assert status == 1
    assert "没有网关在运行" in complaint


def test_nothing_has_run_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(Box(tmp_path), capsys, "--lang", "zh", "config", "log")[1] == "尚无运行过的配置\n"
