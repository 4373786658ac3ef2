"""Commands and answers in the AsyncAPI document: what the daemon reads and says is what it tells of."""

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft7Validator
from pydantic import ValidationError

from gateway import asyncapi, commands, orders
from gateway.arguments import ARGUMENTS
from gateway.mqtt import Message
from gateway.sections import ALWAYS_ALLOWED, Action
from tests.rig import BASE, rig

META = Path(__file__).parents[1] / "golden" / "asyncapi" / "3.0.0.json"
NOW = datetime(2026, 11, 23, 10, 6, 19, tzinfo=UTC)


@cache
def api() -> dict[str, Any]:
    return asyncapi.document()


def validator(message: str) -> Draft7Validator:
    """Of its payload."""
    payload = api()["components"]["messages"][message]["payload"]
    return Draft7Validator(payload | {"components": api()["components"]})


@pytest.mark.parametrize("message", ["command", "reply"])
def test_every_example_is_valid_and_nothing_needed_may_be_missing(message: str) -> None:
    needed = {"command": ("id", "action", "expires", "issuer"), "reply": ("status", "code", "message", "time")}
    for example in api()["components"]["messages"][message]["examples"]:
        validator(message).validate(example["payload"])
        for name in needed[message]:
            assert not validator(message).is_valid({n: v for n, v in example["payload"].items() if n != name})


def test_the_document_is_still_valid_asyncapi_3() -> None:
    meta = Draft7Validator(json.loads(META.read_text()))
    assert [error.message for error in meta.iter_errors(api())] == []
    command = api()["operations"]["receive-command"]
    assert (command["action"], command["reply"]["channel"]) == ("receive", {"$ref": "#/channels/reply"})
    broken = api() | {"operations": {"receive-command": command | {"action": "take"}}}
    assert not meta.is_valid(broken)


def test_topics_are_the_contracts() -> None:
    channels = api()["channels"]
    assert channels["command"]["address"].endswith("/{gateway}/command/{device}")
    assert channels["reply"]["address"].endswith("/{gateway}/reply/{request}")


ALWAYS = [example for example in orders.commands() if example["action"] in ALWAYS_ALLOWED]


@pytest.mark.parametrize("example", ALWAYS, ids=lambda example: str(example["action"]))
async def test_the_daemon_takes_each_example_and_answers_as_it_is_told(tmp_path: Path, example: dict[str, Any]) -> None:
    example = example | {"expires": "2099-01-01T00:00:00Z"}
    orders.Command.model_validate(example)
    async with rig(tmp_path, "district") as made:
        uplink = made.uplink("district", lambda _: pytest.fail("nobody connects"))
        message = Message(f"{BASE}/command/gateway", json.dumps(example).encode())
        for code in ("ok", "duplicate"):
            answer = json.loads((await uplink.parts.desk.answer(message)).payload)
            assert answer["code"] == code
            orders.Answer.model_validate_json(json.dumps(answer))
            validator("reply").validate(answer)


def test_what_cannot_be_read_is_no_command_and_its_answer_has_no_id() -> None:
    with pytest.raises(commands.Refused):
        commands.read(Message(f"{BASE}/command/gateway", b"{}"), "gateway", NOW)
    answer = {"status": "refused", "code": "bad-json", "message": "不是 JSON 对象", "time": "2026-11-23T10:06:19.123Z"}
    orders.Answer.model_validate(answer)
    with pytest.raises(ValidationError):
        orders.Answer.model_validate(answer | {"code": "maybe"})


def test_the_codes_and_actions_are_the_daemons() -> None:
    assert set(commands.STATUS) <= set(get_args(orders.Code))
    assert set(get_args(Action)) == commands.ON_DEVICES | commands.ON_GATEWAY
    assert set(ARGUMENTS) == set(get_args(Action))


ARGS: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {  # what each takes, and what it does not
    "unlock": ([{}, {"seconds": 2.5}], [{"seconds": 0}, {"seconds": "5"}, {"seconds": True}, {"second": 5}]),
    "lock": ([{}], [{"seconds": 5}]),
    "output": ([{"number": 1, "state": "on"}], [{"number": 1}, {"number": -1, "state": True}, {"state": True}]),
    "test": ([{"seconds": 0}], [{}]),
    "shelve": ([{"seconds": 28800, "reason": "dust"}], [{"seconds": 28801, "reason": "dust"}, {"seconds": 1}]),
    "shield": ([{"seconds": 60, "reason": "works"}], [{"seconds": 0, "reason": "works"}]),
    "unshield": ([{"reason": "done"}], [{"reason": ""}]),
    "acknowledge": ([{"alarm": "abcdef", "note": "seen"}], [{}, {"alarm": "abc"}]),
    "dispose": ([{"alarm": "abcdef", "outcome": "drill"}], [{"alarm": "abcdef", "outcome": "maybe"}]),
    "drill": ([{"seconds": 1}, {"place": "b3", "seconds": 0}], [{"place": "b3"}]),
    "resend": ([{"stream": "a.event", "from": f"{7:016d}", "to": 9}], [{"stream": "a.none", "from": 1}]),
}


@pytest.mark.parametrize("action", ARGS)
def test_what_the_document_says_of_arguments_is_what_the_daemon_takes(action: str) -> None:
    right, wrong = ARGS[action]
    whole = {"id": "c-1", "action": action, "expires": "2099-01-01T00:00:00Z", "issuer": "duty"}
    for args in right:
        ARGUMENTS[action].model_validate(args)
        validator("command").validate(whole | {"args": args})
    for args in wrong:
        assert not validator("command").is_valid(whole | {"args": args}), args
        with pytest.raises(ValidationError):
            ARGUMENTS[action].model_validate(args)


@pytest.mark.parametrize("example", orders.commands(), ids=lambda example: str(example["action"]))
def test_the_arguments_of_each_example_are_right(example: dict[str, Any]) -> None:
    ARGUMENTS[example["action"]].model_validate(example.get("args", {}))
