"""What a person filled into a form of the page, read with bounds; and the answer that a step gets."""

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qsl, quote

from fastapi import Depends, Request
from fastapi.responses import Response

from gateway.errors import GatewayError, Text
from gateway.feedback import one_line

MOST_BYTES = 16 * 1024
MOST_FIELDS = 50
TEXT_CHARS = 500
SAID = "X-Said"  # a sentence for whoever did the step, percent-encoded


class WrongForm(GatewayError):
    """Something in it is missing, or is not what it may be; nothing was done."""


async def filled(request: Request) -> Mapping[str, str]:
    """The fields of a form, each as one line of plain text. WrongForm."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            what = Text(f"a form has at most {MOST_BYTES} bytes", f"表单最多 {MOST_BYTES} 字节")
            raise WrongForm(request.url.path, what, Text("write less", "请缩短填写内容"))
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as error:
        what = Text("this is no form of the page", "提交内容不是本页表单")
        raise WrongForm(request.url.path, what, Text("load the page again", "请刷新页面后重试")) from error
    return {name: one_line(value) for name, value in pairs}


Form = Annotated[Mapping[str, str], Depends(filled)]


def text(form: Mapping[str, str], name: str, label: Text, *, needed: bool = True) -> str:
    """A field that people write into. WrongForm: it is empty and must not be, or is too long."""
    value = form.get(name, "")
    if needed and not value:
        what = Text(f"“{label.en}” is empty", f"“{label.zh}”未填写")
        raise WrongForm(label.en, what, Text("fill it in", "请填写后提交"))
    if len(value) > TEXT_CHARS:
        what = Text(f"“{label.en}” is too long", f"“{label.zh}”过长")
        raise WrongForm(label.en, what, Text(f"at most {TEXT_CHARS} characters", f"最多 {TEXT_CHARS} 个字"))
    return value


def number(form: Mapping[str, str], name: str, label: Text, least: int, most: int) -> int:
    """A whole number within its bounds. WrongForm."""
    value = form.get(name, "")
    if not (value.isascii() and value.isdigit() and len(value) < 10 and least <= int(value) <= most):
        what = Text(f"“{label.en}” is no number that is allowed", f"“{label.zh}”的数值不正确")
        raise WrongForm(label.en, what, Text(f"{least} to {most} are allowed", f"可填 {least} 至 {most}"))
    return int(value)


def said(sentence: str, to: str = "") -> Response:
    """It is done, and what is to be read of it; `to` is the view that then opens anew, its forms empty."""
    more = {"HX-Redirect": to} if to else {}
    return Response(status_code=204, headers={SAID: quote(sentence)} | more)
