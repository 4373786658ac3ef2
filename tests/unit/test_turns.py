"""Acknowledgements go out in the order in which messages came, whatever is done first."""

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from gateway.packets import Message
from gateway.turns import Turns


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.permutations(range(n)), st.sets(st.integers(0, n - 1)))))
def test_in_order_and_none_too_early(case: tuple[list[int], set[int]]) -> None:
    order, leaving = case
    turns, acknowledged = Turns(), list[int]()
    entered = [turns.enter(Message("t", b"", done=partial(acknowledged.append, n))) for n in range(len(order))]
    over = set[int]()
    for number in order:
        message, leave = entered[number]
        leave() if number in leaving else message.done()
        over.add(number)
        first = next((n for n in range(len(order)) if n not in over), len(order))
        assert acknowledged == [n for n in range(first) if n not in leaving]
