"""Who is accused of making a broker leave, and who is not: on sequences of lost links."""

from gateway.database import Row
from gateway.dead import CAREFUL_MESSAGES, LEAVES, LEFT, Letter, Suspicion
from gateway.event import Lane
from gateway.outbox import Entry

TAKEN_OVER = 0x8E  # MQTT 5.0, 3.14.2.1


def event(seq: int) -> Entry:
    return Entry(Lane.EVENT, Row(seq, 0, {"district": seq}, "{}", None), seq)


def leaves(
    suspicion: Suspicion, count: int, *flying: Letter, reason: int | None = LEFT, proven: bool = True
) -> list[Letter | None]:
    return [suspicion.left(reason, flying, proven) for _ in range(count)]


def test_alone_in_flight_so_many_times_in_a_row() -> None:
    suspicion, letter = Suspicion(), event(1)
    assert leaves(suspicion, 1, letter, event(2)) == [None]
    assert suspicion.careful
    assert leaves(suspicion, LEAVES, letter) == [None] * (LEAVES - 1) + [letter]
    assert not suspicion.careful


def test_a_document_too() -> None:
    suspicion, letter = Suspicion(), ("dossier", "{}")
    assert leaves(suspicion, LEAVES + 1, letter)[-1] == letter


def test_one_that_arrives_is_innocent() -> None:
    suspicion = Suspicion()
    leaves(suspicion, LEAVES, event(1))
    suspicion.confirmed(event(1))
    assert not suspicion.careful
    assert leaves(suspicion, LEAVES, event(1)) == [None] * LEAVES


def test_nobody_is_accused_who_was_not_alone() -> None:
    suspicion = Suspicion()
    assert not any(leaves(suspicion, 10, event(1), event(2)))


def test_nor_on_a_connection_that_took_nothing() -> None:
    suspicion = Suspicion()
    assert not any(leaves(suspicion, 10, event(1), proven=False))


def test_nor_when_the_broker_left_for_another_reason_or_we_did() -> None:
    for reason in (TAKEN_OVER, None):
        suspicion = Suspicion()
        assert not any(leaves(suspicion, 10, event(1), reason=reason))
        assert not suspicion.careful


def test_a_broker_that_leaves_at_every_event_gets_them_again() -> None:
    """One may be guilty; two in a row without anything arriving, that is the broker."""
    suspicion = Suspicion()
    assert leaves(suspicion, LEAVES + 1, event(1))[-1] is not None
    assert not any(leaves(suspicion, 10, event(2)))
    suspicion.confirmed(event(2))
    assert leaves(suspicion, LEAVES + 1, event(3))[-1] is not None


def test_care_ends_when_the_suspect_does_not_come_again() -> None:
    suspicion = Suspicion()
    leaves(suspicion, 1, event(1))
    for seq in range(CAREFUL_MESSAGES + 1):
        suspicion.confirmed(event(seq + 2))
    assert not suspicion.careful
