"""The command line in a process of its own, as the page asks it."""

import platform

import pytest

from gateway.errors import StateError
from gateway.web.child import asked


async def test_what_it_answers_is_read() -> None:
    told = await asked("version", language="en", patience_s=30.0)
    assert told["python"] == platform.python_version()


@pytest.mark.parametrize(("language", "why"), [("en", "gateway check --help"), ("zh", "多余的参数:x.yaml")])
async def test_what_it_complains_of_is_told_in_the_visitor_s_language(language: str, why: str) -> None:
    with pytest.raises(StateError) as wrong:
        await asked("check", "x.yaml", language=language, patience_s=30.0)
    assert why in wrong.value.what.say(language)


async def test_one_that_takes_too_long_is_ended_and_told() -> None:
    with pytest.raises(StateError) as wrong:
        await asked("version", language="zh", patience_s=0.01)
    assert (wrong.value.where, wrong.value.what.zh) == ("version", "耗时超过 0.01 秒")
    assert wrong.value.do is not None
