"""The socket for the command line: its answers, what it makes of nonsense, who may ask, and that it outlives it all."""

import asyncio
import stat
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway import __version__
from gateway.control import LINE_BYTES, NAME
from gateway.event import Lane
from gateway.letters import put_dead
from tests.brokers import free_port
from tests.houses import Client, Puppets, ask, config, disk, living, to, until

DEVICES = {"smoke-1": "smoke", "door-1": "door"}


@pytest.fixture
def puppets() -> Puppets:
    return Puppets()


@pytest.fixture
async def state(tmp_path: Path, puppets: Puppets) -> AsyncIterator[Path]:
    """The state folder of a running gateway."""
    async with living(config(tmp_path, DEVICES), puppets) as house:
        yield house.config.gateway.state_dir


def error(answer: Any) -> str:
    """What it says, in both languages."""
    assert set(answer) == {"error"}
    assert answer["error"]["zh"]
    return str(answer["error"]["en"])


async def test_status(state: Path) -> None:
    answer = await ask(state, "status")
    assert set(answer) == {"version", "word", "health"}
    assert (answer["version"], answer["word"]) == (__version__, "unknown")
    assert answer["health"]["gateway"] == "gw-0001"


async def test_devices(state: Path, puppets: Puppets) -> None:
    await (await puppets.link("smoke-1")).seen("smoke-1")
    smoke, door = await ask(state, "devices")
    assert smoke.pop("last_seen")
    assert smoke == {
        "device": "smoke-1", "online": True, "state": "normal", "alarms": [], "values": {}, "label": "smoke-1",
        "place": "gate", "place_label": "大门", "building": "大门", "kind": "smoke", "driver": "puppet",
    }  # fmt: skip
    assert (door["device"], door["state"], "last_seen" in door) == ("door-1", "unknown", False)


async def test_alarms_and_outbox(state: Path, puppets: Puppets) -> None:
    identity = await puppets.emit("smoke-1", "fire.smoke", "raise")
    await puppets.emit("door-1", "door.open", "raise")  # no alarm
    (alarm,) = await ask(state, "alarms")
    assert (alarm["alarm"], alarm["type"], alarm["state"]) == (identity, "fire.smoke", "active_unacked")
    assert await ask(state, "outbox") == {}


async def test_many_questions_on_one_connection(state: Path) -> None:
    async with Client(state) as client:
        for question in ("alarms", "devices", "alarms"):
            assert isinstance(await client.ask(question), list)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b'{"ask": "open-sesame"}', "no such question: open-sesame"),
        (b"{}", "ask"),
        (b"hello", "JSON"),
        (b"[1]", "JSON object"),
        (b"null", "JSON object"),
        (b"\xff\xfe{", "JSON"),
        (b"[" * 20_000, "JSON"),
        (b'{"ask": ["status"]}', "ask"),
        (b'{"ask": "ack"}', "alarm"),
        (b'{"ask": "ack", "alarm": "01a207de"}', "who"),
        (b'{"ask": "ack", "alarm": "x", "who": "me", "outcome": "nice"}', "outcome"),
        (b'{"ask": "ack", "alarm": "x", "who": "me", "note": 5}', "note"),
        (b'{"ask": "ack", "alarm": "x", "who": "me"}', "no such open alarm"),
        (b'{"ask": "events", "limit": null}', "limit"),
        (b'{"ask": "events", "limit": -1}', "limit"),
        (b'{"ask": "events", "limit": "many"}', "limit"),
        (b'{"ask": "events", "types": 5}', "types"),
        (b'{"ask": "events", "types": "fire.*"}', "types"),
        (b'{"ask": "events", "devices": [1]}', "devices"),
        (b'{"ask": "events", "since_ms": "yesterday"}', "since_ms"),
        (b'{"ask": "follow", "types": 5}', "types"),
    ],
)
async def test_nonsense_is_told_and_the_connection_lives(state: Path, sent: bytes, said: str) -> None:
    async with Client(state) as client:
        assert said in error(await client.raw(sent + b"\n"))
        assert await client.ask("alarms") == []


async def test_a_line_that_is_too_long_is_told_and_the_daemon_lives(state: Path) -> None:
    async with Client(state) as client:
        assert str(LINE_BYTES) in error(await client.raw(b'{"ask": "' + b"x" * 2 * LINE_BYTES + b'"}\n'))
        assert await client.line() is None  # what follows cannot be told from its middle
    assert await ask(state, "alarms") == []


async def test_half_a_question_and_away(state: Path) -> None:
    async with Client(state) as client:
        client.writer.write(b'{"ask": "sta')
    assert await ask(state, "alarms") == []


async def test_only_owner_and_group_may_ask_and_nothing_is_left(tmp_path: Path) -> None:
    made = config(tmp_path, DEVICES)
    path = made.gateway.state_dir / NAME
    async with living(made, Puppets()):
        mode = path.stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o660
    assert not path.exists()


async def test_a_socket_that_a_killed_daemon_left_is_no_obstacle(tmp_path: Path) -> None:
    made = config(tmp_path, DEVICES)
    made.gateway.state_dir.mkdir()
    server = await asyncio.start_unix_server(lambda _r, _w: None, made.gateway.state_dir / NAME)
    server.close()
    async with living(made, Puppets()):
        assert await ask(made.gateway.state_dir, "alarms") == []


async def test_a_state_folder_with_a_long_path(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    async with living(config(deep, DEVICES), Puppets()) as house:
        assert (house.config.gateway.state_dir / NAME).is_socket()
    assert not (house.config.gateway.state_dir / NAME).exists()


# --- follow


async def test_several_follow_each_by_its_own_filter(state: Path, puppets: Puppets) -> None:
    async with Client(state) as all_, Client(state) as fire, Client(state) as door:
        assert await all_.ask("follow") == "following"
        await fire.ask("follow", types=["fire.*"])
        await door.ask("follow", devices=["door-1"])
        first = await puppets.emit("door-1", "access.granted")
        second = await puppets.emit("smoke-1", "fire.smoke", "raise")
        third = await puppets.emit("door-1", "door.open", "raise")
        assert [(await all_.line())["id"] for _ in range(3)] == [first, second, third]
        assert (await fire.line())["id"] == second
        assert [(await door.line())["id"] for _ in range(2)] == [first, third]


async def test_only_what_comes_from_now_on(state: Path, puppets: Puppets) -> None:
    await puppets.emit("door-1", "access.granted")
    async with Client(state) as client:
        await client.ask("follow")
        later = await puppets.emit("door-1", "access.granted")
        assert (await client.line())["id"] == later


async def test_one_that_leaves_leaves_nothing_behind(tmp_path: Path, puppets: Puppets) -> None:
    async with living(config(tmp_path, DEVICES), puppets) as house:
        before = len(house.store.listeners)
        for _ in range(5):
            async with Client(house.config.gateway.state_dir) as client:
                await client.ask("follow")
                assert len(house.store.listeners) == before + 1
            await until(house, lambda: len(house.store.listeners) == before)  # though not a single event came
        await until(house, lambda: "control client" not in {task.get_name() for task in asyncio.all_tasks()})


async def test_a_slow_one_holds_up_nobody(tmp_path: Path, puppets: Puppets) -> None:
    async with living(config(tmp_path, DEVICES), puppets) as house:
        state = house.config.gateway.state_dir
        async with Client(state) as slow, Client(state) as quick:
            await slow.ask("follow")
            await quick.ask("follow")
            for _ in range(10):
                await asyncio.gather(*(puppets.emit("door-1", "access.granted") for _ in range(300)))
            arrived = [(await quick.line())["id"] for _ in range(3000)]
            assert len(await ask(state, "events", limit=10)) == 10
            late = [(await slow.line())["id"] for _ in range(3000)]
            assert late == arrived == [event["id"] for event in await disk(house)]


async def test_followers_do_not_hold_up_the_end(tmp_path: Path, puppets: Puppets) -> None:
    made = config(tmp_path, DEVICES)
    async with living(made, puppets):
        client = await Client(made.gateway.state_dir).__aenter__()
        await client.ask("follow")
    assert await client.line() is None
    client.writer.close()


async def test_resend_by_the_socket_and_the_letters_in_the_list(tmp_path: Path) -> None:
    made = config(tmp_path, {"door-1": "door"}, {"district": to(free_port())})
    puppets = Puppets()
    async with living(made, puppets) as house:
        await puppets.emit("door-1", "access.granted")
        state = made.gateway.state_dir
        answer = await ask(state, "resend", stream="district.event", **{"from": 1})
        assert (answer["count"], answer["gone"]) == (0, [])  # not confirmed yet: on its way anyway
        row = (await house.store.rows(Lane.EVENT, 0, 1))[0]
        put = partial(put_dead, uplink="district", lane=Lane.EVENT, row=row, reason="too-large")
        await house.store.transact(put)
        (letter,) = (await ask(state, "outbox"))["district"]["dead"]
        assert (letter["stream"], letter["sequence"]) == ("district.event", f"{1:016d}")
        assert (letter["type"], letter["reason"]) == ("access.granted", "too-large")
        async with Client(state) as client:
            refused = await client.raw(b'{"ask": "resend", "stream": "fire.event", "from": 1}\n')
        assert "district.event" in refused["error"]["en"]
        assert "district.event" in refused["error"]["zh"]
