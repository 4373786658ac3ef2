"""Event ids: the bits of RFC 9562, 5.7, and an order that no clock can break."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from gateway.identity import Identities, moment_ms

NOW_MS = 1795428379123  # 2026-11-23T10:06:19.123Z
moments = st.integers(1, 2**47)
clocks = st.lists(moments | st.integers(NOW_MS - 5, NOW_MS + 5), min_size=1, max_size=60)


@given(moments)
def test_the_bits_are_those_of_a_uuid_7(now_ms: int) -> None:
    identity = uuid.UUID(Identities().next(now_ms))
    assert identity.version == 7
    assert identity.variant == uuid.RFC_4122
    assert identity.int >> 80 == now_ms


def test_it_is_written_as_uuids_are() -> None:
    text = Identities().next(NOW_MS)
    assert text == str(uuid.UUID(text))
    assert moment_ms(text) == NOW_MS


@given(clocks, st.just(0) | moments)
def test_ids_only_go_up_whatever_the_clock_does(clock: list[int], last_ms: int) -> None:
    identities = Identities(last_ms)
    made = [identities.next(now_ms) for now_ms in clock]
    assert made == sorted(set(made))
    assert all(uuid.UUID(identity).version == 7 for identity in made)


@given(clocks, clocks)
def test_a_restart_goes_on_after_the_newest_id(before: list[int], after: list[int]) -> None:
    first = Identities()
    newest = [first.next(now_ms) for now_ms in before][-1]
    second = Identities(moment_ms(newest))
    assert all(second.next(now_ms) > newest for now_ms in after)


@given(clocks, clocks, moments)
def test_a_store_that_opens_late_is_heard_too(before: list[int], after: list[int], newest_ms: int) -> None:
    identities = Identities()
    made = [identities.next(now_ms) for now_ms in before]
    identities.after(newest_ms)
    made += [identities.next(now_ms) for now_ms in after]
    assert made == sorted(set(made))
    assert all(moment_ms(identity) > newest_ms for identity in made[len(before) :])


def test_one_millisecond_may_hold_more_than_its_counter() -> None:
    identities = Identities()
    made = [identities.next(NOW_MS) for _ in range(5000)]  # the counter has 4096 steps
    assert made == sorted(set(made))
    assert moment_ms(made[-1]) == NOW_MS + 1


def test_the_rest_is_random() -> None:
    tails = {Identities().next(NOW_MS)[19:] for _ in range(100)}
    assert len(tails) == 100
