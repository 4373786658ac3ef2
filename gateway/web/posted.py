"""Forms as a browser posts them (application/x-www-form-urlencoded), of a bounded size."""

from urllib.parse import parse_qsl, quote

from fastapi import Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import Receive

FORM_BYTES = 16 * 1024
FORM_FIELDS = 200
URLENCODED = "application/x-www-form-urlencoded"


def parsed(body: bytes) -> dict[str, str]:
    """Each field's last value; what is no form has none. HTTPException 400."""
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=FORM_FIELDS)
    except ValueError as error:
        raise HTTPException(400) from error
    return dict(pairs)


async def fields(request: Request) -> dict[str, str]:
    """Of a form that was posted. HTTPException 400, 413."""
    return parsed(await body(request.receive))


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


def done(said: str, to: str = "") -> Response:
    """A step from the page was carried out: the sentence that act.js shows, and where the page goes on."""
    return Response(status_code=204, headers={"X-Said": quote(said)} | ({"HX-Redirect": to} if to else {}))
