"""`config/desired` and `config/reported` as documents (contract, section 2), with an example of each."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from gateway.documents import Document, Time
from gateway.revisions import CONFIRM_BOUNDS_S, CONFIRM_S, Word

_LEAST_S, _MOST_S = CONFIRM_BOUNDS_S


class Desired(BaseModel):
    """A configuration that the platform wants to run, retained. Unknown fields are ignored."""

    model_config = ConfigDict(strict=True, frozen=True)
    revision: Annotated[
        str, Field(min_length=1, max_length=128, description="the platform's name for it; the same again does nothing")
    ]
    config: Annotated[str, Field(description="the whole of gateway.yaml; its secrets by !file, from the box's folder")]
    confirm_within_s: Annotated[
        float,
        Field(
            ge=_LEAST_S,
            le=_MOST_S,
            allow_inf_nan=False,
            description="so long it may take until this uplink is back and the drivers run; else it is rolled back",
        ),
    ] = CONFIRM_S


class Fault(Document):
    """One thing wrong with it. Without a place: why it was rolled back."""

    what: Annotated[dict[str, str], Field(description="in English (`en`) and Chinese (`zh`)")]
    file: Annotated[str | None, Field(description="in the configuration's folder")] = None
    line: int | None = None
    column: int | None = None
    key: str | None = None


class Reported(Document):
    """What became of what this uplink pushed last, retained; without a push that counts, what runs."""

    revision: str
    state: Word
    errors: tuple[Fault, ...]
    time: Time
    running: Annotated[str | None, Field(description="the revision that is kept; the box's own are `local-NUMBER`")] = (
        None
    )


def desired() -> dict[str, Any]:
    """A small one."""
    text = (
        'gateway: {id: gw-0001}\nsite: {name: 阳光花园, area: {district: "310104", street: "013", community: "002"}}\n'
    )
    return {"revision": "2026-11-23-1", "config": text, "confirm_within_s": CONFIRM_S}


def reported() -> dict[str, Any]:
    """One that did not prove itself."""
    why = {
        "en": "the uplink district did not come back within 120 s",
        "zh": "上行链路 district 未能在 120 秒内恢复连接",
    }
    errors = [{"what": why}]
    told = {"revision": "2026-11-23-1", "state": "rolled-back", "errors": errors, "time": "2026-11-23T10:06:19.123Z"}
    return told | {"running": "local-1"}
