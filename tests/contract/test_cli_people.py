"""`gateway people` at a living gateway: the code, the first and the others, their passwords and locks."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.cli import language, run
from gateway.house import House
from gateway.passwords import Passwords
from gateway.signin import Wrong
from tests.census import CHEAP, PASSWORD
from tests.houses import Client, Puppets, config, living


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Nobody has an account."""
    async with living(config(tmp_path, {}), Puppets()) as made:
        made.people.passwords = Passwords(CHEAP)
        yield made


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Again, afterwards."""
    yield
    language.choose([], {})


class Line:
    """`gateway people …` with something on its standard input."""

    def __init__(self, house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._state = str(house.config.gateway.state_dir)
        self._capsys, self._monkeypatch = capsys, monkeypatch

    async def __call__(self, *arguments: str, typed: str = "", status: int = 0) -> str:
        """What it said, on either stream."""
        self._monkeypatch.setattr("sys.stdin", io.StringIO(f"{typed}\n"))
        self._capsys.readouterr()
        words = ["people", *arguments, "--state-dir", self._state]
        assert await asyncio.to_thread(run, words) == status
        out, err = self._capsys.readouterr()
        return out + err


@pytest.fixture
def line(house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Line:
    return Line(house, capsys, monkeypatch)


async def test_the_code_and_another_one(house: House, line: Line) -> None:
    assert "gateway people code" in await line("list")
    first = json.loads(await line("code", "--json"))["code"]
    assert first in await line("code", "--lang", "zh")
    second = json.loads(await line("code", "--renew", "--json"))["code"]
    assert second != first
    assert house.people.code.fits(second)


async def test_people_come_and_go(house: House, line: Line) -> None:
    assert "李工" in await line("add", "li", "--role", "installer", "--shown", "李工", typed=PASSWORD)
    assert "already" in await line("code", status=1)
    assert "10 characters" in await line("add", "wang", typed="short", status=1)
    assert "现在可以登录" in await line("add", "wang", "--lang", "zh", typed=PASSWORD)
    listed = json.loads(await line("list", "--json"))
    assert [(each["name"], each["role"], each["locked"]) for each in listed] == [
        ("li", "installer", False),
        ("wang", "duty", False),
    ]
    token, _ = await house.signin.sign_in("wang", PASSWORD, "192.0.2.7")
    assert await line("password", "wang", typed="another long one")
    assert house.people.sessions.find(token) is None
    assert "王" not in await line("list")
    assert "值班员" in await line("list", "--lang", "zh")
    assert "only installer" in await line("remove", "li", status=1)
    assert await line("remove", "wang")
    assert "no such person" in await line("remove", "wang", status=1)


async def test_a_lock_is_shown_and_opened(house: House, line: Line) -> None:
    await line("add", "li", "--role", "installer", typed=PASSWORD)
    assert "not locked" in await line("unlock", "li")
    for _ in range(5):
        with pytest.raises(Wrong):
            await house.signin.sign_in("li", "x", "198.51.100.1")
    assert "locked" in await line("list")
    assert "may try again" in await line("unlock", "li")
    assert "locked" not in await line("list")


async def test_what_is_no_role_is_refused_at_the_socket(house: House) -> None:
    async with Client(house.config.gateway.state_dir) as client:
        asked = {"ask": "people-add", "name": "x", "role": "king", "password": PASSWORD, "who": "root"}
        answer = await client.raw(json.dumps(asked).encode() + b"\n")
    assert "role" in answer["error"]["en"]
    assert not house.people.anybody
