"""People and tokens: made, changed, removed; on disk before they count; nothing on disk that opens anything."""

import asyncio
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.deeds import NotFound
from gateway.passwords import MOST_CHARS, MOST_WAITING, Busy, Passwords, complaint
from gateway.people import NotSo, may_give
from gateway.rights import ROLES
from gateway.roster import Person, Token, read
from gateway.setupcode import ALPHABET, CODE, LABEL, SetupCode, new_code, plain
from gateway.tokens import NoSuchToken
from tests.census import CHEAP, INSTALLER, PASSWORD, census, on_disk
from tests.unit.test_store import plain as rows

OTHER = "another long one"


async def test_a_person_is_there_after_a_restart_and_their_password_nowhere(tmp_path: Path) -> None:
    async with census(tmp_path) as one:
        made = await one.people.add(INSTALLER, " Wang ", "王 师傅", "duty", PASSWORD)
        assert (made.name, made.shown, made.role) == ("wang", "王 师傅", "duty")
        assert [entry["what"] for entry in await one.audited()] == ["person.add"]
    async with census(tmp_path) as two:
        assert two.people.anybody
        found = two.people.get("WANG")
        assert found == made
        assert await two.store.read(lambda connection: read(connection, Person)) == [made]
    assert PASSWORD.encode() not in on_disk(tmp_path)
    assert made.password.startswith("$argon2id$")


@pytest.mark.parametrize(
    ("name", "shown", "password", "zh"),
    [
        ("", "王", PASSWORD, "登录名"),
        ("a b", "王", PASSWORD, "登录名"),
        ("x" * 33, "王", PASSWORD, "登录名"),
        ("wang", "王" * 41, PASSWORD, "40"),
        ("wang", "王\u202e", PASSWORD, "40"),
        ("li", "王", PASSWORD, "已被使用"),
        ("wang", "李工", PASSWORD, "已被使用"),
        ("wang", "王", "short", "至少 10"),
        ("wang", "王", "x" * (MOST_CHARS + 1), "最多 200"),
        ("wang", "王", "1212121212", "常见"),
        ("wang", "王", "Admin123456", "常见"),
        ("wang-wang-wang", "王", "wang-wang-wang", "不能与"),
        ("wang", "wang wang wang", "Wang Wang Wang1", "不能与"),
    ],
)
async def test_who_cannot_be_made(tmp_path: Path, name: str, shown: str, password: str, zh: str) -> None:
    async with census(tmp_path) as here:
        await here.people.add(INSTALLER, "li", "李工", "installer", PASSWORD)
        with pytest.raises(NotSo) as caught:
            await here.people.add(INSTALLER, name, shown, "duty", password)
        assert zh in caught.value.say("zh")
        assert [person.name for person in here.people.list()] == ["li"]


async def test_another_password_and_a_removal_end_every_session(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        await here.people.add(INSTALLER, "li", "李工", "installer", PASSWORD)
        await here.people.add(INSTALLER, "wang", "王师傅", "duty", PASSWORD)
        first, _ = await here.people.sessions.begin("wang", "192.0.2.7")
        await here.people.set_password(INSTALLER, "wang", "another long one")
        assert here.people.sessions.find(first) is None
        second, _ = await here.people.sessions.begin("wang", "192.0.2.7")
        await here.people.remove(INSTALLER, "wang")
        assert here.people.sessions.find(second) is None
        assert here.people.get("wang") is None
        with pytest.raises(NotFound):
            await here.people.remove(INSTALLER, "wang")
    async with census(tmp_path) as again:
        assert again.people.get("wang") is None
        assert again.people.sessions.find(second) is None


async def test_the_last_installer_stays_one(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        await here.people.add(INSTALLER, "li", "李工", "installer", PASSWORD)
        for change in (here.people.remove(INSTALLER, "li"), here.people.set_role(INSTALLER, "li", "duty")):
            with pytest.raises(NotSo, match="only installer"):
                await change
        await here.people.add(INSTALLER, "zhao", "赵工", "installer", PASSWORD)
        await here.people.set_role(INSTALLER, "li", "auditor")
        assert [person.role for person in here.people.list()] == ["auditor", "installer"]
        li = here.people.get("li")
        assert li is not None
        assert li.rights == ROLES["auditor"]


async def test_two_installers_who_remove_each_other_at_once_leave_one(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        await here.people.add(INSTALLER, "li", "李工", "installer", PASSWORD)
        await here.people.add(INSTALLER, "zhao", "赵工", "installer", PASSWORD)
        changes = here.people.remove(INSTALLER, "li"), here.people.set_role(INSTALLER, "zhao", "duty")
        came = await asyncio.gather(*changes, return_exceptions=True)
        assert [type(each) for each in came] == [type(None), NotSo]
        assert [person.role for person in here.people.list()] == ["installer"]


async def test_of_two_changes_at_once_none_undoes_the_other(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        await here.people.add(INSTALLER, "wang", "王师傅", "manager", PASSWORD)
        changes = here.people.set_password(INSTALLER, "wang", OTHER), here.people.set_role(INSTALLER, "wang", "duty")
        await asyncio.gather(*changes)
        wang = here.people.get("wang")
        assert wang is not None
        assert wang.role == "duty"
        async with here.people.passwords.looking() as fits:
            assert await fits(OTHER, wang.password)


def test_nobody_gives_more_than_they_have() -> None:
    assert may_give(ROLES["manager"], ROLES["duty"])
    assert may_give(ROLES["manager"], frozenset({"see", "metrics"}))
    assert not may_give(ROLES["manager"], ROLES["installer"])
    assert not may_give(ROLES["duty"], ROLES["auditor"])


# --- passwords -------------------------------------------------------------------------------------------------------


async def test_a_password_fits_however_it_was_typed_and_nobody_s_never_does() -> None:
    passwords = Passwords(CHEAP)
    kept = await passwords.hash("Ｇatehouse 2026 é")
    async with passwords.looking() as fits:
        assert await fits("Gatehouse 2026 e\u0301", kept)
        assert not await fits("gatehouse 2026 é", kept)
        assert not await fits("", None)
        assert not await fits("x", "no hash")


async def test_a_crowd_is_sent_away() -> None:
    passwords = Passwords(CHEAP)
    passwords._waiting = MOST_WAITING
    with pytest.raises(Busy):
        await passwords.hash("x")


_MEMORY = """
import asyncio, re
from gateway.passwords import Passwords

def rss_kib():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1])

async def main():
    passwords = Passwords()
    kept, before = await passwords.hash("one of many"), rss_kib()
    for _ in range(8):
        async with passwords.looking() as fits:
            assert await fits("one of many", kept)
    print(rss_kib() - before)

asyncio.run(main())
"""


def test_what_a_hash_takes_is_given_back() -> None:
    """Of the real cost; each thread that ever hashed would keep its 12 MiB otherwise."""
    grown = subprocess.run([sys.executable, "-c", _MEMORY], capture_output=True, text=True, check=True)
    assert int(grown.stdout) < 4 * 1024


def test_a_sentence_will_do() -> None:
    assert complaint("夜班从十点开始到六点", "wang", "王师傅") is None
    assert complaint("correct horse", "wang") is None


# --- tokens ----------------------------------------------------------------------------------------------------------


async def test_a_token_is_shown_once_and_kept_as_a_hash(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        text = await here.people.tokens.make(" city  screen ", frozenset({"see", "metrics"}), "李工", 0.0)
        (kept,) = await here.store.read(lambda connection: read(connection, Token))
        assert (kept.shown, sorted(kept.rights), text in repr(kept)) == ("city screen", ["metrics", "see"], False)
        found = here.people.tokens.find(text)
        assert found is not None
        assert found.used_ms > 0
        assert here.people.tokens.find(text + "x") is None
        await here.people.tokens.write()
    async with census(tmp_path) as again:
        (listed,) = again.people.tokens.list()
        assert listed.used_ms == found.used_ms
        await again.people.tokens.remove("city screen")
        assert again.people.tokens.find(text) is None
        with pytest.raises(NotFound):
            await again.people.tokens.remove("city screen")


async def test_a_token_s_time_is_over(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        text = await here.people.tokens.make("city", frozenset({"see"}), "李工", 86_400.0)
        here.clock.advance(86_399)
        assert here.people.tokens.find(text) is not None
        here.clock.advance(2)
        assert here.people.tokens.find(text) is None


async def test_which_tokens_cannot_be_made(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        await here.people.tokens.make("city", frozenset({"see"}), "李工", 0.0)
        for name, scopes in (("", {"see"}), ("x" * 41, {"see"}), ("city", {"see"}), ("other", set())):
            with pytest.raises(NoSuchToken):
                await here.people.tokens.make(name, frozenset(scopes), "李工", 0.0)  # type: ignore[arg-type]


# --- the set-up code -------------------------------------------------------------------------------------------------


def test_the_code_is_one_that_can_be_read_out(tmp_path: Path) -> None:
    codes = {new_code() for _ in range(200)}
    assert len(codes) == 200
    assert set("".join(codes)) == set(ALPHABET) | {"-"}
    assert not set("01OI") & set(ALPHABET)
    assert plain(" abcd 2345 ") == plain("ABCD-2345")


def test_the_code_is_the_same_until_it_is_used_or_renewed(tmp_path: Path) -> None:
    code = SetupCode(tmp_path, "gw-0001", "http://gw/setup")
    assert not code.fits("")
    first = code.show()
    assert SetupCode(tmp_path, "gw-0001", "http://gw/setup").show() == first
    assert code.fits(first.lower().replace("-", " "))
    assert not code.fits(first[:-1] + ("2" if first[-1] != "2" else "3"))
    for name in (CODE, LABEL):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    label = (tmp_path / LABEL).read_text("utf-8")
    assert all(part in label for part in (first, "http://gw/setup", "设置码", "Set-up code"))
    second = code.show(renew=True)
    assert second != first
    assert not code.fits(first)
    code.forget()
    assert not (tmp_path / CODE).exists()
    assert not (tmp_path / LABEL).exists()
    assert not code.fits(second)


async def test_the_first_person_uses_it_up(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        here.people.code.show()
        await here.people.add(INSTALLER, "li", "李工", "installer", PASSWORD)
        assert here.people.code.kept() is None


async def test_the_table_s_shape(tmp_path: Path) -> None:
    async with census(tmp_path) as here:
        await here.people.add(INSTALLER, "li", "李工", "installer", PASSWORD)
    assert rows(tmp_path, "SELECT kind, name FROM roster") == [("person", "li")]
