"""Every wrong value of every driver's devices is explained in English and in Chinese, and all texts stand in both."""

import ast
import json
import os
import re
from collections.abc import Iterator, Mapping
from errno import ENOENT
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from gateway.config import ConfigProblems, Loaded, load
from gateway.driver import registry
from gateway.problems import Problem
from tests.unit.configs import ROOT

DRIVERS = registry()
CHINESE = re.compile("[一-鿿]")
ENGLISH = re.compile(r"\b[a-z]{2,} [a-z]+ [a-z]{2,}\b")  # words in a row; names and commands do not stand so
JUNK: tuple[Any, ...] = (None, True, -7, 3.5, 10**12, "", "no such", [], [[1]], {"x": 1}, {"1": 1})
HEAD = """\
gateway: {id: gw-0001}
site:
  name: 阳光花园
  area: {district: "310104", street: "013", community: "002"}
  places: {gate: {label: 大门}}
buses: {line: {serial: /dev/ttyS90}}
devices:
"""
TOKEN = "0123456789abcdef"
BASE: Mapping[str, dict[str, Any]] = {
    "modbus": {"bus": "line", "address": 1, "profile": "waveshare-io-8ch"},
    "osdp": {"bus": "line", "address": 1, "key": "8f0c2b7d51e94a36c7d20e15b98a64f3"},
    "isapi": {"url": "http://192.0.2.64", "password": "camera-1234"},
    "onvif": {"url": "http://192.0.2.65:8000", "password": "camera-1234"},
    "webhook": {"token": TOKEN},
    "gpio": {"inputs": {"1": {"type": "door.open", "line": 17}}},
    "wiegand": {"bus": "line", "frame": "hex-line"},
    "gb26875": {"listen": "127.0.0.1:5200", "address": "790300000000"},
    "zkteco": {"listen": "0.0.0.0:8081", "address": "CKJ1234567"},
    "serial_text": {"bus": "line", "profile": "gst"},
    "mqtt_in": {"url": "mqtt://192.0.2.9", "username": "gateway", "profile": "zigbee2mqtt"},
}
PROFILE = "title: {en: A, zh: 甲}\nkind: smoke\nsource: a test of the parser\nconfidence: memory\n"


def device(driver: str, number: int, changes: Mapping[str, Any]) -> str:
    made = {"id": f"d-{number}", "driver": driver, "place": "gate", **BASE[driver], **changes}
    return f"  - {json.dumps(made, ensure_ascii=False)}\n"


def read(folder: Path, *devices: str) -> Loaded:
    (folder / "gateway.yaml").write_text(HEAD + "".join(devices), "utf-8")
    return load(folder / "gateway.yaml", DRIVERS.models())


def problems(folder: Path, *devices: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigProblems) as caught:
        read(folder, *devices)
    return caught.value.problems


def in_both(problem: Problem, folder: Path) -> None:
    english, chinese = problem.what
    assert not CHINESE.search(english), english
    assert CHINESE.search(chinese), chinese
    assert not ENGLISH.search(chinese.replace(str(folder), "").replace(os.strerror(ENOENT), "")), chinese


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inside in get_args(annotation):
        yield from models(inside)


def spoilt(model: type[BaseModel]) -> Iterator[dict[str, Any]]:
    """Each key with each kind of junk, and so on inside the models that it holds, in lists and mappings too."""
    for key, info in model.model_fields.items():
        yield from ({key: junk} for junk in JUNK)
        for inner in models(info.annotation):
            for wrong in spoilt(inner):
                yield from ({key: shape} for shape in (wrong, [wrong], {"1": wrong}))


def test_every_driver_has_a_right_configuration_here(tmp_path: Path) -> None:
    assert set(BASE) == set(DRIVERS)
    for number, driver in enumerate(BASE):
        assert len(read(tmp_path, device(driver, number, {})).config.devices) == 1


@pytest.mark.parametrize("driver", DRIVERS)
def test_any_junk_anywhere_is_told_in_both_languages(tmp_path: Path, driver: str) -> None:
    wrong = [device(driver, number, changes) for number, changes in enumerate(spoilt(DRIVERS[driver].Config))]
    told = problems(tmp_path, *wrong)
    assert len(told) > len(wrong) / 2
    for problem in told:
        in_both(problem, tmp_path)


FINGERPRINT = {"tls": {"fingerprint": "12:34"}}
WRONG = [  # driver, what is wrong, where, what is said
    ("gpio", {"inputs": {"1": {"type": "door.open"}}}, "inputs.1", "an input has either line: or analog:"),
    ("gpio", {"outputs": {"1": {"line": 17}}}, "", "line 17 is used twice"),
    ("wiegand", {"frame": "hexline"}, "frame", "did you mean hex-line?"),
    ("wiegand", {"frame": {"coding": "hex"}}, "frame", "where does a message end?"),
    ("wiegand", {"address": 1}, "", "address: goes with a frame"),
    ("modbus", {"profile": "jade-bird"}, "", "which points are asked?"),
    ("modbus", {"reset": {"output": 1}}, "", "waveshare-io-8ch has 0 of them"),
    ("modbus", {"profile": "rs-yg-n1"}, "profile", 'there is no profile "rs-yg-n1" (known: hnag1000,'),
    ("modbus", {"profile": "rs-yg-n1"}, "profile", "did you mean rs-yg-n01?"),
    ("modbus", {"profile": "./mine.yaml"}, "profile", "mine.yaml cannot be read: No such file"),
    ("modbus", {"inputs": {"9": {"type": "door.open"}}}, "", "input 9: a waveshare-io-8ch has inputs 1 to 8"),
    ("modbus", {"profile": "rs-yg-n01", "inputs": {"1": {"type": "door.open"}}}, "", "a rs-yg-n01 has no inputs"),
    ("modbus", {"inputs": {"1": {"type": "door.opne"}}}, "inputs.1.type", "did you mean door.open?"),
    ("modbus", {"inputs": {"1": {"type": "access.denied"}}}, "inputs.1.type", "no condition that begins and ends"),
    ("modbus", {"offline_after": 0}, "offline_after", "1 to 100 missed polls are allowed"),
    ("modbus", {"offline_after": "soon"}, "offline_after", "a count of missed polls, or a duration"),
    ("osdp", {"key": "30" * 16}, "key", "this key is public or a pattern"),
    ("osdp", {"key": "short"}, "key", "a key is 32 hexadecimal digits"),
    ("osdp", {"insecure": True}, "", "insecure: true talks in clear"),
    ("isapi", {"url": "http://admin:pw@192.0.2.64"}, "url", "without path, user or password"),
    ("isapi", {"tls": {}}, "tls", "either ca: FILE or fingerprint"),
    ("isapi", {"tls": {"ca": "no.pem"}}, "tls.ca", "no.pem cannot be read"),
    ("isapi", FINGERPRINT, "tls.fingerprint", "64 hexadecimal digits"),
    ("isapi", {"inputs": {"1": {"type": "qqqqqq"}}}, "inputs.1.type", 'there is no event type "qqqqqq"'),
    ("isapi", {"inputs": {"1": {"type": "operator.ack"}}}, "inputs.1.type", "is the gateway's to tell"),
    ("onvif", {"url": "http://192.0.2.65/onvif"}, "url", "without path, user or password"),
    ("onvif", {"inputs": {"1": {"type": "fire.smok"}}}, "inputs.1.type", "did you mean fire.smoke?"),
    ("onvif", {"lifetime": "5s"}, "lifetime", "10"),
    ("webhook", {"token": " "}, "token", "a token is needed"),
    ("webhook", {"map": {"type": {}}}, "map.type", "either a fixed word, or path:"),
    ("webhook", {"map": {"type": "fire.smok"}}, "map", "did you mean fire.smoke?"),
    ("webhook", {"map": {"type": "fire.smok", "phase": "raise"}}, "map", "did you mean fire.smoke?"),
    ("webhook", {"map": {"type": "fire.smoke"}}, "map", "fire.smoke begins and ends: phase: is needed"),
    ("webhook", {"map": {"type": "fire.smoke", "phase": "on"}}, "map", "on is no phase"),
]


@pytest.mark.parametrize(("driver", "changes", "where", "said"), WRONG)
def test_what_is_wrong_is_told_with_what_would_be_right(
    tmp_path: Path, driver: str, changes: dict[str, Any], where: str, said: str
) -> None:
    (problem,) = problems(tmp_path, device(driver, 1, changes))
    assert problem.key == f"devices[0].{where}".rstrip(".")
    assert said in problem.what.en
    assert "None" not in problem.what.en
    in_both(problem, tmp_path)


@pytest.mark.parametrize("name", ["./mine.yaml", "mine.yaml", "more/mine.yaml"])
def test_files_are_relative_to_the_file_that_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(ROOT)
    (tmp_path / "more").mkdir()
    (tmp_path / name).write_text(PROFILE + "inputs: {count: 2}\n", "utf-8")
    (tmp_path / "ca.pem").write_text("of an authority", "ascii")
    camera = device("isapi", 1, {"url": "https://192.0.2.64", "tls": {"ca": "ca.pem"}})
    board, camera_made = read(tmp_path, device("modbus", 2, {"profile": name}), camera).config.devices
    assert board.kind == "smoke"
    assert board.model_dump()["profile"] == str(tmp_path / name)
    assert camera_made.model_dump()["tls"]["ca"] == tmp_path / "ca.pem"


def test_a_profile_of_ones_own_is_told_with_its_own_line(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(PROFILE + "poll: 1\nreads: [{name: A, function: 3, address: 0}]\n", "utf-8")
    (problem,) = problems(tmp_path, device("modbus", 1, {"profile": "mine.yaml"}))
    assert problem.key == "devices[0].profile"
    assert re.search(r"mine\.yaml:5:7: poll: a duration.*mine\.yaml:6:16: reads\[0\]\.name:", problem.what.en)
    assert re.search(r"mine\.yaml:5:7: poll: 需要.*mine\.yaml:6:16: reads\[0\]\.name:", problem.what.zh)
    in_both(problem, tmp_path)


# --- the texts in the code


def texts() -> Iterator[tuple[str, ast.expr, ast.expr]]:
    """Where a pair of sentences stands, and the two: of `Text`, `Wrong`, and of functions that take `en` and `zh`."""
    for path in sorted([*(ROOT / "drivers").rglob("*.py"), *(ROOT / "gateway").rglob("*.py")]):
        tree = ast.parse(path.read_text("utf-8"))
        places = {"Text": 0, "Wrong": 0} | dict(takers(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                place = places.get(getattr(node.func, "id", getattr(node.func, "attr", "")), len(node.args))
                if len(node.args) > place + 1:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node.args[place], node.args[place + 1]


def takers(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Functions with parameters `en` and `zh`, one after the other, and the place of the first among the arguments."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            names = [argument.arg for argument in node.args.args if argument.arg not in ("self", "cls")]
            if ("en", "zh") in pairwise(names):
                yield node.name, names.index("en")


def literal(node: ast.expr) -> str | None:
    """What stands literally in it, without what is filled in; None where nothing does."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"{\w+}", "", node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
    if isinstance(node, ast.BinOp):
        return (literal(node.left) or "") + (literal(node.right) or "")
    return None


def test_every_text_is_in_english_and_in_chinese() -> None:
    found = [(where, literal(en), literal(zh)) for where, en, zh in texts()]
    assert len(found) > 300
    for where, english, chinese in found:
        if english is None or chinese is None or not re.search("[A-Za-z]{3}", english):
            continue
        assert not CHINESE.search(english), where
        assert CHINESE.search(chinese), where


def test_no_configuration_raises_an_error_in_one_language() -> None:
    for path in sorted((ROOT / "drivers").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and any("validator" in ast.dump(d) for d in node.decorator_list):
                assert "ValueError" not in ast.dump(node), f"{path.name}:{node.lineno}"
