"""A spreadsheet of texts, written row by row (openpyxl's write-only mode): imported only when one is asked for."""

import re
from collections.abc import Sequence
from typing import IO

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

_ILLEGAL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # no XML (XML 1.0, 2.2)
_CELL_CHARS = 32_767  # of a cell, at most
_WIDTHS_CHARS = (20, 14, 24, 24, 18, 10, 8, 18, 30, 20, 22, 20, 38, 38)


class Spreadsheet:
    """One table; all of it blocks."""

    def __init__(self, name: str, head: Sequence[str]) -> None:
        self._book = Workbook(write_only=True)
        self._sheet = self._book.create_sheet(name)
        self._sheet.freeze_panes = "A2"
        for column, width_chars in zip("ABCDEFGHIJKLMN", _WIDTHS_CHARS, strict=True):
            self._sheet.column_dimensions[column].width = width_chars
        cells = [WriteOnlyCell(self._sheet, text) for text in head]
        for cell in cells:
            cell.font = Font(bold=True)
        self._sheet.append(cells)

    def add(self, rows: Sequence[Sequence[str]]) -> None:
        """Below what is there."""
        for row in rows:
            self._sheet.append([_ILLEGAL.sub("", text)[:_CELL_CHARS] for text in row])

    def save(self, file: IO[bytes]) -> None:
        """Nothing can be added any more."""
        self._book.save(file)
