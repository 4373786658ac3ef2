"""What is said to whoever shall come: three sentences, Chinese first, and nothing of a person."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.alarms import Alarm, Told, cleared, raised
from gateway.charge import Charge
from gateway.event import Severity
from gateway.plea import Voice
from gateway.site import Site
from tests.houses import config

CHARGE = Charge("fire.*", "消控室", ("物业经理", "保安"), (), None)
MINUTE_MS = 60_000


@pytest.fixture
def voice(tmp_path: Path) -> Voice:
    return Voice(Site(config(tmp_path, {f"smoke-{n}": "smoke" for n in range(5)})), "zh-CN", "http://gateway.local/")


def alarm(number: int = 0, *, test: bool = False, device: str = "smoke") -> Alarm:
    """A fire."""
    key = (f"{device}-{number}", "fire.smoke", "")
    return raised(None, Told(key, f"id-{number}", Severity.CRITICAL, True, number * MINUTE_MS, test))[1]


def test_what_where_since_when_who_leads_and_what_is_asked(voice: Voice) -> None:
    message = voice.plea([alarm(1)], CHARGE, 4 * MINUTE_MS)
    assert message.title == "【报警】感烟火警 大门"
    since, leads, asked = message.lines
    assert since.startswith("smoke-1:1月1日 ")
    assert since.endswith("起,已 3 分钟无人确认。")
    assert leads == "牵头:消控室;配合:物业经理、保安。"
    assert asked == "请立即到现场核实,并确认报警。http://gateway.local/"
    assert message.text.splitlines() == [message.title, *message.lines]


def test_many_are_one_message_with_their_count(voice: Voice) -> None:
    message = voice.plea([alarm(n) for n in range(5)], None, 9 * MINUTE_MS)
    assert message.title == "【报警】感烟火警 ×5 大门"
    assert message.lines[0].startswith("smoke-0、smoke-1、smoke-2等:")
    assert "已 9 分钟" in message.lines[0]
    assert (message.facts["count"], len(message.facts["alarms"])) == (5, 5)


def test_a_drill_says_so_first_and_asks_for_nothing(voice: Voice) -> None:
    message = voice.plea([alarm(test=True)], CHARGE, MINUTE_MS)
    assert message.title.startswith("【演练】")
    assert message.lines[-1] == "此为演练,并非真实报警。"
    assert "核实" not in message.text


def test_what_is_over_but_unseen_says_so(voice: Voice) -> None:
    assert voice.plea([cleared(alarm())], None, 0).lines[0].endswith("(现已恢复)。")


def test_english_and_what_is_configured_no_more(voice: Voice) -> None:
    message = replace(voice, language="en", link="").plea([alarm(7, device="gone")], CHARGE, 0)
    assert message.title == "[ALARM] Smoke alarm, 阳光花园"
    assert message.lines[-1] == "Go and see, then acknowledge it."
    assert "nobody has acknowledged it yet" in message.lines[0]  # also by a clock that was set back
    assert "尚无人确认" in replace(voice, language="zh-CN").plea([alarm()], CHARGE, 59_000).lines[0]
