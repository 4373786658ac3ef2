"""Who is accused of making a broker leave, and who is not: on sequences of lost links."""

import pytest

from gateway.database import Row
from gateway.dead import CAREFUL_MESSAGES, LEAVES, LEFT, NOT_AUTHORIZED, PLAIN_CHARS, Letter, Suspicion
from gateway.event import Lane
from gateway.outbox import Entry

TAKEN_OVER = 0x8E  # MQTT 5.0, 3.14.2.1


def event(seq: int, kind: str = "access.granted", more: int = 0) -> Entry:
    body = f'{{"type":"{kind}","data":"{"x" * more}"}}'
    return Entry(Lane.EVENT, Row(seq, 0, {"district": seq}, body, None), seq)


def trusted(*kinds: str) -> Suspicion:
    """The broker has taken events of these types."""
    suspicion = Suspicion()
    for kind in kinds or ("access.granted",):
        suspicion.confirmed(event(1000, kind))
    return suspicion


def verdicts(
    suspicion: Suspicion, count: int, *flying: Letter, reason: int | None = LEFT, proven: bool = True
) -> list[tuple[Letter, bool] | None]:
    return [suspicion.left(reason, flying, proven) for _ in range(count)]


def leaves(
    suspicion: Suspicion, count: int, *flying: Letter, reason: int | None = LEFT, proven: bool = True
) -> list[Letter | None]:
    """Who is accused."""
    told = verdicts(suspicion, count, *flying, reason=reason, proven=proven)
    return [verdict[0] if verdict is not None and verdict[1] else None for verdict in told]


def test_alone_in_flight_so_many_times_in_a_row() -> None:
    suspicion, letter = trusted(), event(1)
    assert leaves(suspicion, 1, letter, event(2)) == [None]
    assert suspicion.careful
    assert leaves(suspicion, LEAVES, letter) == [None] * (LEAVES - 1) + [letter]
    assert not suspicion.careful


def test_a_document_too() -> None:
    suspicion, letter = Suspicion(), ("dossier", "{}")
    assert leaves(suspicion, LEAVES + 1, letter)[-1] == letter


def test_one_that_arrives_is_innocent() -> None:
    suspicion = trusted()
    leaves(suspicion, LEAVES, event(1))
    suspicion.confirmed(event(1))
    assert not suspicion.careful
    assert leaves(suspicion, LEAVES, event(1)) == [None] * LEAVES


def test_nobody_is_accused_who_was_not_alone() -> None:
    suspicion = trusted()
    assert not any(leaves(suspicion, 10, event(1), event(2)))


def test_nor_on_a_connection_that_took_nothing() -> None:
    suspicion = trusted()
    assert not any(leaves(suspicion, 10, event(1), proven=False))


def test_nor_when_the_broker_left_for_another_reason_or_we_did() -> None:
    for reason in (TAKEN_OVER, None):
        suspicion = trusted()
        assert not any(leaves(suspicion, 10, event(1), reason=reason))
        assert not suspicion.careful


def test_a_broker_that_leaves_at_every_event_gets_them_again() -> None:
    """One may be guilty; two in a row without anything arriving, that is the broker."""
    suspicion = trusted()
    assert leaves(suspicion, LEAVES + 1, event(1))[-1] is not None
    assert not any(leaves(suspicion, 10, event(2)))
    suspicion.confirmed(event(2))
    assert leaves(suspicion, LEAVES + 1, event(3))[-1] is not None


def test_of_a_topic_of_which_it_took_nothing_none_is_accused() -> None:
    """It may be for want of rights, which are the topic's."""
    suspicion, letter = trusted("fire.smoke", "door.open"), event(1)
    assert verdicts(suspicion, LEAVES + 1, letter)[-1] == (letter, False)
    assert not suspicion.careful
    for _ in range(5):  # the other lanes go on meanwhile; then once is enough to know it again
        suspicion.confirmed(event(2, "fire.smoke"))
        assert verdicts(suspicion, 1, letter, event(3, "fire.smoke")) == [(letter, False)]


def test_once_the_topic_is_open_a_cut_accuses_nobody() -> None:
    suspicion, letter = Suspicion(), event(1)
    assert verdicts(suspicion, LEAVES + 1, letter)[-1] == (letter, False)
    suspicion.confirmed(event(2))
    assert verdicts(suspicion, 1, letter) == [None]
    assert verdicts(suspicion, LEAVES, letter)[-1] == (letter, True)


@pytest.mark.parametrize(("more", "own_fault"), [(0, False), (PLAIN_CHARS, True)])
def test_of_a_new_topic_only_a_large_one_is_accused(more: int, own_fault: bool) -> None:
    suspicion, letter = Suspicion(), event(1, more=more)
    assert verdicts(suspicion, LEAVES + 1, letter)[-1] == (letter, own_fault)
    again = event(2, more=more)
    assert verdicts(suspicion, LEAVES + 1, again)[-1] == (again, False)  # two in a row, that is the broker


def test_who_says_that_it_is_for_want_of_rights_is_believed() -> None:
    suspicion, letter = trusted(), event(1, more=PLAIN_CHARS)
    assert verdicts(suspicion, LEAVES + 1, letter, reason=NOT_AUTHORIZED)[-1] == (letter, False)


def test_what_tells_a_loss_is_held() -> None:
    suspicion, letter = trusted("gateway.data_lost"), event(1, "gateway.data_lost")
    assert verdicts(suspicion, LEAVES + 1, letter)[-1] == (letter, False)


def test_care_ends_when_the_suspect_does_not_come_again() -> None:
    suspicion = Suspicion()
    leaves(suspicion, 1, event(1))
    for seq in range(CAREFUL_MESSAGES + 1):
        suspicion.confirmed(event(seq + 2))
    assert not suspicion.careful
