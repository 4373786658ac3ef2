"""The command line without a daemon: languages, wrong use, tables, check, card, schema, and that its docs are true."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.main import get_command

from gateway import alarms, asyncapi, control, health, schemas, sections
from gateway.cli import app, ask, frame, language, run, show, where, words
from gateway.cli.events import since
from gateway.cli.helps import HELP_OPTION, HELPS
from gateway.config import Config
from gateway.driver import registry
from gateway.errors import Text
from gateway.event import Lane

ROOT = Path(__file__).resolve().parents[2]
MINIMAL = ROOT / "config" / "minimal.yaml"
FULL = ROOT / "config" / "gateway.yaml"
CHINESE = re.compile(r"[\u4e00-\u9fff]")


class Told:
    """What one command said, and its exit status."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> None:
        capsys.readouterr()
        self.status = run([str(argument) for argument in arguments])
        self.out, self.err = capsys.readouterr()


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The locale is nobody's, and the language English again afterwards."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "GATEWAY_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    yield
    language.choose([], {})


def broken(folder: Path, spoken: str | None = None) -> Path:
    """A configuration with three mistakes."""
    file = folder / "gateway.yaml"
    lines = MINIMAL.read_text("utf-8").replace("address: 1,", "adress: 1,").replace("mqtt://", "http://")
    lines = lines.replace("place: b3}", "place: b4}")
    file.write_text(lines.replace("id: gw-0001", f"id: gw-0001\n  language: {spoken}") if spoken else lines, "utf-8")
    return file


# --- languages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "environment", "spoken", "passed_on"),
    [
        ([], {}, "en", []),
        (["status"], {"LANG": "zh_CN.UTF-8"}, "zh", ["status"]),
        (["status"], {"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en", ["status"]),
        (["status"], {"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_TW"}, "zh", ["status"]),
        (["status"], {"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, "zh", ["status"]),
        (["--lang", "zh", "status"], {}, "zh", ["--lang", "zh", "status"]),
        (["events", "-f", "--lang=zh", "--json"], {}, "zh", ["--lang=zh", "events", "-f", "--json"]),
        (["status", "--lang", "en"], {"LANG": "zh_CN"}, "en", ["--lang", "en", "status"]),
        (["ack", "1", "--", "--lang", "zh"], {}, "en", ["ack", "1", "--", "--lang", "zh"]),
        (["status", "--lang"], {}, "en", ["status", "--lang"]),
    ],
)
def test_language(arguments: list[str], environment: dict[str, str], spoken: str, passed_on: list[str]) -> None:
    assert language.choose(arguments, environment) == passed_on
    assert language.spoken() == spoken


def test_the_configuration_s_language_yields_to_the_command_line_s() -> None:
    language.choose(["--lang", "en"], {})
    language.fall_back_on("zh-CN")
    assert language.spoken() == "en"
    language.choose([], {})
    language.fall_back_on("zh-CN")
    assert language.say(Text("no", "不")) == "不"


def commands(command: Any = None, path: str = "gateway") -> Iterator[tuple[str, Any]]:
    """Every command and group with its path."""
    command = command or get_command(app)
    yield path, command
    for name, inner in command.commands.items() if isinstance(command, TyperGroup) else ():
        yield from commands(inner, f"{path} {name}")


def test_every_help_has_its_chinese_and_no_chinese_is_left_over() -> None:
    helps = [text for _, command in commands() for text in (command.help, *(p.help for p in command.params))]
    english = {paragraph for help in helps for paragraph in frame.paragraphs(help)}
    assert english - set(HELPS) == set()
    assert set(HELPS) - english == {HELP_OPTION}
    assert [text for text in HELPS.values() if not CHINESE.search(text)] == []


TABLES = {name: table for name, table in vars(words).items() if isinstance(table, dict) and name.isupper()}


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_word_is_in_both_languages(name: str) -> None:
    texts = [text for text in TABLES[name].values() if isinstance(text, Text)]
    assert [text for text in texts if CHINESE.search(text.en) or not text.en] == []
    assert [text for text in texts if not CHINESE.search(text.zh)] == []


def test_words_for_all_that_the_daemon_says() -> None:
    assert set(words.VERDICTS) == set(health.VERDICTS)
    assert set(words.LANES) == {lane.value for lane in Lane}
    flags: dict[str, Any] = {"device": "", "type": "", "part": "", "id": "", "severity": "low", "confirmed": False}
    flags |= {"count": 1, "first_ms": 0, "last_ms": 0, "test": False}
    yes_no = (False, True)
    states = {
        alarms.Alarm(**flags, active=active, acknowledged=acknowledged, latched=latched).state
        for active in yes_no for acknowledged in yes_no for latched in yes_no
    }  # fmt: skip
    assert set(words.ALARM_STATES) == states | {"shelved", "suppressed", "out_of_service"}  # by what lies over it


def test_what_is_written_twice_to_save_an_import_is_the_same() -> None:
    assert (where.STATE_DIR, ask.SOCKET) == (sections.STATE_DIR, control.NAME)


def test_every_help_reads_well(capsys: pytest.CaptureFixture[str]) -> None:
    for path, command in commands():
        for spoken in ("en", "zh"):
            told = Told(capsys, *path.split()[1:], "--help", "--lang", spoken)
            assert told.status == 0
            many = re.compile(r"\[(ARGS|KEY=VALUE)\]\.\.\.")
            assert "..." not in many.sub("", told.out), f"{path}: a first sentence is too long to be listed"
            assert bool(CHINESE.search(told.out)) == (spoken == "zh")
        undescribed = [parameter.name for parameter in command.params if not parameter.help]
        assert undescribed == []


# --- wrong use -------------------------------------------------------------------------------------------------------

WRONG = {
    "statu": ("No such command 'statu'. Did you mean 'status'?", "没有命令 statu,是否想写 'status'?"),
    "brew": ("No such command 'brew'", "没有命令 brew"),
    "events --typ x": ("No such option: --typ (Possible options: --type)", "没有选项 --typ,是否想写 --type?"),
    "ack": ("Missing argument 'ALARM'", "缺少参数 ALARM"),
    "simulate webhook --token x": ("Missing option '--url'", "缺少选项 --url"),
    "status --config": ("Option '--config' requires an argument", "选项 --config 需要一个值"),
    "version now": ("Got unexpected extra argument(s) (now)", "多余的参数:now"),
    "events --limit x": ("Invalid value for '--limit': a whole number is needed", "--limit 的值无效:应为整数"),
    "events --limit 0": ("Invalid value for '--limit': at least 1 is needed", "--limit 的值无效:不能小于 1"),
    "simulate osdp --address 300": ("'--address': at most 247 is allowed", "--address 的值无效:不能大于 247"),
    "--lang fr version": ("fr is not one of 'zh', 'en'", "fr 不在可用值中:'zh', 'en'"),
    "ack x --outcome maybe": ("maybe is not one of", "maybe 不在可用值中"),
    "events --type fire.smok": ("did you mean fire.smoke?", "是否想写 fire.smoke?"),
    "events --since yesterday": ("'--since': yesterday is no time", "--since 的值无效:yesterday 不是时间"),
    "card wiegand26 1 2": ("is no card format", "不是卡片格式"),
    "card 26 300 1": ("facility code 300 and number 1 do not fit wiegand-26", "超出 wiegand-26 的范围"),
    "simulate modbus --profile smoke": ('no profile "smoke"', "设备配置文件不可用"),
    "simulate modbus --tcp x": ("x is no address; write 127.0.0.1:1502", "x 不是地址"),
    "simulate modbus --profile a --profile b": ("one profile, or one for each address", "每个地址各一个"),
}  # fmt: skip


@pytest.mark.parametrize("line", WRONG)
def test_wrong_use(line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for locale, sentence in zip(("en_US.UTF-8", "zh_CN.UTF-8"), WRONG[line], strict=True):
        monkeypatch.setenv("LANG", locale)
        told = Told(capsys, *line.split())
        assert (told.status, told.out) == (2, "")
        assert sentence in told.err
        assert told.err.count("\n") == 1
        assert "--help" in told.err


def test_nothing_asked_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    told = Told(capsys)
    assert told.status == 2
    assert re.search(r"events +Show events as they were taken in", told.err)
    assert re.search(r"events +按接收顺序显示事件", Told(capsys, "--lang", "zh").err)


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_columns_stand_under_each_other_with_chinese_in_them() -> None:
    assert show.aligned([["A", "B", "C"], ["烟感", "x", "1"], ["s", "三号楼", ""]]) == [
        "A     B       C",
        "烟感  x       1",
        "s     三号楼",
    ]


def test_a_combining_mark_takes_no_column() -> None:
    assert show.width("e\u0301") == 1


def test_empty_columns_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    show.table([words.HEADS["device"], words.HEADS["why"], words.HEADS["state"]], [["d", "", "normal"]])
    assert capsys.readouterr().out == "DEVICE  STATE\nd       normal\n"


def test_times_are_local_with_the_date_where_it_is_not_today() -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC).astimezone()
    stamp = "2026-11-23T10:06:19.123Z"
    local = datetime.fromisoformat(stamp).astimezone()
    assert show.moment(stamp, local) == local.strftime("%H:%M:%S")
    assert show.moment(stamp, now + timedelta(days=1)) == local.strftime("%Y-%m-%d %H:%M:%S")
    assert show.moment(None) == "-"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (59.6, "1 min"), (61, "1 min 1 s"), (7325, "2 h 2 min"), (90000, "1 d 1 h")]
)
def test_spans(seconds: float, said: str) -> None:
    assert show.span(seconds) == said


@pytest.mark.parametrize(("size_bytes", "said"), [(0, "0 B"), (1536, "1.5 KiB"), (2**29, "512 MiB")])
def test_sizes(size_bytes: int, said: str) -> None:
    assert show.size(size_bytes) == said


NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("10m", NOW - timedelta(minutes=10)),
        ("2h", NOW - timedelta(hours=2)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-11-23T17:00:00+08:00", NOW - timedelta(hours=1)),
        ("2026-11-23T09:00:00Z", NOW - timedelta(hours=1)),
    ],
)
def test_since(text: str, moment: datetime) -> None:
    assert since(text, NOW) == moment


def test_since_without_an_offset_is_local() -> None:
    assert since("2026-11-23 09:00", NOW) == datetime(2026, 11, 23, 9).astimezone()


@pytest.mark.parametrize("text", ["", "10", "10 years", "0001-01-01T00:00:00+14:00", "m"])
def test_since_what(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        since(text, NOW)


# --- check, card, schema, version ------------------------------------------------------------------------------------


def test_check(capsys: pytest.CaptureFixture[str]) -> None:
    told = Told(capsys, "check", "--config", FULL)
    assert (told.status, told.out) == (0, "OK: 14 devices on 12 lines, 2 uplinks\n")
    warned = [line.split(": ")[1] for line in told.err.splitlines()]
    assert warned == []
    told = Told(capsys, "check", "--config", MINIMAL, "--lang", "zh")
    assert (told.status, told.out, told.err) == (0, "配置正确:1 台设备,1 条线路,1 条上行链路\n", "")


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize(("spoken", "sentence"), [("en", "did you mean address?"), ("zh", "是否想写 address?")])
def test_a_wrong_configuration(
    command: str, spoken: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = broken(tmp_path)
    told = Told(capsys, command, "-c", file, "--lang", spoken)
    assert (told.status, told.out) == (2, "")
    assert sentence in told.err
    assert all(re.match(rf"{re.escape(str(file))}:\d+:\d+: [a-z][\w.\[\]]*: ", line) for line in told.err.splitlines())
    keys = [line.split(": ")[1] for line in told.err.splitlines()]
    assert {"devices[0].adress", "devices[0].place", "uplinks.district.url"} <= set(keys)


def test_a_wrong_configuration_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = broken(tmp_path)
    told = Told(capsys, "check", "-c", file, "--json")
    found = json.loads(told.out)
    assert (told.status, found["ok"], found["file"]) == (2, False, str(file))
    (place,) = [problem for problem in found["problems"] if problem["key"] == "devices[0].place"]
    line = file.read_text("utf-8").splitlines()[place["line"] - 1]
    assert line[place["column"] - 1 :].startswith("b4")
    assert CHINESE.search(place["what"]["zh"])


def test_run_speaks_as_the_configuration_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "是否想写" in Told(capsys, "run", "-c", broken(tmp_path, "zh-CN")).err
    assert "did you mean" in Told(capsys, "run", "-c", broken(tmp_path, "en"), "--lang", "en").err


@pytest.mark.parametrize("command", ["run", "check", "card 26 1 2"])
def test_an_absent_configuration(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "none.yaml"
    told = Told(capsys, *command.split(), "-c", file)
    assert told.status == 2
    assert told.err.startswith(f"{file}:1:1: there is no such file: write it")
    assert "没有此文件" in Told(capsys, *command.split(), "-c", file, "--lang", "zh").err


def test_a_card_s_hash_is_the_one_that_openssl_makes(capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("26", "wiegand-26"):
        told = Told(capsys, "card", form, "17", "4711", "--config", FULL)
        assert (told.status, told.err) == (0, "")
        assert told.out == "hmac-sha256:rGRhAIPYR5kw4M9IspWc2whCKZyEQJAaEnpDpUKqPhk\n"
        assert told.out.strip() in FULL.read_text("utf-8")
    told = Told(capsys, "card", "raw-32", "0", "4711", "--config", FULL, "--json")
    assert re.fullmatch(r"hmac-sha256:[\w-]{43}", json.loads(told.out)["card"])


def test_no_key_for_cards(capsys: pytest.CaptureFixture[str]) -> None:
    told = Told(capsys, "card", "26", "17", "4711", "--config", MINIMAL)
    assert told.status == 2
    assert "there is no key for cards; write `credentials:" in told.err


def test_schemas(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(Told(capsys, "schema", "events").out) == schemas.json_schema_events()
    wanted = json.loads(json.dumps(schemas.json_schema_config(Config, registry())))
    assert json.loads(Told(capsys, "schema", "config").out) == wanted
    assert json.loads(Told(capsys, "schema", "asyncapi").out) == json.loads(json.dumps(asyncapi.document()))
    own = json.loads(Told(capsys, "schema", "asyncapi", "--config", MINIMAL).out)
    assert "127.0.0.1" in json.dumps(own["servers"])


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from gateway import __version__

    assert Told(capsys, "version").out.startswith(f"community-gateway {__version__} ")
    assert json.loads(Told(capsys, "version", "--json").out)["version"] == __version__


def test_simulators_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    told = Told(capsys, "simulate")
    assert told.status == 0
    assert told.out.startswith("SIMULATOR    WHAT IT IS\nmodbus       detectors")
    assert "模拟器" in Told(capsys, "simulate", "--lang", "zh").out


# --- which state folder ----------------------------------------------------------------------------------------------


def test_the_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("gateway: {id: gw-1, state_dir: here}\nbroken: ]", "utf-8")
    assert where.state_dir(file, tmp_path / "x") == tmp_path / "x"
    file.write_text("gateway: {id: gw-1, state_dir: here}", "utf-8")
    assert where.state_dir(file, None) == tmp_path / "here"
    file.write_text("gateway: {id: gw-1}", "utf-8")
    assert where.state_dir(file, None) == where.STATE_DIR
    monkeypatch.setattr(where, "CONFIG", tmp_path / "none.yaml")
    assert where.state_dir(where.CONFIG, None) == where.STATE_DIR


def test_a_configuration_that_names_no_state_folder_because_it_is_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("gateway: {id: ]", "utf-8")
    told = Told(capsys, "status", "--config", file)
    assert told.status == 2
    assert told.err.startswith(f"{file}:1:")


# --- imports and docs ------------------------------------------------------------------------------------------------


def imported(*arguments: str) -> set[str]:
    """Top-level packages that a command imports."""
    command = [sys.executable, "-X", "importtime", "-m", "gateway", *arguments]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stderr
    return {line.split("|")[-1].strip().partition(".")[0] for line in told.splitlines() if line.startswith("import")}


def test_nothing_heavy_is_imported_that_is_not_needed(tmp_path: Path) -> None:
    assert imported("version") & {"rich", "fastapi", "aiohttp", "paho", "ruamel", "pymodbus", "drivers"} == set()
    assert "rich" not in imported("run", "--config", str(broken(tmp_path)))


def test_the_page_on_commands_names_every_command_and_option() -> None:
    text = (ROOT / "docs" / "commands.md").read_text("utf-8")
    parts = re.split(r"^#+ `(gateway[^`]*)`.*$", text, flags=re.MULTILINE)
    told = dict(zip(parts[1::2], parts[2::2], strict=True))
    real = {path: command for path, command in commands() if path != "gateway"}
    assert set(told) == {path for path, command in real.items() if not isinstance(command, TyperGroup)} | {
        "gateway simulate",
        "gateway rules",
        "gateway audit",
    }
    for path, part in told.items():
        own = {option for parameter in real[path].params for option in parameter.opts if option.startswith("--")}
        named = set(re.findall(r"^\| `(?:-\w, )?(--[\w-]+)", part, re.MULTILINE))
        assert named == own - {"--help"}, path
