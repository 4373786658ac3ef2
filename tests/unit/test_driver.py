"""The drivers' contract: what each driver rests on is there to be read and run; what is news of a repeated report."""

import ast
import re
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from drivers import _osdp_bus, _wiegand_line, serial_text, wiegand
from drivers._modbus_profile import Profile
from drivers.sim.console import Stage, mqtt_in, webhook
from drivers.webhook import Config as WebhookConfig
from drivers.webhook import decode, ignored
from gateway.config import ConfigProblems, load
from gateway.driver import news, registry
from gateway.errors import Unreachable
from gateway.event import Credential, Phase, Reading
from gateway.fields import BusConfig
from tests.brokers import Mosquitto
from tests.fakes import RecordingLink
from tests.unit.test_sim_console import Told, stages

ROOT = Path(__file__).parents[2]
DRIVERS = registry()
GUIDES = ROOT / "docs" / "drivers"
CHINESE = re.compile("[一-鿿]")


def names_of_tests_in(file: Path) -> list[str]:
    """Names of the tests in a file."""
    nodes = ast.walk(ast.parse(file.read_text("utf-8")))
    functions = (node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return [function.name for function in functions if function.name.startswith("test_")]


@pytest.mark.parametrize("name", DRIVERS)
def test_every_driver_says_what_it_rests_on(name: str) -> None:
    proof = DRIVERS[name].proof
    assert proof is not None
    assert proof.edition
    assert proof.never_met
    assert proof.shown
    for what, file in proof.shown.items():
        assert what
        assert names_of_tests_in(ROOT / file), file


def test_the_page_has_a_row_for_every_driver_and_every_guide() -> None:
    page = (ROOT / "docs" / "drivers.md").read_text("utf-8")
    rows = re.findall(r"^\| \[`(\w+)`\]\(drivers/(\w+)\.md\) \|", page, re.MULTILINE)
    assert [name for name, _ in rows] == [guide for _, guide in rows] == sorted(DRIVERS)
    assert {guide.stem for guide in GUIDES.glob("*.md")} == set(DRIVERS)


# --- drivers of third parties


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ("no_such_module:DRIVER", "No module named 'no_such_module'"),
        ("gateway.driver:DRIVER", "has no attribute 'DRIVER'"),
        ("gateway.driver:Driver", "is no Driver of gateway.driver"),
    ],
)
def test_a_third_party_s_driver_that_cannot_be_loaded_is_told_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str, said: str
) -> None:
    about = tmp_path / "theirs-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1\n", "ascii")
    (about / "entry_points.txt").write_text(f"[community_gateway.drivers]\ntheirs = {point}\n", "ascii")
    monkeypatch.syspath_prepend(tmp_path)
    devices = "devices:\n  - {id: a, driver: theirs, place: gate}\n  - {id: b, driver: webhook, place: gate}\n"
    (tmp_path / "gateway.yaml").write_text(f"gateway: {{id: gw-0001}}\n{HEAD}{devices}", "utf-8")
    with pytest.raises(ConfigProblems) as caught:
        load(tmp_path / "gateway.yaml", registry().models())
    first, second = caught.value.problems
    assert first.key == "devices[0].driver"
    assert said in first.what.en
    assert CHINESE.search(first.what.zh)
    assert second.key == "devices[1].token"  # and it hides nothing else


# --- guides

HEAD = """\
site:
  name: 阳光花园
  area: {district: "310104", street: "013", community: "002"}
  places:
    b3: {label: 3号楼, units: {f5: {label: 5层}, u1: {label: 1单元}, u2: {label: 2单元, floors: {f5: {label: 5层}}}}}
    b4: {label: 4号楼}
    gate: {label: 大门}
"""


def text_of(name: str) -> str:
    """Of a driver's guide."""
    return (GUIDES / f"{name}.md").read_text("utf-8")


@pytest.mark.parametrize("name", DRIVERS)
def test_every_guide_begins_in_chinese_and_ends_with_what_was_never_met(name: str) -> None:
    text = text_of(name)
    assert f"Driver `{name}`" in text
    assert f"(../configuration.md#driver-{name})" in text
    (summary,) = re.findall(r"^\*\*中文提要\*\*:(.*?)\n\n", text, re.MULTILINE | re.DOTALL)
    assert len(CHINESE.findall(summary)) > 60
    heads = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert heads[-1] == "Proved by, and what has never met hardware"
    assert {"In gateway.yaml", "Try without hardware", "When something is wrong"} <= set(heads)
    assert f"`gateway simulate {name}" in text
    table = text.partition("## When something is wrong")[2].partition("\n## ")[0]
    assert all(CHINESE.search(row.split(" | ")[-1]) for row in re.findall(r"^\| .+ \|$", table, re.MULTILINE)[2:])


@pytest.mark.parametrize("name", DRIVERS)
def test_what_a_guide_shows_for_gateway_yaml_is_right(name: str, tmp_path: Path) -> None:
    blocks = [block for block in re.findall(r"```yaml\n(.*?)```", text_of(name), re.DOTALL) if "driver: " in block]
    assert blocks
    for number, block in enumerate(blocks):
        assert whole(tmp_path / str(number), block) > 0


def whole(folder: Path, block: str) -> int:
    """Reads an example as a whole configuration, with the files it names; how many devices it has."""
    folder.mkdir()
    for secret in re.findall(r"!file ([\w./-]+)", block):
        (folder / secret).parent.mkdir(exist_ok=True)
        (folder / secret).write_text(sha256(secret.encode()).hexdigest()[:32], "ascii")
    text = block.replace("3f…", "3f" * 32)
    if not re.search("^devices:", text, re.MULTILINE):
        text = f"devices:\n{text}"
    head = HEAD if text.startswith("gateway:") else f"gateway: {{id: gw-0001}}\n{HEAD}"
    (folder / "gateway.yaml").write_text(head + text, "utf-8")
    return len(load(folder / "gateway.yaml", DRIVERS.models()).config.devices)


def sentences() -> list[str]:
    """All texts in the code, without what is filled in."""
    files = [*(ROOT / "drivers").glob("*.py"), *(ROOT / "gateway").rglob("*.py")]
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text("utf-8"))))
    texts = (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return [part for text in texts for part in re.split(r"{\w+}", text)]


def test_the_messages_that_guides_explain_are_those_that_are_said() -> None:
    known = "\n".join(sentences())
    explained, unsaid = 0, list[str]()
    for name in DRIVERS:
        table = text_of(name).partition("## When something is wrong")[2].partition("\n## ")[0]
        for cell in re.findall(r"^\| (.+?) \|", table, re.MULTILINE):
            fragments = [part for span in re.findall("`([^`]+)`", cell) for part in re.split(r"…|'…'", span)]
            for fragment in filter(None, (part.strip(" ,:") for part in fragments)):
                unsaid += [f"{name}: {fragment}"] * (fragment not in known)
                explained += 1
    assert unsaid == []
    assert explained > 60


@pytest.mark.parametrize("name", DRIVERS)
async def test_the_lines_that_a_guide_has_typed_are_understood(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "PATIENCE_S", 0.0)  # nobody answers it here
    section = text_of(name).partition("## Try without hardware")[2].partition("\n## ")[0]
    spans = [" ".join(span.split()) for span in re.findall("`([^`]+)`", section)]
    typed = [span for span in spans if re.match(r"[a-z]+( |$)", span) and not re.match("gateway |mosquitto ", span)]
    told = Told()
    async with AsyncExitStack() as stack:
        if name == "mqtt_in":
            broker = await stack.enter_async_context(Mosquitto(tmp_path))
            simulator: AbstractAsyncContextManager[Stage] = mqtt_in.stage(
                "zigbee2mqtt", f"mqtt://127.0.0.1:{broker.port}", ["smoke-1"], told
            )
        else:
            simulator = stages(told)[{"wiegand": "wiegand-tcp"}.get(name, name)]  # with keys
        stage = await stack.enter_async_context(simulator)
        lines = [line for line in typed if line.split()[0] in stage.acts]
        assert len(lines) >= 3
        for line in lines:
            await stage.perform(line)  # Wrong: it cannot be understood


def test_what_the_webhook_guide_posts_is_taken(tmp_path: Path) -> None:
    keys = {"id": "panic-gate", "driver": "webhook", "place": "gate", "token": "0123456789abcdef"}
    plain = WebhookConfig.model_validate(keys)
    text = text_of("webhook")
    bodies = re.findall(r"```json\n(.*?)```", text, re.DOTALL) + re.findall(r"-d '(.*?)'", text)
    told = [reading for body in bodies for reading in decode(plain, body.encode())]
    assert [reading.type for reading in told] == [
        "safety.panic", "fire.smoke", "device.battery_low", "video.falling_object", "safety.panic",
    ]  # fmt: skip
    assert [ignored(plain, body.encode()) for body in bodies] == [[]] * len(bodies)
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    mapping = YAML(typ="safe", pure=True).load(re.sub("!file ", "", example))["devices"][1]["map"]
    mapped = WebhookConfig.model_validate(keys | {"map": mapping})
    (typed,) = re.findall(r"`json (.*?)`", text)
    (reading,) = decode(mapped, typed.encode())
    assert (reading.type, reading.phase) == ("video.ebike_lift", Phase.RAISE)
    assert decode(mapped, b'{"alarm": {"kind": "heartbeat"}}') == []


def block(name: str, number: int) -> Any:
    """A YAML example of a guide, by its place."""
    return YAML(typ="safe", pure=True).load(re.findall(r"```yaml\n(.*?)```", text_of(name), re.DOTALL)[number])


def test_the_frame_and_the_message_of_the_wiegand_guide_fit(tmp_path: Path) -> None:
    keys = {"id": "r", "driver": "wiegand", "bus": "line", "place": "gate", "address": 2}
    config = wiegand.Config.model_validate(keys | block("wiegand", 1))
    (shown,) = re.findall("That is `(AA [0-9A-F ]+)`: reader 2, 26 bits", text_of("wiegand"))
    (reading,) = wiegand.decode(config, bytes.fromhex(shown))
    assert reading.credential == Credential("wiegand-26", 90, 324)


def test_the_profile_of_the_modbus_guide_is_right() -> None:
    profile = Profile.model_validate(block("modbus", 1))
    assert [condition.type for condition in profile.conditions] == ["fire.smoke", "fire.heat", "device.fault"]


@pytest.mark.parametrize(
    ("wire", "opened"),
    [(_osdp_bus, _osdp_bus.open_bus), (_wiegand_line, _wiegand_line.open_line), (serial_text, serial_text.open_text)],
)
async def test_a_serial_server_that_does_not_answer_is_told_so(
    wire: Any, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "CONNECT_S", 0.0)
    with pytest.raises(Unreachable, match=re.escape("127.0.0.1:9: no answer")):
        await opened("line", BusConfig.model_validate({"tcp": "127.0.0.1:9"})).__aenter__()


# --- news


def reading(type: str, phase: Phase, part: str | None = None) -> Reading:
    return Reading("d", type, phase, part=None if part is None else {"address": part})


ON_DISK: Any = {"d": {("fire.smoke", None), ("device.fault", "1")}, "other": {("fire.heat", None)}}
TOLD = [
    (reading("fire.smoke", Phase.RAISE), False),
    (reading("fire.smoke", Phase.CLEAR), True),
    (reading("fire.smoke", Phase.RAISE, "1"), True),
    (reading("fire.heat", Phase.RAISE), True),
    (reading("fire.heat", Phase.CLEAR), False),
    (reading("device.fault", Phase.RAISE, "1"), False),
    (reading("device.fault", Phase.CLEAR, "2"), False),
    (reading("access.granted", Phase.PULSE), True),
    (reading("fire.smoke", Phase.STILL), True),
]


def test_news_is_what_differs_from_what_is_open_and_each_happening() -> None:
    link = RecordingLink(conditions=ON_DISK)
    assert news(link, [told for told, _ in TOLD]) == [told for told, new in TOLD if new]
