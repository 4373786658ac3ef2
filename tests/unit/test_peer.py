"""Why a link is down, in words of either language: no number and no word of the system stands in a Chinese sentence."""

import errno
import re
import ssl

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from gateway.errors import LinkRefused
from gateway.peer import Target, link_error, no_commands, refusal

TARGET = Target("broker.example", 1883, "gw-0001-district", subscribe=("sc/v1/x/command/#",))
LATIN = re.compile(r"[A-Za-z]{3,}")


@pytest.mark.parametrize(
    ("number", "zh"),
    [
        (errno.ECONNREFUSED, "无法连接:该端口没有服务"),
        (errno.EHOSTUNREACH, "无法连接:对方主机不可达"),
        (errno.ENETUNREACH, "无法连接:网络不可达"),
    ],
)
def test_no_connection(number: int, zh: str) -> None:
    error = link_error(TARGET, OSError(number, "Some words"))
    assert error.what.zh == zh
    assert "Some words" not in error.what.en


def test_what_has_no_words_is_told_as_it_is() -> None:
    assert "odd thing" in link_error(TARGET, OSError("odd thing")).what.zh


@pytest.mark.parametrize(("code", "zh"), [(10, "已过期"), (19, "签发机构不受本机信任"), (62, "与主机名不符")])
def test_a_certificate_that_is_not_accepted(code: int, zh: str) -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "words of the library"
    told = link_error(TARGET, error)
    assert isinstance(told, LinkRefused)
    assert told.what.zh == f"不接受服务器证书:{zh}"


@pytest.mark.parametrize("value", [0x86, 0x87, 0x88, 0x8A])
def test_what_the_platform_answers(value: int) -> None:
    told = refusal(TARGET, ReasonCode(PacketTypes.CONNACK, identifier=value))
    assert not LATIN.search(told.what.zh)
    assert told.what.en.startswith("the broker refuses: ")


def test_no_commands_come_through() -> None:
    told = no_commands(TARGET, "Not authorized")
    assert not LATIN.search(told.what.zh)
    assert told.do is not None
    assert "sc/v1/x/command/#" in told.do.zh
