"""What a person filled into a form of the page: bounded, read field by field; and the answer that a step gets."""

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qsl, quote

from fastapi import Depends, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import Receive

from gateway.errors import GatewayError, Text
from gateway.feedback import one_line

FORM_BYTES = 64 * 1024
FORM_FIELDS = 200
TEXT_CHARS = 500
URLENCODED = "application/x-www-form-urlencoded"


class WrongForm(GatewayError):
    """Something in it is missing, or is not what it may be; nothing was done."""


def parsed(content: bytes) -> dict[str, str]:
    """Each field's last value; what is no form has none. HTTPException 400."""
    try:
        pairs = parse_qsl(content.decode(), keep_blank_values=True, max_num_fields=FORM_FIELDS)
    except ValueError as error:
        raise HTTPException(400) from error
    return dict(pairs)


async def body(receive: Receive) -> bytes:
    """All of it. HTTPException 413."""
    parts, more, size_bytes = [], True, 0
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        size_bytes += len(parts[-1])
        if size_bytes > FORM_BYTES:
            raise HTTPException(413)
        more = message.get("more_body", False) and message["type"] == "http.request"
    return b"".join(parts)


async def fields(request: Request) -> dict[str, str]:
    """Of a form that was posted, to the letter: a password may begin with a space. HTTPException 400, 413."""
    return parsed(await body(request.receive))


Form = Annotated[Mapping[str, str], Depends(fields)]


def text(form: Mapping[str, str], name: str, label: Text, *, needed: bool = True) -> str:
    """A field that people write into, on one line. WrongForm: it is empty and must not be, or is too long."""
    value = one_line(form.get(name, ""))
    if needed and not value:
        what = Text(f"“{label.en}” is empty", f"“{label.zh}”未填写")
        raise WrongForm(label.en, what, Text("fill it in", "请填写后提交"))
    if len(value) > TEXT_CHARS:
        what = Text(f"“{label.en}” is too long", f"“{label.zh}”过长")
        raise WrongForm(label.en, what, Text(f"at most {TEXT_CHARS} characters", f"最多 {TEXT_CHARS} 个字"))
    return value


def number(form: Mapping[str, str], name: str, label: Text, least: int, most: int) -> int:
    """A whole number within its bounds. WrongForm."""
    value = form.get(name, "").strip()
    if not (value.isascii() and value.isdigit() and len(value) < 10 and least <= int(value) <= most):
        what = Text(f"“{label.en}” is no number that is allowed", f"“{label.zh}”的数值不正确")
        raise WrongForm(label.en, what, Text(f"{least} to {most} are allowed", f"可填 {least} 至 {most}"))
    return int(value)


def done(said: str, to: str = "") -> Response:
    """A step was carried out: the sentence that act.js shows; `to` is the view that then opens, its forms empty."""
    return Response(status_code=204, headers={"X-Said": quote(said)} | ({"HX-Redirect": to} if to else {}))
