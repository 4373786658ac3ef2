"""What every question of the control socket has."""

from pydantic import BaseModel, ConfigDict


class Question(BaseModel):
    """A question that needs nothing else is only this."""

    model_config = ConfigDict(strict=True, frozen=True)
    ask: str
