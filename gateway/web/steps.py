"""What a form of the page sent, and the answer to it: a sentence in a header, which the page shows (static/act.js)."""

from urllib.parse import parse_qsl, quote

from fastapi import Request
from fastapi.responses import Response

from gateway.errors import BadInput, Text

SAID = "X-Said"
FORM_BYTES = 16 * 1024
MOST_FIELDS = 32


async def form(request: Request) -> dict[str, str]:
    """Its fields, without spaces around what stands in them. BadInput."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > FORM_BYTES:
            raise _wrong(request, Text("the form is too long", "表单内容过长"))
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise _wrong(request, Text("the form cannot be read", "无法读取表单")) from error
    return {name: value.strip() for name, value in pairs}


def _wrong(request: Request, what: Text) -> BadInput:
    return BadInput(request.url.path, what, Text("fill it in again, more briefly", "请缩短内容后重新填写"))


def done(sentence: str, goto: str = "") -> Response:
    """It was done; then the browser goes to another address, where one is given."""
    headers = {SAID: quote(sentence)} | ({"HX-Redirect": goto} if goto else {})
    return Response(status_code=204, headers=headers)
