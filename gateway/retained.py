"""The documents an uplink keeps on the broker: status, health, dossier, states. Newest wins; they are never stored."""

import json
from collections.abc import Callable, Mapping
from typing import Any

_RESTLESS = ("last_seen", "time")  # alone, they are no change worth an urgent message


def encode(document: Mapping[str, Any] | None) -> str:
    """The payload of a document; None: an empty one, which takes it off the broker (MQTT 5.0, 3.3.1.3)."""
    return "" if document is None else json.dumps(document, ensure_ascii=False, separators=(",", ":"))


class Retained:
    """What is to be sent, by topic: `urgent` goes before alarms (after connecting), the rest after them."""

    def __init__(self) -> None:
        self.urgent: dict[str, str] = {}
        self.rest: dict[str, str] = {}
        self.on_gone: Callable[[str], None] = lambda _: None  # the broker keeps nothing of this topic any more
        self._confirmed: dict[str, Any] = {}
        self._refused: set[str] = set()
        self._barred: dict[str, int] = {}  # documents that make the broker leave, and how long they were

    def announce(self, topic: str, document: Mapping[str, Any]) -> None:
        """After connecting: what changed since the broker confirmed it goes first, the rest follows the alarms."""
        changed = self._confirmed.get(topic) != _essence(document)
        (self.urgent if changed else self.rest)[topic] = encode(document)

    def update(self, topic: str, document: Mapping[str, Any] | None) -> None:
        """While connected: replaces what waits for the same topic; None takes it off the broker."""
        self.urgent.pop(topic, None)
        self.rest[topic] = encode(document)

    def take(self, queue: dict[str, str]) -> tuple[str, str] | None:
        """The next (topic, payload) of `urgent` or `rest`, oldest first."""
        while queue:
            topic = next(iter(queue))
            payload = queue.pop(topic)
            if topic not in self._barred or len(payload) < self._barred[topic]:
                return topic, payload
        return None

    def confirmed(self, topic: str, payload: str) -> None:
        """The broker has it."""
        if not payload:
            self._confirmed.pop(topic, None)
            self._barred.pop(topic, None)
            self._refused.discard(topic)
            self.on_gone(topic)
            return
        self._confirmed[topic] = _essence(json.loads(payload))

    def bar(self, topic: str, payload: str) -> None:
        """The broker leaves when it gets this: it is not sent any more unless it becomes shorter."""
        self._barred[topic] = len(payload)

    def refused(self, topic: str) -> bool:
        """The broker takes it not; it is tried again when it changes. True when that is news."""
        news = topic not in self._refused
        self._refused.add(topic)
        return news

    def clear(self) -> None:
        """The link is lost: connecting will announce everything anew."""
        self.urgent.clear()
        self.rest.clear()


def _essence(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in _RESTLESS}
