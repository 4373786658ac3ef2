"""What is on its way to a broker, and what the broker says of it: taken, not now, never, or nothing and leaves."""

from gateway.dead import LEFT, NEVER, TOO_LARGE, told_loss
from gateway.mqtt import Session
from gateway.outbox import Entry
from gateway.parts import Parts

REFUSED = 0x80  # MQTT 5.0, 2.4: reason codes from here on are failures
Sent = Entry | tuple[str, str] | None  # an event, a document (topic and payload), an answer to a command


class Flight:
    """Of one connection."""

    def __init__(self, parts: Parts, session: Session) -> None:
        self._parts = parts
        self._session = session
        self._flying: dict[int, Sent] = {}  # in the order of sending
        self._proven = False  # the broker has taken something on this connection

    def __len__(self) -> int:
        return len(self._flying)

    @property
    def full(self) -> bool:
        """As many as the broker takes, or one while it is to be seen at which one it leaves."""
        window = 1 if self._parts.dead.suspicion.careful else self._session.opened.window
        return len(self._flying) >= window

    def sent(self, packet_id: int | None, what: Sent) -> None:
        """It is on its way; without a packet id it is too large for this broker, and is not."""
        if packet_id is not None:
            self._flying[packet_id] = what
        else:
            self._hear(what, TOO_LARGE)

    def acknowledged(self, packet_id: int, reason: int) -> None:
        """PUBACK."""
        what = self._flying.pop(packet_id, None)
        self._proven |= reason < REFUSED
        if what is not None and reason < REFUSED:
            self._parts.dead.suspicion.confirmed(what)
        self._hear(what, reason)

    def _hear(self, what: Sent, reason: int) -> None:
        if isinstance(what, Entry):
            self._event(what, reason)
        elif what is not None:
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
        flying = [what for what in self._flying.values() if what is not None]
        guilty = parts.dead.suspicion.left(self._session.closing, flying, self._proven)
        if isinstance(guilty, Entry) and not told_loss(guilty):
            parts.dead.add(guilty, self._session.closing or LEFT)
            await parts.dead.settled()
        elif isinstance(guilty, tuple):
            parts.retained.bar(*guilty)
            parts.log.error("the broker leaves when it gets %s/%s: it is not sent any more", parts.plan.base, guilty[0])


def _advice(reason: int, largest_bytes: int | None) -> str:
    if reason != TOO_LARGE:
        return "check this gateway's rights on the topic"
    return f"set the largest packet it takes higher than {largest_bytes or '?'} bytes"
