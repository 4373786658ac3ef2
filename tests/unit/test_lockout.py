"""Wrong passwords and what they cost: by account, by address, and never the person on duty in their own place."""

import pytest

from gateway.lockout import FIRST_LOCK_S, FORGET_S, LONGEST_LOCK_S, MOST_COUNTS, MOST_WRONG, Lockout, neighbourhood

HOME, ELSEWHERE = "192.0.2.7", "198.51.100.1"


class Counts:
    """A lockout on a clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.lockout = Lockout(lambda: self.now_s)

    def wrong(self, times: int, account: str = "wang", address: str = ELSEWHERE, *, at_home: bool = False) -> None:
        keys = self.lockout.keys(account, address, at_home=at_home)
        for _ in range(times):
            self.lockout.failed(keys)

    def wait_s(self, account: str = "wang", address: str = ELSEWHERE, *, at_home: bool = False) -> float:
        return self.lockout.wait_s(self.lockout.keys(account, address, at_home=at_home))


def test_the_fifth_locks_for_a_minute_and_each_more_twice_as_long() -> None:
    counts = Counts()
    counts.wrong(MOST_WRONG - 1)
    assert counts.wait_s() == 0
    waits = []
    for _ in range(7):
        counts.wrong(1)
        waits.append(counts.wait_s())
        counts.now_s += waits[-1]
        assert counts.wait_s() == 0
    assert waits == [FIRST_LOCK_S, 120, 240, 480, LONGEST_LOCK_S, LONGEST_LOCK_S, LONGEST_LOCK_S]


def test_what_is_long_ago_is_forgotten() -> None:
    counts = Counts()
    counts.wrong(MOST_WRONG - 1)
    counts.now_s += FORGET_S + 1
    counts.wrong(MOST_WRONG - 1)
    assert counts.wait_s() == 0


def test_an_account_is_locked_from_everywhere_and_an_address_for_everybody() -> None:
    counts = Counts()
    counts.wrong(MOST_WRONG)
    assert counts.wait_s(address="203.0.113.1") == FIRST_LOCK_S
    assert counts.wait_s(account="li") == FIRST_LOCK_S
    assert counts.wait_s(account="li", address="203.0.113.1") == 0
    assert counts.lockout.locked() == {("wang", ""), ("", ELSEWHERE)}


def test_nobody_elsewhere_keeps_a_person_out_of_their_own_place() -> None:
    counts = Counts()
    for address in range(50):
        counts.wrong(20, address=f"198.51.100.{address}")
    assert counts.wait_s(address="203.0.113.9") > 0
    assert counts.wait_s(address=HOME, at_home=True) == 0
    counts.wrong(MOST_WRONG, address=HOME, at_home=True)
    assert counts.wait_s(address=HOME, at_home=True) == FIRST_LOCK_S


def test_a_right_password_forgives_the_account_and_not_the_address() -> None:
    counts = Counts()
    counts.wrong(MOST_WRONG - 1)
    counts.lockout.forgive(counts.lockout.keys("wang", ELSEWHERE, at_home=False))
    counts.wrong(1, account="li")
    assert counts.lockout.locked() == {("", ELSEWHERE)}


def test_unlocked_by_a_person() -> None:
    counts = Counts()
    counts.wrong(MOST_WRONG)
    counts.wrong(1, address=HOME, at_home=True)
    assert counts.lockout.unlock("wang")
    assert not counts.lockout.unlock("wang")
    assert counts.wait_s(address="203.0.113.1") == 0


def test_the_counts_are_bounded() -> None:
    counts = Counts()
    for number in range(MOST_COUNTS + 10):
        counts.lockout.failed((("", f"address-{number}"),))
    assert len(counts.lockout._counts) == MOST_COUNTS


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_what_is_one_address(address: str, counted: str) -> None:
    assert neighbourhood(address) == counted
