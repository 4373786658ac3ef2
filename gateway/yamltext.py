"""Text files as people really save them, and YAML's syntax: what is wrong, where, and in words that help."""

import re
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import Node
from ruamel.yaml.reader import ReaderError

from gateway.errors import Text

LARGEST_BYTES = 8 * 2**20  # of one file
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class Mark(NamedTuple):
    """A place in a file; line and column count from 1."""

    file: Path
    line: int
    column: int


class Unreadable(Exception):
    """A file, or the syntax in it, cannot be read."""

    def __init__(self, mark: Mark, what: Text) -> None:
        super().__init__(mark, what)
        self.mark = mark
        self.what = what


def read_text(file: Path, asked: Mark) -> str:
    """The text of a UTF-8 file, with or without a byte order mark. Unreadable: at `asked`, or where it is not UTF-8."""
    try:
        if not file.is_file():
            missing = Text(f"{file} is not there, or no file", f"{file} 不存在,或不是文件")
            raise Unreadable(asked, missing)
        with file.open("rb") as opened:
            data = opened.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as exc:
        why = getattr(exc, "strerror", None) or str(exc)
        raise Unreadable(asked, Text(f"{file} cannot be read: {why}", f"无法读取 {file}:{why}")) from exc
    if len(data) > LARGEST_BYTES:
        raise Unreadable(
            asked, Text(f"{file} is larger than {LARGEST_BYTES} bytes", f"{file} 超过 {LARGEST_BYTES} 字节")
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise Unreadable(_byte_mark(file, data, exc.start), _encoding(data)) from exc


def _byte_mark(file: Path, data: bytes, start: int) -> Mark:
    before = data[:start].decode("utf-8-sig", errors="replace")
    return Mark(file, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def _encoding(data: bytes) -> Text:
    try:
        data.decode("gb18030")
        seems_en, seems_zh = (" (it seems to be GBK)", "(似乎是 GBK)")
    except UnicodeDecodeError:
        seems_en = seems_zh = ""
    if data.startswith(_UTF16):
        seems_en, seems_zh = (" (it is UTF-16)", "(是 UTF-16)")
    return Text(f"this is not UTF-8{seems_en}: save the file as UTF-8", f"不是 UTF-8 编码{seems_zh}:请另存为 UTF-8")


_SYNTAX = (  # what ruamel.yaml says → what helps; `True` where its context is the better place to show
    (
        r"character '\\t'",
        Text("a tab stands here: indent with spaces", "此处有制表符(Tab):请用空格缩进"),
        False,
    ),
    (
        r"mapping values are not allowed",
        Text(
            'a ":" too many, or wrong indentation; text with ": " in it needs quotes',
            '多了一个 ":",或缩进不对;含 ": " 的文本请加引号',
        ),
        False,
    ),
    (
        r"could not find expected ':'",
        Text('a key without ":"; write "key: value", with a space', '键后面缺少 ":";请写成 "key: value"(冒号后有空格)'),
        True,
    ),
    (
        r"expected <block end>|did not find expected",
        Text("wrong indentation: it fits no line above", "缩进不对:与上面各行都不对齐"),
        False,
    ),
    (
        r"expected ',' or ['\"][\]}]",
        Text("this bracket is not closed, or a comma is missing", "括号没有闭合,或缺少逗号"),
        True,
    ),
    (r"unexpected end of stream", Text("this quote is not closed", "引号没有闭合"), True),
    (
        r"unknown escape",
        Text("not a known escape; use single quotes: 'C:\\dir'", "转义无效;请改用单引号:'C:\\dir'"),
        False,
    ),
    (
        r"undefined alias",
        Text("an alias (*name) without its anchor (&name)", "别名(*name)没有对应的锚点(&name)"),
        False,
    ),
    (r"found duplicate anchor", Text("this anchor (&name) stands twice", "锚点(&name)重复"), False),
    (r"another document", Text("only one document: take the --- away", "只能有一个文档:请删除 ---"), False),
    (
        r"cannot start any token",
        Text("a value cannot begin with this character: put it in quotes", "值不能以此字符开头:请加引号"),
        False,
    ),
)


def compose(file: Path, text: str) -> Node | None:
    """The nodes of one YAML document; None for an empty one. Unreadable: the syntax is wrong."""
    try:
        return YAML(typ="safe", pure=True).compose(text)  # type: ignore[no-any-return]
    except ReaderError as exc:
        before = text[: exc.position]
        column = len(before) - (before.rfind("\n") + 1) + 1
        what = Text("a character that no text file holds", "含有文本文件不应有的字符")
        raise Unreadable(Mark(file, before.count("\n") + 1, column), what) from exc
    except MarkedYAMLError as exc:
        raise _syntax(file, text, exc) from exc
    except (ValueError, OverflowError) as exc:  # "\\UFFFFFFFF" in quotes
        line = text[: max(0, text.find("\\U"))].count("\n") + 1
        raise Unreadable(Mark(file, line, 1), Text("an escape that names no character", "转义不是有效字符")) from exc


def _syntax(file: Path, text: str, error: MarkedYAMLError) -> Unreadable:
    said = str(error.problem or error.context)
    found = next(((what, start) for pattern, what, start in _SYNTAX if re.search(pattern, said)), None)
    what, start = found or (Text(f"not YAML: {said}", f"不是有效的 YAML:{said}"), False)
    mark = (error.context_mark if start else None) or error.problem_mark or error.context_mark
    last = max(1, len(text.splitlines()))
    if mark is None:
        return Unreadable(Mark(file, last, 1), what)
    return Unreadable(Mark(file, min(mark.line + 1, last), mark.column + 1), what)
