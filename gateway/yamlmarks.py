"""YAML that remembers file, line and column of every key and value, and brings other files and variables in.

`!file PATH` is the text of a file without its final newline, `!env NAME` an environment variable, `!include FILE` a
part in YAML whose positions point into that file. Paths are relative to the YAML file that names them. Nothing is
raised: what cannot be read becomes a problem, and reading goes on, so that all problems are told at once.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from gateway.errors import Text
from gateway.problems import KeyPath, Problem, allowed, joined, key_text
from gateway.yamltext import Mark, Unreadable, compose, read_text

MOST_VALUES = 200_000  # of the whole, so that a few anchors or includes cannot fill the memory
_TAGS = ("!file", "!env", "!include")
_STANDARD = "tag:yaml.org,2002:"
_KNOWN = {f"{_STANDARD}{kind}" for kind in ("null", "bool", "int", "float", "str", "timestamp", "value", "map", "seq")}
_FINAL_NEWLINE = re.compile(r"\r?\n\Z")
_NUMBERS = YAML(typ="safe", pure=True).constructor


@dataclass(frozen=True)
class Shelf:
    """Where YAML comes from: kept texts (by path from the main file's folder) go before those on disk.

    With `within`, nothing is brought in by an absolute path or from outside that folder.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    within: Path | None = None

    def bars(self, file: Path, name: str) -> bool:
        """May `file` not bring in `name`?"""
        if self.within is None:
            return False
        inside = Path(os.path.normpath(file.parent / name)).is_relative_to(os.path.normpath(self.within))
        return Path(name).is_absolute() or not inside


@dataclass
class Document:
    """Plain values (dict, list, str, int, float, bool, None) with the marks of keys and values by their path."""

    file: Path
    value: Any = None
    keys: dict[KeyPath, Mark] = field(default_factory=dict)
    values: dict[KeyPath, Mark] = field(default_factory=dict)
    broken: set[KeyPath] = field(default_factory=set)  # values that could not be had
    problems: list[Problem] = field(default_factory=list)
    files: set[Path] = field(default_factory=set)  # every file that was read, as it is named
    texts: dict[str, str] = field(default_factory=dict)  # of all YAML read, the main file first; paths as in Shelf
    brought: set[KeyPath] = field(default_factory=set)  # values that came by !file or !env

    def mark(self, path: KeyPath, key: bool = False) -> Mark:
        """Where the value stands (or its key); of what is not there, where its nearest parent stands."""
        found = self.keys.get(path) if key else None
        if found or path in self.values:
            return found or self.values[path]
        return self.mark(path[:-1], key=True) if path else Mark(self.file, 1, 1)

    def folder(self, path: KeyPath) -> Path:
        """What paths in this value are relative to: the folder of the file in which it stands."""
        return self.mark(path).file.parent

    def problem(self, path: KeyPath, what: Text, key: bool = False) -> Problem:
        """A problem with the value at `path` (or with its key)."""
        return Problem(*self.mark(path, key), key_text(path), what)

    def refuse(self, path: KeyPath, mark: Mark, what: Text) -> None:
        """The value at `path` cannot be had."""
        self.broken.add(path)
        self.problems.append(Problem(*mark, key_text(path), what))


ON_DISK = Shelf()


def read(file: Path, shelf: Shelf = ON_DISK) -> Document:
    """Reads a YAML file with all that it includes; what is wrong stands in the document's `problems`."""
    document = Document(file)
    try:
        document.value = _Reader(document, shelf).part(file, (), Mark(file, 1, 1), ())
    except Unreadable as exc:
        document.refuse((), exc.mark, exc.what)
    except RecursionError:
        document.refuse((), Mark(file, 1, 1), Text("nested too deeply", "嵌套过深"))
    return document


class _Source(NamedTuple):
    """Where nodes come from, and what they stand in."""

    file: Path
    files: tuple[Path, ...]  # being read, the last one is this
    nodes: tuple[int, ...] = ()  # ids of the nodes around

    def mark(self, node: Node) -> Mark:
        return Mark(self.file, node.start_mark.line + 1, node.start_mark.column + 1)


class _Reader:
    """Turns the nodes of a document and its parts into values."""

    def __init__(self, document: Document, shelf: Shelf) -> None:
        self._document = document
        self._shelf = shelf
        self._count = 0

    def part(self, file: Path, path: KeyPath, asked: Mark, files: tuple[Path, ...]) -> Any:
        """The content of a YAML file, which `asked` wants at `path` while `files` are being read."""
        real = Path(os.path.realpath(file))  # unlike Path.resolve(), at peace with links that go in a circle
        if real in files:
            loop = Text(f"{file} includes itself in the end", f"{file} 循环引用了自身")
            return self._document.refuse(path, asked, loop)
        name = os.path.relpath(file, self._document.file.parent)
        try:
            text = self._shelf.texts[name] if name in self._shelf.texts else read_text(file, asked)
            self._document.texts[name] = text
            node = compose(file, text)
        except Unreadable as exc:
            return self._document.refuse(path, exc.mark, exc.what)
        self._document.files.add(file)
        if node is None:
            return self._document.refuse(path, Mark(file, 1, 1), Text(f"{file.name} is empty", f"{file.name} 是空的"))
        return self._value(node, _Source(file, (*files, real)), path)

    def _value(self, node: Node, source: _Source, path: KeyPath) -> Any:
        mark = self._document.values[path] = source.mark(node)
        self._count += 1
        if self._count > MOST_VALUES:
            raise Unreadable(mark, Text(f"more than {MOST_VALUES} values", f"超过 {MOST_VALUES} 个值"))
        if id(node) in source.nodes:
            return self._document.refuse(path, mark, Text("this contains itself", "此处引用了自身"))
        if str(node.tag) not in _KNOWN:
            return self._brought(node, source, path, mark)
        if isinstance(node, ScalarNode):
            if _is_text(node.value):
                return _scalar(node)
            return self._document.refuse(path, mark, Text("a character that no text holds", "含有文本中不应有的字符"))
        inside = source._replace(nodes=(*source.nodes, id(node)))
        if isinstance(node, MappingNode):
            return self._mapping(node, inside, path)
        return [self._value(item, inside, (*path, index)) for index, item in enumerate(node.value)]

    def _mapping(self, node: MappingNode, source: _Source, path: KeyPath) -> dict[str, Any]:
        """Keys are text as it stands in the file; the first of two equal ones counts."""
        made: dict[str, Any] = {}
        for key, value in node.value:
            mark = source.mark(key)
            if not isinstance(key, ScalarNode) or not _is_text(key.value):
                plain = Text("a key is a plain word", "键必须是普通文本")
                self._document.problems.append(Problem(*mark, key_text(path), plain))
                continue
            name = (*path, key.value)
            if key.value in made:
                first = self._document.keys[name]
                where = f"{first.line}" if first.file == mark.file else f"{first.file}:{first.line}"
                twice = Text(
                    f"this key stands twice: first in line {where}, again in line {mark.line}",
                    f"键重复:第 {where} 行已有,第 {mark.line} 行又出现",
                )
                self._document.problems.append(Problem(*mark, key_text(name), twice))
                continue
            self._document.keys[name] = mark
            made[key.value] = self._value(value, source, name)
        return made

    def _brought(self, node: Node, source: _Source, path: KeyPath, mark: Mark) -> Any:
        """What `!file`, `!env` or `!include` stands for."""
        tag, name = str(node.tag), node.value
        if tag not in _TAGS or not isinstance(name, str) or not name or not _is_text(name):
            what = Text(f"{tag} cannot be used so", f"不能这样使用 {tag}")
            return self._document.refuse(path, mark, joined(what, allowed(tag, _TAGS)))
        if tag != "!env" and self._shelf.bars(source.file, name):
            what = Text(
                f"{tag} may only name files in the gateway's configuration folder, by a relative path",
                f"{tag} 只能用相对路径引用网关配置目录内的文件",
            )
            return self._document.refuse(path, mark, what)
        if tag == "!include":
            return self.part(source.file.parent / name, path, mark, source.files)
        if tag == "!env":
            text, empty = os.environ.get(name, ""), f"${name}"
        else:
            empty = str(source.file.parent / name)
            try:
                text = _FINAL_NEWLINE.sub("", read_text(source.file.parent / name, mark))
                self._document.files.add(source.file.parent / name)
            except Unreadable as exc:
                return self._document.refuse(path, exc.mark, exc.what)
        if not text or not _is_text(text):
            self._document.refuse(
                path, mark, Text(f"{empty} is empty, not set or no text", f"{empty} 为空、未设置或不是文本")
            )
            return None
        self._document.brought.add(path)
        return text


def _is_text(value: str) -> bool:
    """No lone surrogates and no NUL, which YAML's escapes can name and no file's name or UTF-8 can hold."""
    return not any("\ud800" <= letter <= "\udfff" or letter == "\0" for letter in value)


def _scalar(node: ScalarNode) -> Any:
    """YAML 1.2: `true`, `12`, `1.5`, `~`; dates stay text, as does what looks like a number and is none."""
    kind = str(node.tag).removeprefix(_STANDARD)
    if kind == "null":
        return None
    if kind == "bool":
        return node.value.lower() in ("true", "yes", "on", "y")
    if kind in ("int", "float"):
        try:
            return _NUMBERS.construct_yaml_int(node) if kind == "int" else _NUMBERS.construct_yaml_float(node)
        except (ValueError, IndexError):
            return node.value
    return node.value
