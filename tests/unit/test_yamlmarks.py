"""YAML with marks: positions, tags that bring values in, and clear answers to files that are none."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import yamlmarks
from gateway.yamlmarks import Document, read
from gateway.yamltext import Unreadable, compose


def write(folder: Path, text: str | bytes, name: str = "a.yaml") -> Path:
    file = folder / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def read_of(folder: Path, text: str | bytes) -> Document:
    return read(write(folder, text))


def said(document: Document, language: str = "en") -> list[str]:
    """Every problem without the folder's name."""
    return [p.say(language).replace(f"{document.file.parent}/", "") for p in document.problems]


def test_every_key_and_value_has_its_place(tmp_path: Path) -> None:
    document = read_of(tmp_path, "a: 1\nb:\n  - x\n  - {c: y}\n")
    assert document.value == {"a": 1, "b": ["x", {"c": "y"}]}
    assert document.mark(("a",))[1:] == (1, 4)
    assert document.mark(("b",), key=True)[1:] == (2, 1)
    assert document.mark(("b", 0))[1:] == (3, 5)
    assert document.mark(("b", 1, "c"))[1:] == (4, 9)


def test_what_is_not_there_is_shown_where_its_parent_stands(tmp_path: Path) -> None:
    document = read_of(tmp_path, "a: 1\nb:\n  c: 2\n")
    assert document.mark(("b", "d", "e"))[1:] == (2, 1)
    assert document.mark(("z",))[1:] == (1, 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("013", 13),
        ("0o13", 11),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("true", True),
        ("off", "off"),
        ("~", None),
        ("2026-05-01", "2026-05-01"),
        ('"013"', "013"),
        ("!!str 013", "013"),
        ("!!int x", "x"),
        ("1" * 5000, "1" * 5000),
        ("12:30:45", "12:30:45"),
    ],
)
def test_scalars_are_those_of_yaml_1_2_and_dates_stay_text(tmp_path: Path, text: str, value: Any) -> None:
    assert read_of(tmp_path, f"a: {text}").value == {"a": value}


def test_yaml_1_1_has_its_own_off(tmp_path: Path) -> None:
    assert read_of(tmp_path, "%YAML 1.1\n---\na: off\n").value == {"a": False}


def test_keys_are_text_as_it_stands_there(tmp_path: Path) -> None:
    assert read_of(tmp_path, "007: a\ntrue: b\n").value == {"007": "a", "true": "b"}


def test_file_env_and_include_bring_values_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TEST_NAME", "hello")
    (tmp_path / "parts").mkdir()
    write(tmp_path, "p@ss: word\n", "parts/secret")
    write(tmp_path, "x: !file secret\ny: [1, 2]\n", "parts/part.yaml")
    document = read_of(tmp_path, "a: !file parts/secret\nb: !env GATEWAY_TEST_NAME\nc: !include parts/part.yaml\n")
    assert document.value == {"a": "p@ss: word", "b": "hello", "c": {"x": "p@ss: word", "y": [1, 2]}}
    assert document.problems == []
    assert document.mark(("c", "y", 1)) == (tmp_path / "parts/part.yaml", 2, 8)
    assert document.mark(("c",), key=True) == (tmp_path / "a.yaml", 3, 1)
    assert document.folder(("c",)) == tmp_path / "parts"


@pytest.mark.parametrize(
    ("content", "value"), [("x", "x"), ("x\n", "x"), ("x\r\n", "x"), ("x\n\n", "x\n"), (" x ", " x ")]
)
def test_only_the_final_newline_of_a_file_is_left_out(tmp_path: Path, content: str, value: str) -> None:
    write(tmp_path, content, "secret")
    assert read_of(tmp_path, "a: !file secret").value == {"a": value}


def test_what_cannot_be_brought_in_is_told_all_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWAY_TEST_NAME", raising=False)
    write(tmp_path, "", "empty")
    document = read_of(
        tmp_path,
        "a: !file nope\nb: !env GATEWAY_TEST_NAME\nc: !include nope.yaml\nd: !secret x\ne: !file [x]\n"
        "f: !file empty\ng: !file .\nh: !!python/name:os.system x\n",
    )
    assert said(document) == [
        "a.yaml:1:4: a: nope is not there, or no file",
        "a.yaml:2:4: b: $GATEWAY_TEST_NAME is empty, not set or no text",
        "a.yaml:3:4: c: nope.yaml is not there, or no file",
        "a.yaml:4:4: d: !secret cannot be used so (allowed: !file, !env, !include)",
        "a.yaml:5:4: e: !file cannot be used so (allowed: !file, !env, !include; did you mean !file?)",
        "a.yaml:6:4: f: empty is empty, not set or no text",
        f"a.yaml:7:4: g: {tmp_path} is not there, or no file",
        "a.yaml:8:4: h: tag:yaml.org,2002:python/name:os.system cannot be used so (allowed: !file, !env, !include)",
    ]
    assert document.broken == {(name,) for name in "abcdefgh"}
    assert said(document, "zh-CN")[0] == "a.yaml:1:4: a: nope 不存在,或不是文件"


def test_an_include_loop_is_refused_where_it_closes(tmp_path: Path) -> None:
    write(tmp_path, "c: 1\nd: !include a.yaml\n", "b.yaml")
    document = read_of(tmp_path, "b: !include b.yaml\n")
    assert said(document) == ["b.yaml:2:4: b.d: a.yaml includes itself in the end"]
    assert document.value == {"b": {"c": 1, "d": None}}


def test_links_in_a_circle_are_no_file(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").symlink_to("b.yaml")
    (problem,) = read_of(tmp_path, "a: !include b.yaml\nb: 1\n").problems
    assert problem.what.en.startswith(f"{tmp_path}/b.yaml ")


def test_a_variable_that_is_no_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TEST_NAME", "\udcff")
    assert said(read_of(tmp_path, "a: !env GATEWAY_TEST_NAME")) == [
        "a.yaml:1:4: a: $GATEWAY_TEST_NAME is empty, not set or no text"
    ]


def test_one_part_may_be_included_twice(tmp_path: Path) -> None:
    write(tmp_path, "[1]", "b.yaml")
    document = read_of(tmp_path, "a: !include b.yaml\nb: !include b.yaml\n")
    assert (document.value, document.problems) == ({"a": [1], "b": [1]}, [])


def test_a_part_with_wrong_syntax_leaves_the_rest_readable(tmp_path: Path) -> None:
    write(tmp_path, "x: [1\n", "b.yaml")
    document = read_of(tmp_path, "a: !include b.yaml\nb: 1\n")
    assert said(document) == ["b.yaml:1:4: a: this bracket is not closed, or a comma is missing"]
    assert document.value == {"a": None, "b": 1}


def test_duplicate_keys_name_both_lines_and_the_first_counts(tmp_path: Path) -> None:
    document = read_of(tmp_path, "a: 1\nb: {c: 1, c: 2}\na: 3\n")
    assert said(document) == [
        "a.yaml:2:11: b.c: this key stands twice: first in line 2, again in line 2",
        "a.yaml:3:1: a: this key stands twice: first in line 1, again in line 3",
    ]
    assert document.value == {"a": 1, "b": {"c": 1}}


def test_an_anchor_that_contains_itself_is_refused(tmp_path: Path) -> None:
    assert said(read_of(tmp_path, "a: &x [1, *x]\n")) == ["a.yaml:1:4: a[1]: this contains itself"]


def test_anchors_cannot_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yamlmarks, "MOST_VALUES", 2000)
    levels = [f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 10)}]" for n in range(8)]
    document = read_of(tmp_path, "a: &a [x, x, x, x]\n" + "\n".join(levels))
    assert [p.what.en for p in document.problems] == ["more than 2000 values"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:\n\tb: 1\n", "a.yaml:2:1: a tab stands here: indent with spaces"),
        ("a: b: c\n", 'a.yaml:1:5: a ":" too many, or wrong indentation; text with ": " in it needs quotes'),
        ("a:\n  b: 1\n c: 2\n", "a.yaml:3:2: wrong indentation: it fits no line above"),
        ("a: [1, 2\nb: 3\n", "a.yaml:1:4: this bracket is not closed, or a comma is missing"),
        ('a: "x\nb: 1\n', "a.yaml:1:4: this quote is not closed"),
        ('a: "C:\\dir"\n', "a.yaml:1:8: not a known escape; use single quotes: 'C:\\dir'"),
        ("a: *x\n", "a.yaml:1:4: an alias (*name) without its anchor (&name)"),
        ("a: @x\n", "a.yaml:1:4: a value cannot begin with this character: put it in quotes"),
        ("a: 1\n---\nb: 2\n", "a.yaml:2:1: only one document: take the --- away"),
        ("a: >\n x\nb\n", 'a.yaml:3:1: a key without ":"; write "key: value", with a space'),
        ("a: \x01\n", "a.yaml:1:4: a character that no text file holds"),
        ("? [1]\n: 2\n", "a.yaml:1:3: a key is a plain word"),
        ("a: !<x y\n", "a.yaml:1:7: not YAML: expected '>' but found ' '"),
        ('a: 1\nb: "\\UFFFFFFFF"\n', "a.yaml:2:1: an escape that names no character"),
        ('a: "\\ud800"\n', "a.yaml:1:4: a: a character that no text holds"),
        ('a: "\\0"\n', "a.yaml:1:4: a: a character that no text holds"),
        (
            'a: !include "b\\0"\n',
            "a.yaml:1:4: a: !include cannot be used so (allowed: !file, !env, !include; did you mean !include?)",
        ),
        ('"\\ud800": 1\n', "a.yaml:1:1: a key is a plain word"),
        ("[" * 500, "a.yaml:1:1: nested too deeply"),
        ("", "a.yaml:1:1: a.yaml is empty"),
        ("# nothing\n", "a.yaml:1:1: a.yaml is empty"),
        ("名称: 阳光花园".encode("gbk"), "a.yaml:1:1: this is not UTF-8 (it seems to be GBK): save the file as UTF-8"),
        ("a: 1".encode("utf-16"), "a.yaml:1:1: this is not UTF-8 (it is UTF-16): save the file as UTF-8"),
        (b"a: 1\nb: \xff\n", "a.yaml:2:4: this is not UTF-8: save the file as UTF-8"),
    ],
)
def test_wrong_files_get_one_clear_answer(tmp_path: Path, text: str | bytes, expected: str) -> None:
    document = read_of(tmp_path, text)
    assert said(document) == [expected]
    assert said(document, "zh") != [expected]


def test_a_byte_order_mark_is_no_trouble(tmp_path: Path) -> None:
    document = read_of(tmp_path, "\ufeffa: 1\n")
    assert (document.value, document.mark(("a",))[1:]) == ({"a": 1}, (1, 4))


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    assert said(read_of(tmp_path, b"#" * (8 * 2**20 + 1))) == ["a.yaml:1:1: a.yaml is larger than 8388608 bytes"]


def syntax_error(text: str) -> Unreadable | None:
    try:
        compose(Path("a.yaml"), text)
    except Unreadable as exc:
        return exc
    return None


@given(st.text(alphabet="ab:-[]{}\"'&*!#|>%@`?, \n\t\\~0UxF<", max_size=60))
def test_any_text_gives_nodes_or_one_place_that_exists(text: str) -> None:
    error = syntax_error(text)
    if error is not None:
        assert 1 <= error.mark.line <= max(1, len(text.splitlines()))
        assert error.mark.column >= 1
        assert error.what.en
        assert error.what.zh
