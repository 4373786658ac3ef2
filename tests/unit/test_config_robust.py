"""load() meets anything: every error has its sentence, and no damaged file does more than raise ConfigProblems."""

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gateway.config import Config, ConfigProblems, load
from gateway.explain import SENTENCES, choices, keys_at
from gateway.fields import DeviceConfig
from tests.unit.configs import DRIVERS, VALID, real_drivers, write

BOUNDS = {"gt": "greater_than", "ge": "greater_than_equal", "lt": "less_than", "le": "less_than_equal"}


def error_types(schema: Any) -> Iterator[str]:
    """The types of error that a core schema's validators may raise."""
    kinds = {
        "str": ["string_type", "string_unicode", "string_pattern_mismatch", "string_too_short", "string_too_long"],
        "int": ["int_type", "int_parsing", "int_parsing_size", "int_from_float", "multiple_of"],
        "float": ["float_type", "float_parsing", "finite_number"],
        "bool": ["bool_type", "bool_parsing"],
        "date": ["date_type", "date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"],
        "time": ["time_type", "time_parsing"],
        "literal": ["literal_error"],
        "enum": ["enum"],
        "dict": ["dict_type", "too_short", "too_long"],
        "list": ["list_type", "too_short", "too_long"],
        "tuple": ["tuple_type", "too_short", "too_long", "missing"],
        "set": ["set_type", "set_item_not_hashable"],
        "frozenset": ["frozen_set_type", "set_item_not_hashable"],
        "model-fields": ["missing", "extra_forbidden", "model_type", "model_attributes_type"],
        "is-instance": ["is_instance_of"],
        "tagged-union": ["union_tag_invalid", "union_tag_not_found"],
        "lax-or-strict": ["path_type"],
        "function-before": ["value_error", "assertion_error"],
        "function-after": ["value_error", "assertion_error"],
        "function-wrap": ["value_error", "assertion_error"],
        "function-plain": ["value_error", "assertion_error"],
    }
    silent = {"model", "model-field", "nullable", "default", "union", "definitions", "definition-ref", "json-or-python",
              "chain", "any", "to-string", "function", "no-info", "with-info", "none",
              "bytes"}  # fmt: skip  # always behind a validator that makes them of text
    if isinstance(schema, dict):
        kind = schema.get("type")
        if isinstance(kind, str):
            assert kind in kinds or kind in silent or kind.startswith(("format", "model", "include")), kind
            yield from kinds.get(kind, ())
        yield from (name for bound, name in BOUNDS.items() if bound in schema)
        for key, value in schema.items():
            if key not in ("metadata", "serialization", "default", "expected", "ref", "cls"):
                yield from error_types(value)
    elif isinstance(schema, list | tuple):
        for item in schema:
            yield from error_types(item)


@pytest.mark.parametrize("model", [Config, *real_drivers().values()], ids=lambda model: str(model.__module__))
def test_every_error_that_can_occur_has_a_sentence(model: type[DeviceConfig]) -> None:
    found = set(error_types(model.__pydantic_core_schema__))
    assert {"missing", "extra_forbidden", "string_type"} <= found
    assert found - set(SENTENCES) == set()


def test_choices_are_read_out_of_what_pydantic_says() -> None:
    assert choices("'N', 'E' or 'O'") == ["N", "E", "O"]
    assert choices("1 or 2") == ["1", "2"]
    assert choices("'auto', '5' or '3.1.1'") == ["auto", "5", "3.1.1"]
    assert choices("'zh-CN' or 'en'") == ["zh-CN", "en"]


def test_keys_are_found_through_mappings_lists_and_optional_parts() -> None:
    assert keys_at(Config, ("credentials", "list", 0))[:2] == ["card", "doors"]
    assert keys_at(Config, ("site", "places", "b3", "units", "u2"))[-1] == "floors"
    assert keys_at(Config, ("nope", 1)) == []


# properties

PLAIN: dict[str, Any] = YAML(typ="safe", pure=True).load(VALID)
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    "",
    "x",
    "fire.*",
    "gateway",
    [],
    {},
    [[]],
    {"a": {}},
    "2026-01-01",
    "\n",
    "0:0",
]


def places_in(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a tree."""
    items = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    for key, item in items:
        yield value, key
        yield from places_in(item)


def mutate(tree: Any, kind: Literal["delete", "retype", "misspell", "duplicate"], chance: random.Random) -> None:
    container, key = chance.choice(list(places_in(tree)))
    if kind == "delete":
        del container[key]
    elif kind == "retype":
        container[key] = copy.deepcopy(chance.choice(ODD))
    elif kind == "duplicate" and isinstance(container, list):
        container.append(copy.deepcopy(container[key]))
    elif isinstance(container, dict):
        place = chance.randrange(len(str(key)) + 1)
        name = str(key)[:place] + chance.choice("az-_.9 ü") + str(key)[place + (kind == "misspell") :]
        container[name] = copy.deepcopy(container[key]) if kind == "duplicate" else container.pop(key)


MUTATIONS = st.lists(st.sampled_from(["delete", "retype", "misspell", "duplicate"]), min_size=1, max_size=6)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MUTATIONS, st.randoms(use_true_random=False))
def test_no_mutation_does_more_than_raise_config_problems(
    tmp_path: Path, kinds: list[Any], chance: random.Random
) -> None:
    tree = copy.deepcopy(PLAIN)
    for kind in kinds:
        if tree:
            mutate(tree, kind, chance)
    file = tmp_path / "gateway.yaml"
    with file.open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(tree, stream)
    lines = file.read_text(encoding="utf-8").splitlines()
    for problem in told_of(file):
        assert problem.file == file
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
        assert "does not fit:" not in problem.what.en, "a sentence is missing"


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(VALID) - 1), st.integers(0, 12), st.text(alphabet=" \n\t:{}[],\"'#-!&*a0", max_size=6))
def test_no_damaged_text_does_more_than_raise_config_problems(tmp_path: Path, at: int, cut: int, text: str) -> None:
    file = write(tmp_path, VALID[:at] + text + VALID[at + cut :])
    lines = file.read_text(encoding="utf-8").splitlines()
    for problem in told_of(file):
        assert 1 <= problem.line <= max(1, len(lines))
        assert problem.what.zh


def told_of(file: Path) -> tuple[Any, ...]:
    try:
        load(file, DRIVERS)
    except ConfigProblems as exc:
        return exc.problems
    return ()
