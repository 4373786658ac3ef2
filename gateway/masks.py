"""A configuration's text with its secrets hidden, to be shown to people; and the difference of two."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from gateway.yamltext import compose

HIDDEN = '"***"'
_TAGS = ("!file", "!env", "!include")  # these only say where a secret is


def secret_keys(models: Iterable[type[BaseModel]]) -> frozenset[str]:
    """Every key under which one of the models, or one inside them, has a secret."""
    return frozenset(name for model in models for name in _secrets(model, set()))


def _secrets(kind: Any, seen: set[Any]) -> Iterator[str]:
    if isinstance(kind, type) and issubclass(kind, BaseModel) and kind not in seen:
        seen.add(kind)
        for name, field in kind.model_fields.items():
            if SecretStr in _inside(field.annotation):
                yield field.alias or name
            yield from _secrets(field.annotation, seen)
    for inner in get_args(kind):
        yield from _secrets(inner, seen)


def _inside(kind: Any) -> set[Any]:
    return {kind}.union(*(_inside(inner) for inner in get_args(kind))) if get_args(kind) else {kind}


def masked(text: str, keys: frozenset[str]) -> str:
    """The text of a valid YAML file, each plain value under one of `keys` hidden, whatever its style."""
    node = compose(Path("gateway.yaml"), text)
    spans = [] if node is None else sorted(set(_spans(node, keys, hide=False)))
    made, at = [], 0
    for start, end in spans:
        made += [text[at:start], HIDDEN, "\n" * text[start:end].count("\n")]
        at = end
    return "".join([*made, text[at:]])


def _spans(node: Node, keys: frozenset[str], *, hide: bool) -> Iterator[tuple[int, int]]:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield from _spans(value, keys, hide=hide or key.value in keys)
    elif isinstance(node, SequenceNode):
        for item in node.value:
            yield from _spans(item, keys, hide=hide)
    elif isinstance(node, ScalarNode) and hide and str(node.tag) not in _TAGS:
        yield node.start_mark.index, node.end_mark.index


def difference(old: Mapping[str, str], new: Mapping[str, str], names: tuple[str, str]) -> list[str]:
    """Unified diff of all files of two revisions, as lines; empty where they say the same."""
    lines: list[str] = []
    for file in dict.fromkeys([*old, *new]):
        before, after = old.get(file, "").splitlines(), new.get(file, "").splitlines()
        lines += difflib.unified_diff(before, after, f"{names[0]}/{file}", f"{names[1]}/{file}", lineterm="")
    return lines
