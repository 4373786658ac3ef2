"""What every operation under `/api/v1` has in common (contract, section 8)."""

from typing import Any

from fastapi import APIRouter

from gateway.web import inputs, models

_WHY = {
    400: "Something that was asked cannot be understood",
    401: "Nobody knows who asks",
    403: "Whoever asks may not do this; with the header X-Step-Up the password is needed once more",
    404: "There is nothing of this name",
    409: "It cannot be done as things stand; nothing was changed",
    415: "The body is not said to be JSON",
    503: "The disk does not answer; Retry-After says when to come again",
}


def refusals(*more: int) -> dict[int | str, dict[str, Any]]:
    """The answers that an operation has besides its own."""
    return {status: {"model": models.Error, "description": _WHY[status]} for status in (400, 401, 403, 503, *more)}


def router(tag: str) -> APIRouter:
    """Of one tag, which refuses what it does not know."""
    return APIRouter(prefix="/api/v1", tags=[tag], dependencies=inputs.CAREFUL, responses=refusals())
