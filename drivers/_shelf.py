"""Descriptions of devices as YAML: some come with the gateway, others are files of an installer's. (No driver.)"""

from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Generic, TypeVar

from gateway.driver import read_data
from gateway.errors import Text
from gateway.fields import Model, Wrong

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Shelf(Generic[M]):
    """Those in `folder`, each read as `model`; `noun` is what people call one."""

    folder: Path
    model: type[M]
    noun: Text

    def known(self) -> list[str]:
        """The names of those that come with the gateway."""
        return sorted(path.stem for path in self.folder.glob("*.yaml"))

    def locate(self, name: str, base: Path) -> str:
        """The name of one that comes with the gateway; else the path of a file, relative to the folder `base`.

        A path is anything with a slash or .yaml. Wrong: there is none of this name.
        """
        if "/" in name or name.endswith((".yaml", ".yml")):
            return str(base / name)
        if name not in self.known():
            near, listed = get_close_matches(name, self.known(), 1), ", ".join(self.known())
            en, zh = (f"; did you mean {near[0]}?", f";是否想写 {near[0]}?") if near else ("", "")
            raise Wrong(
                f'there is no {self.noun.en} "{name}" (known: {listed}){en}',
                f'没有名为 "{name}" 的{self.noun.zh}(可用:{listed}){zh}',
            )
        return name

    def load(self, name: str) -> M:
        """By name, or by the path of a file. Wrong: all that is wrong with it, by file, line and column."""
        where = self.locate(name, Path())
        path = self.folder / f"{name}.yaml" if where in self.known() else Path(where)
        try:
            found: M = _read(path, path.stat().st_mtime_ns, self.model)
        except OSError as error:
            raise Wrong(f"{path} cannot be read: {error.strerror}", f"无法读取 {path}:{error.strerror}") from error
        return found


@lru_cache(maxsize=128)
def _read(path: Path, _mtime_ns: int, model: type[M]) -> M:
    """Again when the file has changed."""
    return read_data(path, model)
