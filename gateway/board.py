"""What one session keeps on the broker, and when each document goes out: birth, dossier, states, alarms, health."""

from typing import Any

from gateway.parts import Document, Plan
from gateway.posters import Posters
from gateway.retained import Retained

HEALTH_S = 60.0  # contract, section 2
VALUES_S = 10.0  # state documents in which only values changed go out this often


class Board:
    """Puts documents into `retained`; times are of the monotonic clock."""

    def __init__(self, plan: Plan, retained: Retained, posters: Posters, now_s: float) -> None:
        self._plan = plan
        self._retained = retained
        self._posters = posters
        self._values_s = self._health_s = now_s
        self._shown: dict[str, tuple[Any, ...]] = {}
        self._lazy: set[str] = set()
        self._more: dict[str, Document] = {}

    async def announce(self, number: int) -> None:
        """After connecting: birth first; then the rest, what changed before what did not (see Retained)."""
        self._retained.announce("status", self._plan.status("online", number))
        self._retained.announce("dossier", await self._plan.dossier())
        for topic, made in self._plan.documents.items():
            self._more[topic] = made()
            self._retained.announce(topic, self._more[topic])
        for device in self._plan.devices:
            document = self._plan.state(device)
            self._shown[device] = _word(document)
            self._retained.announce(f"state/{device}", document)
        self._posters.announce()
        self._retained.update("health", self._plan.health())

    def state_changed(self, device: str) -> bool:
        """A device's document may have changed: a new word goes out at once (True), mere values in a while."""
        if device not in self._shown:
            return False
        document = self._plan.state(device)
        if _word(document) == self._shown[device]:
            self._lazy.add(device)
            return False
        self._shown[device] = _word(document)
        self._retained.update(f"state/{device}", document)
        return True

    def tick(self, now_s: float) -> None:
        """What is due by time."""
        self._posters.tick()
        for topic, made in self._plan.documents.items():
            document = made()
            if document != self._more[topic]:
                self._more[topic] = document
                self._retained.update(topic, document)
        if now_s - self._values_s >= VALUES_S:
            self._values_s = now_s
            for device in self._lazy:
                self._retained.update(f"state/{device}", self._plan.state(device))
            self._lazy.clear()
        if now_s - self._health_s >= HEALTH_S:
            self._health_s = now_s
            self._retained.update("health", self._plan.health())


def _word(document: Document) -> tuple[Any, ...]:
    return document["state"], document["online"], *document["alarms"]
