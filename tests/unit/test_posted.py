"""Forms of the page: what is bounded, what is read of a field, what is told of a wrong one."""

from urllib.parse import unquote, urlencode

import pytest
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from gateway.errors import Text
from gateway.web.posted import FORM_BYTES, FORM_FIELDS, WrongForm, body, done, number, parsed, text

LABEL = Text("hours", "小时")


def arriving(*pieces: bytes) -> Receive:
    unread = list(pieces)

    async def receive() -> Message:
        return {"type": "http.request", "body": unread.pop(0), "more_body": bool(unread)}

    return receive


async def test_a_body_in_pieces_is_one() -> None:
    assert await body(arriving(b"a=1", b"", b"&b=2")) == b"a=1&b=2"
    assert len(await body(arriving(b"x" * FORM_BYTES))) == FORM_BYTES


async def test_a_body_that_never_ends_is_refused_at_the_bound() -> None:
    receive = arriving(*[b"x" * 1024] * 1000)
    with pytest.raises(HTTPException) as refused:
        await body(receive)
    assert refused.value.status_code == 413
    assert len((await receive())["body"]) == 1024  # what comes behind the bound is not read


def test_a_form_keeps_what_was_written_to_the_letter() -> None:
    written = {"password": " 口令 & = + ", "empty": "", "two": "a\nb"}
    assert parsed(urlencode(written).encode()) == written
    assert parsed(b"a=1&a=2") == {"a": "2"}
    assert parsed(b"") == {}


@pytest.mark.parametrize("content", [b"\xff\xfe", b"&".join([b"a=b"] * (FORM_FIELDS + 1))])
def test_what_is_no_form_is_refused(content: bytes) -> None:
    with pytest.raises(HTTPException) as refused:
        parsed(content)
    assert refused.value.status_code == 400


@pytest.mark.parametrize(
    ("form", "read"),
    [
        ({"reason": "  施工\r\n扬尘 "}, "施工 扬尘"),
        ({"reason": "a\x1b[2Jb"}, "a[2Jb"),
        ({"reason": "字" * 500}, "字" * 500),
    ],
)
def test_a_text_is_one_plain_line(form: dict[str, str], read: str) -> None:
    assert text(form, "reason", LABEL) == read


@pytest.mark.parametrize(
    ("form", "zh"),
    [({}, "“小时”未填写"), ({"reason": " \n "}, "“小时”未填写"), ({"reason": "字" * 501}, "“小时”过长")],
)
def test_a_wrong_text_is_told_by_its_label(form: dict[str, str], zh: str) -> None:
    with pytest.raises(WrongForm) as wrong:
        text(form, "reason", LABEL)
    assert wrong.value.what.zh == zh
    assert wrong.value.do is not None


def test_a_text_that_may_be_empty_is() -> None:
    assert text({}, "reason", LABEL, needed=False) == ""


@pytest.mark.parametrize(("written", "read"), [("1", 1), ("8784", 8784), (" 24 ", 24), ("007", 7)])
def test_a_number_within_its_bounds_is_read(written: str, read: int) -> None:
    assert number({"hours": written}, "hours", LABEL, 1, 8784) == read


@pytest.mark.parametrize("written", ["", "0", "8785", "-1", "1.5", "1e3", "２４", "NaN", "9" * 5000])
def test_what_is_no_number_within_the_bounds_is_told(written: str) -> None:
    with pytest.raises(WrongForm) as wrong:
        number({"hours": written}, "hours", LABEL, 1, 8784)
    assert (wrong.value.what.zh, wrong.value.do) == (
        "“小时”的数值不正确",
        Text("1 to 8784 are allowed", "可填 1 至 8784"),
    )


def test_a_step_is_answered_by_a_sentence_and_a_view() -> None:
    stays, goes = done("已屏蔽 8 小时\n"), done("已屏蔽", "/alarms/x")
    assert (stays.status_code, unquote(stays.headers["X-Said"]), "HX-Redirect" in stays.headers) == (
        204, "已屏蔽 8 小时\n", False
    )  # fmt: skip
    assert goes.headers["HX-Redirect"] == "/alarms/x"
