"""Which step of an escalation is due when: a pure account of an alarm's own history, so that a restart changes nothing.

A step that was taken stands there as `escalate` with whom it went to, in the same commit as its event; `told` says that
a message has gone out, `untold` that it could not yet. All three count only since somebody was last there (`ack`,
`dispose`), and for tests apart from what was real. So every step is taken once, and a message owed is never forgotten.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from gateway.alarms import Alarm, Step
from gateway.charge import Call

TAKEN, TOLD, UNTOLD = "escalate", "told", "untold"
REAL, DRILL = "rule:escalation", "rule:drill"  # where a step comes from
_SEEN = ("ack", "dispose")
_BEGINS = ("raise", "pulse", "shelve", "action")  # the last two: what lay over it was lifted
FIRST_PAUSE_S, LONGEST_PAUSE_S = 30.0, 600.0  # between two messages of one kind to one contact


def waits(alarm: Alarm) -> bool:
    """Is it for a person to acknowledge?"""
    return not alarm.acknowledged


def source(alarm: Alarm) -> str:
    """Where its steps come from: a test's are others than a real one's."""
    return DRILL if alarm.test else REAL


def begun_ms(alarm: Alarm) -> int:
    """Since when a person is waited for, ms since 1970."""
    since = _since(alarm.history)
    return next(
        (step.time_ms for step in since if step.step in _BEGINS), alarm.first_ms if not since else alarm.last_ms
    )


def due(alarm: Alarm, calls: Sequence[Call], waited_s: float) -> Iterator[Call]:
    """The steps to be taken now."""
    return (call for call in left(alarm, calls) if call.after_s <= waited_s)


def left(alarm: Alarm, calls: Sequence[Call]) -> Iterator[Call]:
    """The steps that were not taken yet; none once somebody is there. Known again by whom they go to."""
    if not waits(alarm):
        return
    taken = Counter(step.note for step in _mine(alarm, TAKEN))
    for call in calls:
        if taken[call.to]:
            taken[call.to] -= 1
        else:
            yield call


def owed(alarm: Alarm) -> frozenset[str]:
    """Who is still to get a message: a step was taken, and nobody was told since."""
    if not waits(alarm):
        return frozenset()
    waiting: set[str] = set()
    for step in _mine(alarm, TAKEN, TOLD):
        (waiting.add if step.step == TAKEN else waiting.discard)(step.note)
    return frozenset(waiting)


def failed(alarm: Alarm, to: str) -> bool:
    """Was it said already that this one could not be told?"""
    return any(step.note == to for step in _mine(alarm, UNTOLD))


def _mine(alarm: Alarm, *words: str) -> Iterator[Step]:
    place = source(alarm)
    return (step for step in _since(alarm.history) if step.step in words and step.place == place)


def _since(history: Sequence[Step]) -> Sequence[Step]:
    """What happened after somebody was last there."""
    last = max((number for number, step in enumerate(history) if step.step in _SEEN), default=-1)
    return history[last + 1 :]


class Pace:
    """Messages of one kind to one contact: the first at once, then with growing pauses, in which others gather."""

    def __init__(self) -> None:
        self._sent_s = float("-inf")  # monotonic
        self._pause_s = 0.0

    def ready(self, now_s: float) -> bool:
        """Is the pause over?"""
        return now_s - self._sent_s >= self._pause_s

    def sent(self, now_s: float) -> None:
        """The next pause is twice the last one, or the shortest where it has been quiet."""
        quiet = now_s - self._sent_s > 2 * max(self._pause_s, FIRST_PAUSE_S)
        self._pause_s = FIRST_PAUSE_S if quiet else min(max(2 * self._pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)
        self._sent_s = now_s
