"""Who may connect, who makes room, and what is said of it: once, then with the count."""

import asyncio
import logging
from typing import Any, cast

import pytest

from gateway import listeners
from gateway.listeners import Refusals, Turns, Turnstile, allow_list, announce

LOG = logging.getLogger("tests.listeners")


class Line:
    """All of a transport that a turnstile touches."""

    def __init__(self) -> None:
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


class Gate:
    """A turnstile, and lines that come to it."""

    def __init__(self, **limits: Any) -> None:
        self.refusals = Refusals(LOG, "gate")
        self.stile = Turnstile(self.refusals, **{"connections": 4, "per_peer": 3} | limits)

    def come(self, *peers: str) -> list[Line]:
        lines = [Line() for _ in peers]
        for peer, line in zip(peers, lines, strict=True):
            self.stile.enter(peer, cast(asyncio.Transport, line))
        return lines


async def test_each_peer_has_its_share() -> None:
    gate = Gate()
    assert [line.aborted for line in gate.come("a", "a", "a", "a", "b")] == [False, False, False, True, False]
    assert gate.stile.held == {"a": 3, "b": 1}


async def test_who_has_most_makes_room_and_nobody_for_one_who_has_as_many() -> None:
    gate = Gate()
    first, *others = gate.come("a", "a", "a", "b", "c")
    assert first.aborted
    assert not any(line.aborted for line in others)
    assert gate.stile.held == {"a": 2, "b": 1, "c": 1}
    (refused,) = gate.come("b")
    assert refused.aborted
    assert gate.stile.held == {"a": 2, "b": 1, "c": 1}


async def test_who_leaves_makes_room_once() -> None:
    gate = Gate(connections=1)
    (line,) = gate.come("a")
    for _ in range(2):
        gate.stile.leave("a", cast(asyncio.Transport, line))
    assert gate.stile.held == {}
    assert not gate.come("b")[0].aborted


async def test_strangers_take_no_room() -> None:
    gate = Gate(admits=lambda peer: peer == "a")
    assert [line.aborted for line in gate.come(*"xxxxxxa")] == [True] * 6 + [False]
    assert gate.refusals.count == 6


async def test_a_refusal_is_told_once_and_then_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "FIRST_SUM_S", 0.01)
    refusals, told = Refusals(LOG, "gate"), asyncio.Event()

    def listen(record: logging.LogRecord) -> bool:
        if "more" in record.getMessage():
            told.set()
        return True

    caplog.handler.addFilter(listen)
    for _ in range(1000):
        refusals.add("192.0.2.9", "is not welcome")
    refusals.add("192.0.2.8", "is not welcome")
    async with asyncio.timeout(5):
        await told.wait()
    assert [record.getMessage() for record in caplog.records] == [
        "refused: 192.0.2.9 is not welcome (gate)",
        "refused: 192.0.2.8 is not welcome (gate)",
        "refused: 999 more (gate), 999 of them: 192.0.2.9 is not welcome",
    ]


async def test_many_strangers_take_neither_memory_nor_log(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals(LOG, "gate")
    for number in range(5000):
        refusals.add(f"2001:db8::{number:x}", "is not welcome")
    assert len(caplog.records) == listeners.MOST_NAMED
    assert refusals.count == 5000


async def test_a_peer_has_so_many_turns_and_the_others_do_not_wait_for_it() -> None:
    turns, order = Turns(2), list[str]()
    release = asyncio.Event()

    async def ask(peer: str, wait: bool) -> None:
        async with turns.of(peer):
            order.append(peer)
            if wait:
                await release.wait()

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(ask("mad", True))
        await group.create_task(ask("good", False))
        assert order == ["mad", "mad", "good"]
        release.set()
    assert order.count("mad") == 10


@pytest.mark.parametrize(
    ("at", "allowed", "warns"),
    [
        ("0.0.0.0:5200", [], True),
        ("udp *:5200", [], True),
        ("[::]:5200", [], True),
        ("192.0.2.1:5200", [], False),
        ("0.0.0.0:5200", ["192.0.2.0/24"], False),
    ],
)
def test_what_listens_is_said_in_one_sentence(
    at: str, allowed: list[str], warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    announce(LOG, "gb26875 panel-hub", at, allowed, "name their addresses in peers:")
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == f"listening: gb26875 panel-hub on {at}, open to {', '.join(allowed) or 'anybody'}"
    assert [record.levelname for record in caplog.records[1:]] == ["WARNING"] * warns
    assert all("name their addresses in peers:" in sentence for sentence in said[1:])


def test_a_listener_is_open_to_all_that_one_of_its_devices_takes() -> None:
    assert allow_list([("b",), ("a", "b")]) == ["a", "b"]
    assert allow_list([("b",), ()]) == []
