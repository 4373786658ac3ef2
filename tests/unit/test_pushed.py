"""What a pushed configuration may hold, what is told of its mistakes, and that it can do no harm by being read."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Config
from gateway.masks import difference, masked, secret_keys
from gateway.pushed import Answer, Question, examine, examined
from tests.unit.configs import real_drivers

TEXT = """\
gateway: {{id: gw-0001, state_dir: {state}}}
site:
  name: 阳光花园
  area: {{district: "310104", street: "013", community: "002"}}
  places: {{gate: {{label: 大门}}}}
uplinks:
  district: {{url: "mqtt://127.0.0.1:1883", username: gw, password: !file secrets/district, config: true}}
devices:
  - {{id: cam-1, driver: webhook, token: !file secrets/cam-1, kind: camera, place: gate}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """gateway.yaml on the box, with its secrets, and one outside its folder."""
    folder = tmp_path / "etc"
    (folder / "secrets").mkdir(parents=True)
    for name in ("district", "cam-1", "new"):
        (folder / "secrets" / name).write_text(f"the-secret-of-{name}\n", "utf-8")
    (tmp_path / "outside").write_text("not-for-the-platform\n", "utf-8")
    (tmp_path / "part.yaml").write_text("{}", "utf-8")
    made = folder / "gateway.yaml"
    made.write_text(text(tmp_path), "utf-8")
    return made


def text(folder: Path) -> str:
    """Of gateway.yaml."""
    return TEXT.format(state=json.dumps(str(folder / "state")))


def ask(file: Path, pushed: str) -> Question:
    """As the daemon asks for what an uplink pushed."""
    state = file.parent.parent / "state"
    return Question(file=file, texts={file.name: pushed}, uplink="district", gateway="gw-0001", state_dir=state)


def told(file: Path, old: str, new: str, key: str) -> dict[str, Any]:
    """The one problem there is with a key."""
    pushed = file.read_text("utf-8").replace(old, new)
    assert pushed != file.read_text("utf-8")
    problems = examine(ask(file, pushed), real_drivers()).problems
    (found,) = [problem for problem in problems if problem["key"] == key]
    return found


@pytest.mark.parametrize(
    ("old", "new", "key", "what"),
    [
        ("secrets/district", "../outside", "uplinks.district.password", "relative path"),
        ("secrets/district", "secrets/../../outside", "uplinks.district.password", "relative path"),
        ("!file secrets/district", "!file {outside}", "uplinks.district.password", "relative path"),
        ("{gate: {label: 大门}}", "!include ../part.yaml", "site.places", "relative path"),
        ("name: 阳光花园", "name: !file secrets/cam-1", "site.name", "secrets only"),
        ("name: 阳光花园", "name: !env PATH", "site.name", "secrets only"),
        ("secrets/district", "secrets/cam-1", "uplinks.district.password", "belongs to devices"),
        ("config: true", "config: true, types: [!file secrets/new]", "uplinks.district.types[0]", "secrets only"),
        ("config: true", "config: true, tls: {key: !file secrets/new}", "uplinks.district.tls.key", "does not fit"),
        ("id: gw-0001", "id: gw-0002", "gateway.id", "gw-0001"),
        ("/state", "/elsewhere", "gateway.state_dir", "cannot move"),
        ("config: true", "config: false", "uplinks.district", "take away"),
        ("  district: {url", "  other: {url", "uplinks.district", "take away"),
        ("config: true}", 'config: true}\ncredentials: {key: "{key}", file: {outside}}', "credentials.file", "folder"),
    ],
)
def test_what_a_push_may_not_do(file: Path, old: str, new: str, key: str, what: str) -> None:
    new = new.replace("{outside}", str(file.parent.parent / "outside")).replace("{key}", "k" * 32)
    problem = told(file, old, new, key)
    assert what in problem["what"]["en"]
    assert problem["what"]["zh"] != problem["what"]["en"]
    assert problem["file"] == "gateway.yaml"
    assert not any(secret in json.dumps(problem) for secret in ("not-for-the-platform", "the-secret-of"))


def test_a_right_one_may_bring_new_secrets_and_parts_of_the_box(file: Path) -> None:
    (file.parent / "places.yaml").write_text("{gate: {label: 大门}, b3: {label: 3号楼}}\n", "utf-8")
    pushed = file.read_text("utf-8").replace("secrets/cam-1", "secrets/new")
    pushed = pushed.replace("{gate: {label: 大门}}", "!include places.yaml")
    answer = examine(ask(file, pushed), real_drivers())
    assert answer.problems == ()
    assert list(answer.texts) == ["gateway.yaml", "places.yaml"]
    assert answer.texts["gateway.yaml"] == pushed


def test_a_person_may_do_what_a_push_may_not(file: Path) -> None:
    mine = file.read_text("utf-8").replace("secrets/district", "../outside").replace("gw-0001", "gw-0002")
    assert examine(Question(file=file, texts={"gateway.yaml": mine}), real_drivers()).problems == ()


def test_all_mistakes_at_once_with_their_places(file: Path) -> None:
    pushed = file.read_text("utf-8").replace("place: gate", "place: gat").replace("driver: webhook", "driver: webhok")
    answer = examine(ask(file, pushed), real_drivers())
    assert {(problem["key"], problem["line"]) for problem in answer.problems} == {
        ("devices[0].driver", 9),
        ("devices[0].place", 9),
    }
    first = answer.say(file).en.splitlines()[0]
    assert first.startswith("gateway.yaml:9:")


async def test_it_is_examined_in_a_process_of_its_own(file: Path) -> None:
    pushed = text(file.parent.parent)
    assert await examined(ask(file, pushed)) == Answer(texts={"gateway.yaml": pushed})
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
    )
    (problem,) = (await examined(ask(file, bomb))).problems
    assert "values" in problem["what"]["en"]


# what people see of it


def test_secrets_are_hidden_in_every_style(file: Path) -> None:
    keys = secret_keys([Config, *real_drivers().values()])
    assert {"password", "token", "key"} <= keys
    shown = masked(
        "a: {password: hunter2, place: gate}\nb:\n  token: |\n    hunter2\n    hunter2\n  key: !file secrets/x\n"
        "c: {password: 'hunter2'} # why\n",
        keys,
    )
    assert "hunter2" not in shown
    assert "!file secrets/x" in shown
    assert "place: gate" in shown
    assert shown.endswith('c: {password: "***"} # why\n')
    assert masked(file.read_text("utf-8"), keys) == file.read_text("utf-8")


def test_the_difference_is_by_file() -> None:
    old, new = {"gateway.yaml": "a: 1\nb: 2\n", "part.yaml": "x: 1\n"}, {"gateway.yaml": "a: 1\nb: 3\n"}
    assert difference(old, old, ("1", "1")) == []
    lines = difference(old, new, ("1", "2"))
    assert [line for line in lines if line[0] in "+-"] == [
        "--- 1/gateway.yaml", "+++ 2/gateway.yaml", "-b: 2", "+b: 3", "--- 1/part.yaml", "+++ 2/part.yaml", "-x: 1",
    ]  # fmt: skip
