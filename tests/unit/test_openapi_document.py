"""The description of the HTTP interface: the same wherever one gets it, and complete enough to write a client from."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.web.api import described
from tests.houses import Puppets, config, living
from tests.visitors import known, visiting

DOCUMENT = described()
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]
OURS = [(name, operation) for name, operation in OPERATIONS if operation.get("tags")]


async def test_what_is_served_is_what_the_command_prints(tmp_path: Path) -> None:
    printed = CliRunner().invoke(app, ["schema", "openapi"])
    async with living(config(tmp_path, {}), Puppets()) as house, visiting(house, known("duty")) as client:
        served = await client.get("/openapi.json")
    assert (printed.exit_code, json.loads(printed.output)) == (0, served.json())
    assert served.json() == DOCUMENT


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for _, operation in OPERATIONS]
    assert len(names) == len(set(names))
    assert len(OURS) > 25


@pytest.mark.parametrize(("name", "operation"), OURS)
def test_refusals_are_described(name: str, operation: dict[str, Any]) -> None:
    said = set(operation["responses"])
    assert "422" not in said
    assert operation["summary"]
    if not name.endswith("/healthz"):
        assert {"200", "400", "401", "403", "503"} <= said
    if "{" in name:
        assert "404" in said
    if name.startswith("POST"):
        assert "415" in said


def test_one_model_of_refusals() -> None:
    refusal = {"$ref": "#/components/schemas/Error"}
    for name, operation in OURS:
        for status, answer in operation["responses"].items():
            if status[0] in "45" and not (name.endswith("/readyz") and status == "503"):
                assert answer["content"]["application/json"]["schema"] == refusal, (name, status)
    assert "HTTPValidationError" not in DOCUMENT["components"]["schemas"]
