"""The credentials' CSV file: each row an entry like those in YAML, each problem at its line and column."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from gateway.credentials import CredentialEntry
from gateway.errors import Text
from gateway.explain import explain
from gateway.problems import KeyPath, Problem, allowed, joined, key_text
from gateway.yamlmarks import Document
from gateway.yamltext import Mark, Unreadable, read_text

COLUMNS = tuple(CredentialEntry.model_fields)
_NEEDED = tuple(name for name, info in CredentialEntry.model_fields.items() if info.is_required())
TOP: KeyPath = ("credentials", "file")  # the list as it is told in problems


class Cards:
    """`read()` fills `entries` by their path in `document`, and yields what is wrong."""

    def __init__(self, file: Path, asked: Mark) -> None:
        self.document = Document(file, {"credentials": {"file": []}})
        self.entries: dict[KeyPath, CredentialEntry] = {}
        self._file = file
        self._asked = asked

    def read(self) -> Iterator[Problem]:
        """Reads the file; unknown and missing columns end it, wrong rows do not."""
        try:
            lines = read_text(self._file, self._asked).splitlines()
        except Unreadable as exc:
            yield Problem(*exc.mark, key_text(TOP), exc.what)
            return
        names: list[str] = []
        for number, line in enumerate(lines, 1):
            try:
                row = list(self._marked(line, number, next(csv.reader([line], strict=True), [])))
            except csv.Error:
                what = Text("a quote is not closed in this line", "此行的引号没有闭合")
                yield Problem(self._file, number, 1, key_text(TOP), what)
                continue
            if names:
                yield from self._entry(names, row)
            elif any(cell for cell, _ in row):
                names = [name for name, _ in row]
                wrong = list(self._columns(row))
                yield from wrong
                if wrong:
                    return
        if not names:
            what = Text(f"no columns (needed: {', '.join(_NEEDED)})", f"没有列名(必需:{'、'.join(_NEEDED)})")
            yield Problem(self._file, 1, 1, key_text(TOP), what)

    def _marked(self, text: str, line: int, cells: Sequence[str]) -> Iterator[tuple[str, Mark]]:
        start = 0
        for cell in cells:
            found = text.find(cell.replace('"', '""'), start)
            start = found if found >= 0 else start
            yield cell.strip(), Mark(self._file, line, start + 1)
            start = max(text.find(",", start + len(cell)) + 1, start)

    def _columns(self, head: Sequence[tuple[str, Mark]]) -> Iterator[Problem]:
        seen: set[str] = set()
        for name, mark in head:
            if name not in COLUMNS:
                what = Text(f"no column is called {name!r}", f"没有名为 {name!r} 的列")
                yield Problem(*mark, key_text(TOP), joined(what, allowed(name, COLUMNS)))
            elif name in seen:
                yield Problem(*mark, key_text(TOP), Text(f"the column {name} stands twice", f"列 {name} 重复"))
            seen.add(name)
        for name in _NEEDED:
            if name not in seen:
                missing = Text(f"the column {name} is missing", f"缺少列 {name}")
                yield Problem(*head[0][1], key_text(TOP), missing)

    def _entry(self, names: Sequence[str], row: Sequence[tuple[str, Mark]]) -> Iterator[Problem]:
        if not any(cell for cell, _ in row):
            return
        rows: list[dict[str, str]] = self.document.value["credentials"]["file"]
        path = (*TOP, len(rows))
        rows.append({name: cell for name, (cell, _) in zip(names, row, strict=False) if cell})
        self.document.values[path] = row[0][1]
        self.document.values |= {(*path, name): mark for name, (_, mark) in zip(names, row, strict=False)}
        if any(cell for cell, _ in row[len(names) :]):
            what = Text(
                "more cells than columns: put a cell with a comma in quotes", "单元格多于列:含逗号的单元格请加引号"
            )
            yield Problem(*row[len(names)][1], key_text(path), what)
            return
        try:
            self.entries[path] = CredentialEntry.model_validate(rows[-1])
        except ValidationError as exc:
            yield from explain(self.document, path, CredentialEntry, exc)
