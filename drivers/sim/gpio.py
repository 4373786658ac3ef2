"""Simulated pins: a folder of value files as /sys/class/gpio has them, and IIO files beside it.

with Pins(inputs=[17], outputs=[22], analogs={"in_voltage0_raw": 2000}) as pins:
    ...  # a gateway whose device has `chip: {pins.folder}`
    pins.put(17, True)
"""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self


class Pins:
    """The pins, in a folder that is gone at the end. Inputs begin low: contacts to ground, closed."""

    def __init__(
        self, inputs: Iterable[int] = (), outputs: Iterable[int] = (), analogs: Mapping[str, int] | None = None
    ) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.analogs = dict(analogs or {})
        self._temporary = tempfile.TemporaryDirectory(prefix="gpio-")
        self.folder = Path(self._temporary.name)

    def __enter__(self) -> Self:
        for line in (*self.inputs, *self.outputs):
            (self.folder / f"gpio{line}").mkdir()
            (self.folder / f"gpio{line}" / "direction").write_text("in\n", "ascii")
            self._file(line).write_text("0\n", "ascii")
        for name, raw in self.analogs.items():
            self.measure(name, raw)
        return self

    def __exit__(self, *exception: object) -> None:
        self._temporary.cleanup()

    def _file(self, line: int) -> Path:
        return self.folder / f"gpio{line}" / "value"

    def put(self, line: int, high: bool) -> None:
        """What an input pin shows from now on. KeyError where there is none."""
        if line not in self.inputs:
            raise KeyError(line)
        with self._file(line).open("r+b", buffering=0) as file:  # a reader never finds it empty
            file.write(b"1" if high else b"0")

    def measure(self, name: str, raw: int) -> None:
        """What an analog file shows from now on. KeyError where there is none."""
        if name not in self.analogs:
            raise KeyError(name)
        fresh = self.folder / f"{name}.new"
        fresh.write_text(f"{raw}\n", "ascii")
        fresh.replace(self.folder / name)

    def on(self, line: int) -> bool:
        """Whether a pin is high."""
        return self._file(line).read_text("ascii").startswith("1")

    def pull_out(self) -> None:
        """The board is gone."""
        for file in self.folder.glob("gpio*/value"):
            file.unlink()
