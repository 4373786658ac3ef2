"""Numbers of a stream that will never come, and how an uplink is told (contract, section 3: `gateway.data_lost`)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.event import Json, Phase, Reading
from gateway.privacy import DATA_LOST


@dataclass(frozen=True, order=True)
class Loss:
    """From `first` to `last`, both included; `reason` is one of the contract's."""

    stream: str
    reason: str
    first: int
    last: int

    def reading(self, gateway: str) -> Reading:
        """As it is told."""
        data: dict[str, Json] = {
            "stream": self.stream,
            "first": f"{self.first:016d}",
            "last": f"{self.last:016d}",
            "count": self.last - self.first + 1,
        }
        return Reading(gateway, DATA_LOST, Phase.PULSE, reason=self.reason, data=data)


def joined(losses: Sequence[Loss]) -> list[Loss]:
    """The same numbers in fewer ranges, by stream and reason."""
    whole: list[Loss] = []
    for loss in sorted(losses):
        before = whole[-1] if whole else None
        if before and (before.stream, before.reason) == (loss.stream, loss.reason) and loss.first <= before.last + 1:
            whole[-1] = replace(before, last=max(before.last, loss.last))
        else:
            whole.append(loss)
    return whole
