"""`/ingest/{device}`: where a device or camera posts its events, with its own token; 200 when they are on disk."""

import asyncio
import base64

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

from gateway.driver import Posted
from gateway.errors import StorageError, Text
from gateway.house import House
from gateway.web import words
from gateway.web.guard import error

MAX_BODY_BYTES = 256 * 1024
BODY_TIMEOUT_S = 10.0
RETRY_AFTER_S = 5
_DRAIN_BYTES = 4 * 1024 * 1024  # read on and thrown away, so that a sender gets to read its 413
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="ingest", charset="UTF-8"'}


def add(app: FastAPI, house: House) -> None:
    """The route."""

    @app.post("/ingest/{device}", summary="A device posts its events; 200 when they are on disk")
    async def ingest(device: str, request: Request) -> Response:
        return await _ingest(house, device, request)


async def _ingest(house: House, device: str, request: Request) -> Response:
    where = f"/ingest/{device[:64]}"
    token, in_url = _token(request)
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            body = await _body(request)
    except TimeoutError:
        return error(408, where, words.refusal(408), headers={"Connection": "close"})
    except ClientDisconnect:
        return error(400, where, words.refusal(400))
    if body is None:
        return error(
            413, where, words.refusal(413), Text(f"at most {MAX_BODY_BYTES} bytes", f"最多 {MAX_BODY_BYTES} 字节")
        )
    posted = Posted(body, request.headers.get("content-type", ""), in_url)
    try:
        answer = await house.ingest(device, token, posted)
    except StorageError as exc:
        return error(503, exc.where, exc.what, exc.do, headers={"Retry-After": str(RETRY_AFTER_S)})
    headers = _CHALLENGE if answer.status == 401 else None
    if answer.status in (401, 404) and not answer.body:
        return error(answer.status, where, words.refusal(answer.status), headers=headers)
    return JSONResponse(dict(answer.body), answer.status, headers)


async def _body(request: Request) -> bytes | None:
    """The whole body, or None where it is too large."""
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            body += chunk
        elif size > _DRAIN_BYTES:
            break
    return bytes(body) if size <= MAX_BODY_BYTES else None


def _token(request: Request) -> tuple[str, bool]:
    """(the token, whether it came in the address): bearer (RFC 6750), X-Token, basic's password (RFC 7617), ?token=."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip(), False
    if scheme.lower() == "basic":
        try:
            login = base64.b64decode(credentials.strip(), validate=True).decode()
        except ValueError:  # no base 64, or no text in it
            return "", False
        return login.partition(":")[2], False
    if "x-token" in request.headers:
        return request.headers["x-token"], False
    return request.query_params.get("token", ""), "token" in request.query_params
