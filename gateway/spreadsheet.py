"""Writes a spreadsheet of texts (openpyxl's write-only mode) in a process of its own: openpyxl takes 8 MB and blocks.

`python -m gateway.spreadsheet`: on standard input a line of JSON `{"name", "head": […]}`, then one for each row, `[…]`;
the file on standard output.
"""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import IO

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

_ILLEGAL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # no XML (XML 1.0, 2.2)
_CELL_CHARS = 32_767  # of a cell, at most
_WIDTHS_CHARS = (20, 14, 24, 24, 18, 10, 8, 18, 30, 20, 22, 20, 38, 38)


def write(name: str, head: Sequence[str], rows: Iterable[Sequence[str]], file: IO[bytes]) -> None:
    """One table, its head in bold and always in sight."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet(name)
    sheet.freeze_panes = "A2"
    for column, width_chars in zip("ABCDEFGHIJKLMN", _WIDTHS_CHARS, strict=True):
        sheet.column_dimensions[column].width = width_chars
    cells = [WriteOnlyCell(sheet, text) for text in head]
    for cell in cells:
        cell.font = Font(bold=True)
    sheet.append(cells)
    for row in rows:
        sheet.append([_ILLEGAL.sub("", text)[:_CELL_CHARS] for text in row])
    book.save(file)


if __name__ == "__main__":
    about = json.loads(sys.stdin.buffer.readline())
    write(about["name"], about["head"], map(json.loads, sys.stdin.buffer), sys.stdout.buffer)
