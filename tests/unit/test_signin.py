"""Signing in: who is let in, who has to wait, what is written down of it, and what is told as an event."""

import asyncio
from pathlib import Path

import pytest

from gateway.errors import StorageError, Text
from gateway.event import Phase
from gateway.lockout import FIRST_LOCK_S, MOST_WRONG
from gateway.people import HOME_S
from gateway.signin import Locked, Wrong
from tests.census import INSTALLER, PASSWORD, Census, census

HOME, ELSEWHERE = "192.0.2.7", "198.51.100.1"
_FULL = Text("the disk is full", "磁盘已满")


async def guess(here: Census, times: int, name: str = "wang", address: str = ELSEWHERE) -> list[type[Exception]]:
    """What came of so many wrong passwords."""
    came: list[type[Exception]] = []
    for number in range(times):
        with pytest.raises((Wrong, Locked)) as caught:
            await here.signin.sign_in(name, f"wrong password {number}", address)
        came.append(caught.type)
    return came


async def test_who_has_the_password_is_let_in(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        await here.people.add(INSTALLER, "wang", "王师傅", "duty", PASSWORD)
        token, session = await here.signin.sign_in(" WANG", PASSWORD, HOME)
        assert here.people.sessions.find(token) is session
        assert here.people.at_home("wang", HOME)
        line = (await here.audited())[-1]
        assert (line["who"], line["role"], line["what"], line["outcome"]) == ("王师傅", "duty", "login", "ok")
        assert line["address"] == HOME
        person = here.people.get("wang")
        assert person is not None
        assert person.seen_ms > 0


async def test_what_is_wrong_is_not_said_and_a_password_in_the_wrong_field_not_written_down(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        await here.people.add(INSTALLER, "wang", "王师傅", "duty", PASSWORD)
        said = set()
        for name in ("wang", PASSWORD):
            with pytest.raises(Wrong) as caught:
                await here.signin.sign_in(name, "x", HOME)
            said.add(caught.value.say("zh") + caught.value.say("en"))
        assert len(said) == 1
        lines = (await here.audited())[-2:]
        assert [(line["subject"], line["outcome"]) for line in lines] == [("wang", "refused"), ("unknown", "refused")]
        assert PASSWORD not in repr(lines)


@pytest.mark.parametrize("name", ["wang", "nobody"])
async def test_a_lock_refuses_the_right_password_too(tmp_path: Path, name: str) -> None:
    async with census(tmp_path) as here:
        await here.people.add(INSTALLER, "wang", "王师傅", "duty", PASSWORD)
        assert await guess(here, MOST_WRONG + 2, name) == [Wrong] * MOST_WRONG + [Locked] * 2
        with pytest.raises(Locked) as caught:
            await here.signin.sign_in(name, PASSWORD, ELSEWHERE)
        assert caught.value.wait_s == FIRST_LOCK_S
        assert "1 分钟" in caught.value.say("zh")
        here.clock.advance(FIRST_LOCK_S)
        if name == "wang":
            await here.signin.sign_in(name, PASSWORD, ELSEWHERE)


async def test_nobody_locks_the_person_on_duty_out_of_the_gate_house(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        await here.people.add(INSTALLER, "wang", "王师傅", "duty", PASSWORD)
        await here.signin.sign_in("wang", PASSWORD, HOME)
        for address in ("198.51.100.1", "198.51.100.2", "198.51.100.3"):
            await guess(here, MOST_WRONG + 1, address=address)
        with pytest.raises(Locked):
            await here.signin.sign_in("wang", PASSWORD, "203.0.113.5")
        await here.signin.sign_in("wang", PASSWORD, HOME)
    async with census(tmp_path) as again:  # known over a restart, for thirty days
        assert again.people.at_home("wang", HOME)
        again.clock.advance(HOME_S + 1)
        assert not again.people.at_home("wang", HOME)


async def test_who_signs_in_while_the_password_changes_brings_the_old_one_not_back(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        await here.people.add(INSTALLER, "wang", "王师傅", "manager", PASSWORD)
        person = await here.signin.prove("wang", PASSWORD, HOME, "login")
        await here.people.set_password(INSTALLER, "wang", "another long one")
        await here.people.set_role(INSTALLER, "wang", "duty")
        await here.people.came(person, HOME)
        with pytest.raises(Wrong):
            await here.signin.sign_in("wang", PASSWORD, HOME)
        await here.signin.sign_in("wang", "another long one", HOME)
        assert [person.role for person in here.people.list()] == ["duty"]


@pytest.mark.parametrize("change", ["password", "removal"])
async def test_a_sign_in_under_way_does_not_outlive_a_new_password_or_a_removal(tmp_path: Path, change: str) -> None:
    async with census(tmp_path) as here:
        await here.people.add(INSTALLER, "wang", "王师傅", "duty", PASSWORD)
        if change == "password":
            changing = here.people.set_password(INSTALLER, "wang", "another long one")
        else:
            changing = here.people.remove(INSTALLER, "wang")
        await asyncio.gather(here.signin.sign_in("wang", PASSWORD, HOME), changing, return_exceptions=True)
        assert here.people.sessions.of("wang") == []


async def test_whoever_sits_beside_a_person_cannot_keep_them_from_a_door(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        await here.people.add(INSTALLER, "wang", "王师傅", "duty", PASSWORD)
        _, session = await here.signin.sign_in("wang", PASSWORD, HOME)
        assert (await guess(here, MOST_WRONG + 1, address=HOME))[-1] is Locked
        await here.signin.prove("wang", PASSWORD, HOME, "step-up", session.key)
        for _ in range(MOST_WRONG):
            with pytest.raises(Wrong):
                await here.signin.prove("wang", "x", HOME, "step-up", session.key)
        with pytest.raises(Locked):
            await here.signin.prove("wang", PASSWORD, HOME, "step-up", session.key)


async def test_many_at_once_are_no_quicker_than_one_after_the_other(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        await here.people.add(INSTALLER, "wang", "王师傅", "duty", PASSWORD)
        tries = [here.signin.sign_in("wang", f"wrong {number}", ELSEWHERE) for number in range(8)]
        came = await asyncio.gather(*tries, return_exceptions=True)
        assert [type(each) for each in came].count(Wrong) == MOST_WRONG


async def test_a_lock_is_told_as_an_event_without_a_name_and_its_end_too(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        told = []
        here.pipeline.listeners.append(lambda taken: told.append((taken.phase, taken.reading)))
        await here.people.add(INSTALLER, "wang", "王师傅", "duty", PASSWORD)
        await guess(here, MOST_WRONG)
        account = here.signin.reference(("wang", ""))
        assert sorted(here.locks()) == [account, "addresses"]
        assert "wang" not in account
        raised = {reading.part["text"]: reading for phase, reading in told if phase is Phase.RAISE and reading.part}
        assert raised[account].data == {"address": ELSEWHERE, "who": "wang"}  # `who` passes as an operator does
        assert raised["addresses"].data == {"address": ELSEWHERE}
        assert [line["what"] for line in await here.audited()].count("lockout") == 2
        await here.signin.look()
        assert len(here.locks()) == 2
        here.clock.advance(FIRST_LOCK_S)
        await here.signin.look()
        assert here.locks() == []


async def test_accounts_that_nobody_has_are_told_by_their_address_alone(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        await here.people.add(INSTALLER, "wang", "王师傅", "duty", PASSWORD)
        await guess(here, MOST_WRONG, "nobody")
        assert here.locks() == ["addresses"]


async def test_a_restart_ends_a_lock_that_was_told(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        await here.people.add(INSTALLER, "wang", "王师傅", "duty", PASSWORD)
        await guess(here, MOST_WRONG)
    async with census(tmp_path) as again:
        await again.pipeline.load()
        assert len(again.locks()) == 2
        await again.signin.look()
        assert again.locks() == []


async def test_a_manager_unlocks(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        await here.people.add(INSTALLER, "wang", "王师傅", "duty", PASSWORD)
        await guess(here, MOST_WRONG)
        assert await here.people.unlock(INSTALLER, "wang")
        await here.signin.sign_in("wang", PASSWORD, "203.0.113.5")
        assert not await here.people.unlock(INSTALLER, "wang")


async def test_with_a_disk_that_takes_nothing_one_still_gets_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with census(tmp_path) as here:
        await here.people.add(INSTALLER, "wang", "王师傅", "duty", PASSWORD)

        async def full(_work: object) -> None:
            raise StorageError("events.db", _FULL)

        with monkeypatch.context() as patched:
            patched.setattr(here.store, "transact", full)
            token, session = await here.signin.sign_in("wang", PASSWORD, HOME)
            assert here.people.sessions.find(token) is session
            with pytest.raises(StorageError):
                await here.signin.look()
        await here.signin.look()  # what was not written is, as soon as it can be
    async with census(tmp_path) as again:
        assert again.people.sessions.find(token) is not None


# --- the first person ------------------------------------------------------------------------------------------------


async def test_the_code_makes_the_first_person_and_no_second(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        code = here.people.code.show()
        _, session = await here.signin.set_up(code, "li", "李工", PASSWORD, HOME)
        assert session.kept.person == "li"
        person = here.people.get("li")
        assert person is not None
        assert person.role == "installer"
        assert (await here.audited())[0]["who"] == "李工"
        with pytest.raises(Wrong):
            await here.signin.set_up(code, "zhao", "赵工", PASSWORD, HOME)
        assert [each.name for each in here.people.list()] == ["li"]


async def test_two_at_once_make_one(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        code = here.people.code.show()
        names = ("li", "zhao")
        tries = [here.signin.set_up(code, name, name * 2, PASSWORD, HOME) for name in names]
        came = await asyncio.gather(*tries, return_exceptions=True)
        assert [isinstance(each, Wrong) for each in came] == [False, True]


async def test_wrong_codes_are_slowed_down(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        code = here.people.code.show()
        for _ in range(MOST_WRONG):
            with pytest.raises(Wrong):
                await here.signin.set_up("AAAA-AAAA", "li", "李工", PASSWORD, ELSEWHERE)
        with pytest.raises(Locked):
            await here.signin.set_up(code, "li", "李工", PASSWORD, ELSEWHERE)
        await here.signin.set_up(code, "li", "李工", PASSWORD, HOME)
