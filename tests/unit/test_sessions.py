"""Sessions that do not end in the middle of duty, but end."""

from pathlib import Path

from gateway.roster import Kept, read
from gateway.sessions import FRESH_S, IDLE_S, MOST_S, MOST_SESSIONS, WRITE_S, csrf
from tests.census import Census, census, on_disk


async def kept(here: Census) -> list[Kept]:
    return await here.store.read(lambda connection: read(connection, Kept))


async def test_one_that_is_used_lasts_a_week_and_no_longer(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        token, _ = await here.people.sessions.begin("wang", "192.0.2.7")
        lasted_s = 0.0
        while here.people.sessions.find(token) is not None:
            here.clock.advance(IDLE_S - 1)
            lasted_s += IDLE_S - 1
        assert MOST_S <= lasted_s < MOST_S + IDLE_S


async def test_one_that_is_not_used_ends(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        token, _ = await here.people.sessions.begin("wang", "192.0.2.7")
        here.clock.advance(IDLE_S - 1)
        assert here.people.sessions.find(token) is not None
        here.clock.advance(IDLE_S)
        assert here.people.sessions.find(token) is None
        assert here.people.sessions.of("wang") == []
        await here.people.sessions.write()
        assert await kept(here) == []


async def test_a_power_cut_signs_nobody_out_and_the_token_is_not_on_disk(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        token, session = await here.people.sessions.begin("wang", "192.0.2.7")
        here.clock.advance(3600)
        assert here.people.sessions.find(token) is session
        await here.people.sessions.write()
    assert token.encode() not in on_disk(tmp_path)
    async with census(tmp_path) as again:
        again.clock.advance(3600)
        found = again.people.sessions.find(token)
        assert found is not None
        assert (found.kept.person, found.kept.address) == ("wang", "192.0.2.7")
        assert not again.people.sessions.is_fresh(found)  # the password is asked for again
        assert again.people.sessions.find(token + "x") is None


async def test_what_was_off_for_longer_than_a_session_idles_has_none(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        token, _ = await here.people.sessions.begin("wang", "192.0.2.7")
    async with census(tmp_path) as again:
        again.people.sessions._by_hash.clear()
        again.clock.set_wall(again.clock.utc().timestamp() + IDLE_S + 1)
        again.people.sessions.load(await kept(again))
        assert again.people.sessions.find(token) is None


async def test_a_clock_that_is_set_ends_no_session(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        token, _ = await here.people.sessions.begin("wang", "192.0.2.7")
        for jump_s in (10 * MOST_S, -20 * MOST_S):
            here.clock.set_wall(here.clock.utc().timestamp() + jump_s)
            await here.people.sessions.write()
            assert here.people.sessions.find(token) is not None


async def test_it_is_written_now_and_then(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        token, _ = await here.people.sessions.begin("wang", "192.0.2.7")
        seen = []
        for _ in range(4):
            here.clock.advance(WRITE_S / 2)
            here.people.sessions.find(token)
            await here.people.sessions.write()
            seen.append((await kept(here))[0].seen_ms)
        assert len(set(seen)) == 3


async def test_fresh_for_five_minutes(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        _, session = await here.people.sessions.begin("wang", "192.0.2.7")
        assert here.people.sessions.is_fresh(session)
        here.clock.advance(FRESH_S)
        assert not here.people.sessions.is_fresh(session)
        here.people.sessions.freshen(session)
        assert here.people.sessions.is_fresh(session)


async def test_one_person_has_so_many_and_the_oldest_ends(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        tokens = []
        for _ in range(MOST_SESSIONS + 2):
            here.clock.advance(1)
            tokens.append((await here.people.sessions.begin("wang", "192.0.2.7"))[0])
        assert [here.people.sessions.find(token) is None for token in tokens[:3]] == [True, True, False]
        assert len(await kept(here)) == MOST_SESSIONS
        assert here.people.sessions.of("wang")[0] is here.people.sessions.find(tokens[-1])


async def test_one_ends_and_stays_ended(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        token, session = await here.people.sessions.begin("wang", "192.0.2.7")
        assert here.people.sessions.get(session.key) is session
        await here.people.sessions.end(session)
        assert here.people.sessions.get(session.key) is None
    async with census(tmp_path) as again:
        assert again.people.sessions.find(token) is None


def test_the_word_that_goes_with_a_step_is_each_session_s_own() -> None:
    assert csrf("a") == csrf("a") != csrf("b")
    assert len(csrf("a")) == 43
