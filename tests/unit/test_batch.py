"""Commits as the journal has them: as they were, or an error of one kind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.alarms import Alarm
from gateway.batch import Batch, Cursor, decode
from gateway.event import Lane, Severity

MOST = 2**63 - 1
numbers = st.integers(0, MOST)
texts = st.text(max_size=40)
alarms = st.builds(
    Alarm, texts, texts, texts, texts, st.sampled_from(Severity), *[st.booleans()] * 4, *[numbers] * 3, st.booleans()
)
columns = st.tuples(numbers, numbers, texts, st.binary(max_size=200), st.none() | texts)
rows = st.tuples(st.sampled_from(Lane), columns, st.none() | alarms)
marks = st.dictionaries(st.tuples(texts, st.sampled_from(Lane)), st.builds(Cursor, numbers, numbers), max_size=4)
batches = st.builds(Batch, st.lists(rows, max_size=6), marks)


@given(batches)
def test_it_comes_back_as_it_was(batch: Batch) -> None:
    assert decode(batch.encode()) == batch


@given(batches, st.data())
def test_a_part_of_one_is_none(batch: Batch, data: st.DataObject) -> None:
    content = batch.encode()
    short = content[: data.draw(st.integers(0, len(content) - 1))]
    try:
        part = decode(short)
    except ValueError:
        return
    assert (part.rows, part.marks) == (batch.rows, {})  # all the rows, and the cursors were cut off as a whole


@given(st.binary(max_size=300))
def test_any_bytes_are_one_or_an_error(content: bytes) -> None:
    try:
        again = decode(content)
    except ValueError:
        return
    assert decode(again.encode()) == again


def test_rows_that_are_announced_and_not_there() -> None:
    with pytest.raises(ValueError, match="no batch"):
        decode((3).to_bytes(4, "little"))
