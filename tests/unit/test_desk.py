"""One uplink's desk: which code comes first, once per id, what outlives a link, what a failing disk means."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import Audit, lines
from gateway.clock import TimeQuality, rfc3339
from gateway.commands import Action, Order, Refused, Result, Rules, read, weigh
from gateway.desk import Desk
from gateway.mqtt import Message
from gateway.signing import signed_form
from gateway.store import Store
from tests.fakes import EPOCH, ManualClock
from tests.rig import BASE, refusing

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
LATER = rfc3339(EPOCH + timedelta(minutes=1))
RULES = Rules(
    "district", BASE, "en", frozenset({"unlock", "ping", "shelve"}), {"door-1": frozenset({"unlock", "lock"})},
    PRIVATE.public_key(),
)  # fmt: skip
OPEN = Rules("district", BASE, "en", RULES.allowed, RULES.devices)


async def nothing(_: Order) -> Result:
    return {}


ACTIONS: dict[str, Action] = dict.fromkeys(("unlock", "lock", "ping", "shelve", "silence"), nothing)


def request(**more: Any) -> dict[str, Any]:
    return {"id": "c-1", "action": "unlock", "args": {"seconds": 5}, "expires": LATER, "issuer": "duty"} | more


def message(asked: Mapping[str, Any], device: str = "door-1", **more: Any) -> Message:
    return Message(f"{BASE}/command/{device}", json.dumps(asked).encode(), **more)


# each of the contract's checks, in its order: what makes just this one fail
FAULTS = (
    "too-large", "bad-json", "retained", "expired", "unknown-device", "unknown-action", "not-allowed", "clock-unsure",
    "bad-signature", "bad-arguments",
)  # fmt: skip


def first_code(faults: set[str]) -> str:
    """Of a request with these faults, and no other."""
    asked, device = request(), "door-1"
    if "unknown-action" in faults:
        asked["action"] = "dance"
    elif "not-allowed" in faults:
        asked["action"] = "lock"
    if "bad-arguments" in faults or asked["action"] == "lock":
        asked["args"] = {"seconds": "five"} if "bad-arguments" in faults else {}
    if "expired" in faults:
        asked["expires"] = rfc3339(EPOCH)
    device = "door-9" if "unknown-device" in faults else device
    topic = f"{BASE}/command/{device}"
    asked["signature"] = base64.b64encode(PRIVATE.sign(signed_form(topic, asked))).decode()
    if "bad-signature" in faults:
        asked["issuer"] = "somebody else"
    if "bad-json" in faults:
        asked["id"] = "not an id"
    payload = json.dumps(asked).encode() + b" " * ("too-large" in faults) * 20_000
    try:
        told = read(Message(topic, payload, retained="retained" in faults), device, EPOCH)
        weigh(told, RULES, ACTIONS, clock_unsure="clock-unsure" in faults)
    except Refused as refused:
        return refused.code
    return "ok"


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_code(fault: str) -> None:
    assert first_code({fault}) == fault


@given(st.sets(st.sampled_from(FAULTS)))
def test_the_first_fault_in_the_contracts_order_names_the_code(faults: set[str]) -> None:
    expected = next((fault for fault in FAULTS if fault in faults), "ok")
    if {"unknown-action", "not-allowed"} <= faults and expected == "not-allowed":
        expected = "unknown-action"
    assert first_code(faults) == expected


def test_only_what_must_not_come_late_waits_for_the_clock() -> None:
    told = read(message(request(action="shelve", args={"seconds": 60, "reason": "dust"})), "door-1", EPOCH)
    args, act = weigh(told, OPEN, ACTIONS, clock_unsure=True)
    assert (args.seconds, args.reason, act) == (60, "dust", nothing)


WORDS = {
    "seconds": ({"seconds": "5"}, "args.seconds: a number is needed", "args.seconds:需要数字"),
    "range": ({"seconds": 0}, "args.seconds: more than 0.0 is needed", "args.seconds:必须大于 0.0"),
    "unknown": ({"time": 5}, "args.time: not a known key", "args.time:未知的键"),
    "none": ([], "args: ", "args:"),
}


@pytest.mark.parametrize("case", WORDS)
def test_wrong_arguments_are_named_in_both_languages(case: str) -> None:
    args, en, zh = WORDS[case]
    with pytest.raises(Refused) as told:
        weigh(read(message(request(args=args)), "door-1", EPOCH), OPEN, ACTIONS, clock_unsure=False)
    assert told.value.what.en.startswith(en)
    assert told.value.what.zh.startswith(zh)


class Work:
    """An action that takes as long as the test wants, and counts."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.may_end = asyncio.Event()
        self.orders: list[Order] = []

    async def __call__(self, order: Order) -> Result:
        self.orders.append(order)
        self.began.set()
        await self.may_end.wait()
        return {"count": len(self.orders)}


@asynccontextmanager
async def standing(folder: Path, work: Action, clock: ManualClock) -> AsyncIterator[tuple[Desk, Store]]:
    async with Store(folder / "events.db", ("district",)) as store:
        desk = Desk(OPEN, store, clock, ACTIONS | {"unlock": work}, Audit(store, clock))
        async with desk:
            yield desk, store


async def code(desk: Desk, asked: Message) -> str:
    return str(json.loads((await desk.answer(asked)).payload)["code"])


async def audited(store: Store) -> list[tuple[str, str, str, str]]:
    found = await store.read(lambda connection: lines(connection, 0, 100))
    return [(line["who"], line["from"], line["what"], line["outcome"]) for _, line in found]


async def test_done_once_and_written_down(tmp_path: Path) -> None:
    work = Work()
    work.may_end.set()
    async with standing(tmp_path, work, ManualClock()) as (desk, store):
        first = json.loads((await desk.answer(message(request()))).payload)
        second = json.loads((await desk.answer(message(request()))).payload)
        assert (first["status"], first["code"], first["result"]) == ("done", "ok", {"count": 1})
        assert (second["status"], second["code"], second["result"]) == ("duplicate", "duplicate", first)
        assert await code(desk, message(request(id="c-2", action="lock", args={}))) == "not-allowed"
        assert await code(desk, message({})) == "bad-json"
        place = "uplink:district"
        assert await audited(store) == [
            ("duty", place, "command.unlock", "ok"),
            ("duty", place, "command.unlock", "duplicate"),
            ("duty", place, "command.lock", "not-allowed"),
            ("unknown", place, "command.unread", "bad-json"),
        ]
    (order,) = work.orders
    assert (order.by.who, order.by.role, order.by.place) == ("duty", "platform", "uplink:district")
    assert (order.args.seconds, order.device) == (5, "door-1")


async def test_what_was_begun_outlives_the_link_that_brought_it(tmp_path: Path) -> None:
    work = Work()
    async with standing(tmp_path, work, ManualClock()) as (desk, _):
        first = asyncio.create_task(desk.answer(message(request())))
        await work.began.wait()
        first.cancel()  # the link is lost
        with pytest.raises(asyncio.CancelledError):
            await first
        again = asyncio.create_task(desk.answer(message(request(), again=True)))
        assert await code(desk, message(request())) == "duplicate"  # somebody else's: answered at once
        work.may_end.set()
        assert json.loads((await again).payload)["result"] == {"count": 1}


async def test_what_the_end_of_the_gateway_interrupted_is_never_done_again(tmp_path: Path) -> None:
    work, clock = Work(), ManualClock()
    async with standing(tmp_path, work, clock) as (desk, _):
        asking = asyncio.create_task(desk.answer(message(request())))
        await work.began.wait()
    with pytest.raises(asyncio.CancelledError):
        await asking
    async with standing(tmp_path, nothing, clock) as (desk, store):
        first = (await desk.answer(message(request(), again=True))).payload
        assert (json.loads(first)["status"], json.loads(first)["code"]) == ("failed", "timeout")
        assert (await desk.answer(message(request(), again=True))).payload == first
        assert await code(desk, message(request())) == "duplicate"
        assert ("duty", "uplink:district", "command.unlock", "timeout") in await audited(store)
    assert len(work.orders) == 1


async def test_with_an_unset_clock_doors_do_not_move(tmp_path: Path) -> None:
    clock = ManualClock(quality=TimeQuality.UNSYNCED)
    async with standing(tmp_path, nothing, clock) as (desk, _):
        assert await code(desk, message(request())) == "clock-unsure"
        assert await code(desk, message(request(id="c-2", action="ping", args={}), "gateway")) == "ok"
        clock.time_quality = TimeQuality.HOLDOVER
        assert await code(desk, message(request(id="c-3"))) == "ok"


async def test_nothing_is_done_that_the_disk_does_not_know(tmp_path: Path) -> None:
    work = Work()
    work.may_end.set()
    async with standing(tmp_path, work, ManualClock()) as (desk, _):
        with refusing(tmp_path, "command"):
            assert await code(desk, message(request())) == "busy"
        assert not work.orders
        with refusing(tmp_path, "audit"):  # it has been done: the answer says so, with or without a line
            assert await code(desk, message(request())) == "ok"


@given(st.text() | st.integers() | st.none() | st.lists(st.text()))
def test_an_issuer_is_a_name_that_can_be_kept(issuer: Any) -> None:
    told = read(message(request(issuer=issuer)), "door-1", EPOCH)
    assert 0 < len(told.issuer.encode()) <= 64 * 4
    assert told.issuer.isprintable()
