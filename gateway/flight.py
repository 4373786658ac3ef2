"""What is on its way to a broker, and what the broker says of it: taken, not now, never, or nothing and leaves.

A flight outlives its connection. Where the broker's session goes on, what it has not acknowledged is sent again with
its packet id and DUP (MQTT 5.0, 4.4); where it does not, sending begins at the cursor. After a restart of this program
the ids are gone: the outbox sends what is owed with new ones (docs/decisions/0010).
"""

from collections import deque

from gateway.commands import Reply
from gateway.dead import LEFT, NEVER, NOT_AUTHORIZED, TOO_LARGE, category, told_loss
from gateway.mqtt import Session
from gateway.outbox import Entry
from gateway.parts import Parts

REFUSED = 0x80  # MQTT 5.0, 2.4: reason codes from here on are failures
Sent = Entry | tuple[str, str] | Reply  # an event, a document (topic and payload), an answer to a command


class Flight:
    """Of one uplink: `begin` with each connection."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._flying: dict[int, Sent] = {}  # by packet id, in the order of sending
        self._due: deque[int] = deque()  # of these, what this connection has not sent again yet
        self._proven = False  # the broker has taken something on this connection
        self._moved_s = 0.0  # when it last answered, or when something was sent with nothing else on its way
        self.last_id = 0  # the newest packet id

    def begin(self, session: Session) -> None:
        """A connection is up. Where the broker leaves at the same letter again and again, it is not sent again so."""
        self._session = session
        self._proven = False
        if session.opened.session_present and self._flying and not self._parts.dead.suspicion.hardened:
            self._due = deque(self._flying)
            self._parts.outbox.connected(goes_on=True)
        else:
            self.drop()
            self._parts.outbox.connected(goes_on=False)

    def drop(self) -> None:
        """Forget it all: the next connection begins at the cursor, whatever the broker knows."""
        self._flying.clear()
        self._due.clear()

    def __len__(self) -> int:
        """How many this connection has sent, and the broker has not answered."""
        return len(self._flying) - len(self._due)

    @property
    def full(self) -> bool:
        """As many as the broker takes, or one while it is to be seen at which one it leaves."""
        window = 1 if self._parts.dead.suspicion.careful else self._session.opened.window
        return len(self) >= window

    @property
    def silent_s(self) -> float:
        """For how long the broker has answered nothing of what is on its way."""
        return self._parts.clock.monotonic() - self._moved_s if len(self) else 0.0

    def sent(self, packet_id: int | None, what: Sent, again: int | None = None) -> None:
        """It is on its way; without a packet id it is too large for this broker, and is not."""
        if not len(self):
            self._moved_s = self._parts.clock.monotonic()
        if again is not None:
            self._due.popleft()
        if packet_id is None:
            self._flying.pop(again or 0, None)
            self._hear(what, TOO_LARGE)
            return
        self._flying[packet_id] = what
        if again is None:
            self.last_id = packet_id

    def again(self) -> tuple[int, Sent] | None:
        """What this connection is to send once more next, and its packet id."""
        return (self._due[0], self._flying[self._due[0]]) if self._due else None

    def holds(self, topic: str) -> bool:
        """Is an older document of this topic among what is to be sent once more?"""
        found = (self._flying[packet_id] for packet_id in self._due)
        return any(isinstance(what, tuple) and what[0] == topic for what in found)

    def acknowledged(self, packet_id: int, reason: int) -> None:
        """PUBACK."""
        self._moved_s = self._parts.clock.monotonic()
        what = self._flying.pop(packet_id, None)
        if packet_id in self._due:  # it answers what came on the connection before
            self._due.remove(packet_id)
        self._proven |= reason < REFUSED
        if what is None:
            return
        if reason < REFUSED and not isinstance(what, Reply):
            self._parts.dead.suspicion.confirmed(what)
        self._hear(what, reason)

    def _hear(self, what: Sent, reason: int) -> None:
        if isinstance(what, Entry):
            self._event(what, reason)
        elif isinstance(what, tuple):
            self._document(what, reason)

    def _event(self, entry: Entry, reason: int) -> None:
        parts = self._parts
        if reason < REFUSED:
            parts.outbox.confirmed(entry)
            if entry.again:
                parts.dead.arrived(entry)
        elif reason in NEVER and not told_loss(entry):
            parts.dead.add(entry, reason)
        elif parts.outbox.refused(entry, parts.clock.monotonic()):
            parts.log.error(
                "the broker refuses events of the %s lane (reason 0x%02X); kept and tried again slowly; %s",
                entry.lane.value,
                reason,
                _advice(reason, self._session.opened.largest_bytes),
            )

    def _document(self, document: tuple[str, str], reason: int) -> None:
        parts, (topic, _) = self._parts, document
        if reason < REFUSED:
            parts.retained.confirmed(*document)
        elif parts.retained.refused(topic):
            parts.log.error(
                "the broker refuses %s/%s (reason 0x%02X); %s",
                parts.plan.base,
                topic,
                reason,
                _advice(reason, self._session.opened.largest_bytes),
            )

    async def blame(self) -> None:
        """The link is lost: where one letter does it each time, that one is set aside, or not sent any more."""
        parts = self._parts
        flying = {packet_id: what for packet_id, what in self._flying.items() if packet_id not in self._due}
        letters = [what for what in flying.values() if not isinstance(what, Reply)]
        verdict = parts.dead.suspicion.left(self._session.closing, letters, self._proven)
        if verdict is None:
            return
        self.drop()
        guilty, own_fault = verdict
        if isinstance(guilty, tuple):
            parts.retained.bar(*guilty)
            parts.log.error("the broker leaves when it gets %s/%s: it is not sent any more", parts.plan.base, guilty[0])
        elif own_fault:
            parts.dead.add(guilty, self._session.closing or LEFT)
            await parts.dead.settled()
        elif parts.outbox.queues[guilty.lane].shut(guilty.lane, parts.clock.monotonic()):
            parts.log.error(
                "the broker leaves when it gets %s/event/%s, and has taken nothing of it yet: the %s lane is kept, and "
                "tried again slowly; %s",
                parts.plan.base,
                category(guilty.row.body),
                guilty.lane.value,
                _advice(NOT_AUTHORIZED, None),
            )


def _advice(reason: int, largest_bytes: int | None) -> str:
    if reason != TOO_LARGE:
        return "check this gateway's rights on the topic"
    return f"set the largest packet it takes higher than {largest_bytes or '?'} bytes"
