"""Lines of the log, as a person and as a program read them."""

import json
import logging
from collections.abc import Iterator

import pytest

from gateway.logs import NOISY, configure


@pytest.fixture(autouse=True)
def own_root() -> Iterator[None]:
    """The root logger as it was, afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []  # pytest's stay as they are: configure() closes what it replaces
    yield
    root.handlers, root.level = handlers, level
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.NOTSET)


def say(form: str, capsys: pytest.CaptureFixture[str], level: str = "info") -> str:
    """What stands on standard error after a bit of everything."""
    configure(form, level)  # type: ignore[arg-type]  # one of its two words
    log = logging.getLogger("gateway.driver.modbus")
    logging.LoggerAdapter(log, {"line": "rs485-1"}).warning("%s answers again", "烟感")
    log.info("running")
    log.debug("never shown")
    try:
        raise ZeroDivisionError("a bug")
    except ZeroDivisionError:
        log.exception("failed")
    logging.getLogger("paho.client").warning("theirs")
    return capsys.readouterr().err


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    lines = say("text", capsys).splitlines()
    assert lines[0].endswith(" WARNING gateway.driver.modbus[rs485-1]: 烟感 answers again")
    assert lines[1].endswith(" INFO gateway.driver.modbus: running")
    assert lines[2].endswith(" ERROR gateway.driver.modbus: failed")
    assert lines[3] == "Traceback (most recent call last):"
    assert lines[-1] == "ZeroDivisionError: a bug"


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third = (json.loads(line) for line in say("json", capsys).splitlines())
    assert first.pop("time").endswith("Z")
    assert first == {
        "level": "warning", "logger": "gateway.driver.modbus", "message": "烟感 answers again", "line": "rs485-1",
    }  # fmt: skip
    assert "line" not in second
    assert third["trace"].endswith("ZeroDivisionError: a bug")


def test_the_level_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert "running" not in say("text", capsys, "warning")


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_device_cannot_write_a_line_of_its_own(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure(form, "info")  # type: ignore[arg-type]  # one of its two words
    logging.getLogger("gateway").info("it says %s", "hello\n2026-11-23T10:06:19.123Z ERROR gateway: lies\x1b[2J")
    written = capsys.readouterr().err
    assert len(written.splitlines()) == 1
    assert "hello" in written
    assert "\x1b" not in written
