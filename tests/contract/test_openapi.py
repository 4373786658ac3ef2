"""Every operation of the HTTP interface against its own description, on a real socket: schemathesis, all checks."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from fastapi import Request
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection

from gateway.audit import By
from gateway.house import House
from gateway.web import bind, create, guard, serve
from gateway.web.visitor import RIGHTS, Visitor
from tests.houses import Puppets, config, living

TOKEN = "t" * 43
MACHINE = Visitor("rig", "platform", frozenset(RIGHTS), fresh=True)
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
EXAMPLES = 12  # of each operation, in each way
LISTS = {"/api/v1/events", "/api/v1/export.csv", "/api/v1/export.xlsx"}  # in a URL, 5 for a list of texts is ["5"]
NOT_OURS = {"/ingest/{device}", "/public.json", "/api/v1/reports/{name}", "/api/v1/events/stream"}


class ByToken:
    """Who has the token may do all; nobody else is known."""

    async def visitor(self, request: Request) -> Visitor | None:
        """The machine."""
        return MACHINE if request.headers.get("authorization") == HEADERS["Authorization"] else None


@asynccontextmanager
async def served(house: House) -> AsyncIterator[str]:
    """The house's page on a socket of its own; where it is."""
    sockets = bind("127.0.0.1", 0)
    port = sockets[0].getsockname()[1]
    async with serve(create(house, ByToken()), sockets):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """With something of everything: a fire, a door that takes commands, a denied card, a drill, a line in the log."""
    puppets, by = Puppets(), By("王师傅", "duty", "page")
    async with living(config(tmp_path, {"smoke-1": "smoke", "door-1": "door"}), puppets) as made:
        await puppets.emit("smoke-1", "fire.smoke", "raise", smoke_obscuration=1.32)
        await puppets.emit("door-1", "access.denied")
        await made.duty.acknowledge(made.alarms()[0]["alarm"], by, "看过")
        await made.covers.drill("gate", 3600, by)
        yield made


async def test_every_operation_does_as_it_says(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "REFUSED_S", 0.0)
    async with served(house) as base:
        document = await asyncio.to_thread(lambda: httpx.get(f"{base}/openapi.json", headers=HEADERS).json())
        real = {"device": "door-1", "alarm": house.alarms()[0]["alarm"]}
        problems = await asyncio.to_thread(_problems, document, base, real)
    assert not problems, "\n\n".join(problems)


def _problems(document: dict[str, Any], base: str, real: Mapping[str, str]) -> list[str]:
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=base)
    found = []
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]  # else it raises
        if operation.path in NOT_OURS:
            continue
        ours = {name: value for name, value in real.items() if f"{{{name}}}" in operation.path}
        cases = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]
        cases += [operation.as_strategy(path_parameters=ours)] if ours else []  # of what there is
        found += [f"{operation.label}: {told}" for case in cases for told in _tried(case, operation.path in LISTS)]
    return found


def _tried(cases: SearchStrategy[Any], lists: bool) -> list[str]:
    without = [negative_data_rejection] if lists else []

    @given(case=cases)
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def attempt(case: Any) -> None:
        case.call_and_validate(headers=HEADERS, excluded_checks=without, timeout=10)

    try:
        attempt()
    except Unsatisfiable:  # it takes nothing that could be wrong
        return []
    except (FailureGroup, AssertionError, httpx.HTTPError) as error:
        return [str(error)]
    return []
