"""Messages are acknowledged in the order in which they came (MQTT 5.0, 4.6), however long each of them takes."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from gateway.packets import Message


@dataclass
class _Turn:
    """One message; `over`: nothing more is to be waited for."""

    acknowledge: Callable[[], object]
    over: bool = False


class Turns:
    """`message, leave = turns.enter(message)`: its `done()` holds until those before it are done, or have left."""

    def __init__(self) -> None:
        self._line: deque[_Turn] = deque()

    def enter(self, message: Message) -> tuple[Message, Callable[[], None]]:
        """The message to work with; `leave()`: it stays unacknowledged, and nobody waits for it."""
        turn = _Turn(message.done)
        self._line.append(turn)
        return replace(message, done=partial(self._over, turn)), partial(self._over, turn, lambda: None)

    def _over(self, turn: _Turn, acknowledge: Callable[[], object] | None = None) -> None:
        turn.acknowledge, turn.over = acknowledge or turn.acknowledge, True
        while self._line and self._line[0].over:
            self._line.popleft().acknowledge()
