"""`gateway responsibility` and `gateway notify test` as an installer sees them."""

import json
from pathlib import Path

import pytest

from gateway.cli import run
from tests.brokers import free_port
from tests.unit.configs import write

CONFIG = Path(__file__).parents[2] / "config"
EXAMPLE, MINIMAL = str(CONFIG / "gateway.yaml"), (CONFIG / "minimal.yaml").read_text("utf-8")


def test_the_list_names_every_alarm_type(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["responsibility", "--config", EXAMPLE, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    fire, pump = [row for row in rows if row["type"] == "fire.smoke"]
    assert (fire["entry"], fire["lead"], fire["assist"]) == ("fire.*", "消控室", ["物业经理"])
    assert fire["escalate"][:2] == [{"to": "sound", "after_s": 60.0}, {"to": "物业经理", "after_s": 120.0}]
    assert (pump["lead"], pump["instead"]) == ("维保单位", {"place": "pump-room"})
    assert all(row["lead"] for row in rows)
    assert not any(row["type"] == "access.granted" for row in rows)  # no alarm


def test_the_table_tells_times_and_hours(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["responsibility", "--config", EXAMPLE, "--lang", "zh"]) == 0
    told = capsys.readouterr().out
    assert "感烟火警" in told
    assert "每天 22:00-24:00" in told
    assert "1 分 → 页面声音" in told
    assert "mon" not in told


def test_without_a_list_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, MINIMAL)
    assert run(["responsibility", "--config", str(file), "--lang", "zh"]) == 0
    told = capsys.readouterr().out
    assert "无人" in told
    assert "配置中没有责任清单" in told


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [("群", 1, "无法连接 127.0.0.1"), ("page", 2, "无需测试"), ("nobody", 2, "没有名为 nobody 的联系人(已有:群)")],
)
def test_a_contact_that_cannot_be_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, status: int, said: str
) -> None:
    file = write(tmp_path, f"{MINIMAL}\ncontacts: {{群: {{webhook: 'http://127.0.0.1:{free_port()}/'}}}}\n")
    assert run(["notify", "test", name, "--config", str(file), "--lang", "zh"]) == status
    assert said in capsys.readouterr().err
