"""The section `alarms:` of gateway.yaml: what alarms of a type do by themselves."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, field_validator

from gateway import taxonomy
from gateway.event import Severity
from gateway.fields import Duration, Model, Wrong
from gateway.sections import TypePattern

LONGEST_OFF_DELAY_S = 600.0


class AlarmsConfig(Model):
    """What alarms do by themselves."""

    off_delay: dict[TypePattern, Annotated[Duration, Field(gt=0, le=LONGEST_OFF_DELAY_S)]] = Field(
        default={}, description="by type: back so soon after its end it is the same alarm, not a new one"
    )

    @field_validator("off_delay")
    @classmethod
    def _never_of_a_fire(cls, delays: Mapping[str, float]) -> Mapping[str, float]:
        for pattern in delays:
            critical = [kind for kind in _matching(pattern) if taxonomy.TYPES[kind].severity is Severity.CRITICAL]
            if critical:
                raise Wrong(
                    f"{pattern} takes in {critical[0]}: a critical alarm that comes back is always a new one",
                    f"{pattern} 包含 {critical[0]}:紧急报警再次出现时总是新的报警",
                )
        return delays

    def off_delays_ms(self) -> dict[str, int]:
        """By type, ms; where several patterns take a type in, the longest one counts."""
        found: dict[str, int] = {}
        for pattern in sorted(self.off_delay, key=len):
            found |= dict.fromkeys(_matching(pattern), round(self.off_delay[pattern] * 1000))
        return found


def _matching(pattern: str) -> list[str]:
    return [kind for kind in taxonomy.TYPES if taxonomy.matches(pattern, kind)]
