"""The history of configurations on disk, under STATE_DIR/config, and which of them a daemon starts with.

`history.json` is replaced whole (written aside, synced, renamed, folder synced): that is the moment in which a step
happens. The texts of a revision, `NUMBER.json`, are there before it is named, so that a power cut leaves at most a file
that nobody names. Everything is for the daemon's user alone: a pushed text may hold a password.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from pydantic import ValidationError

from gateway import revisions
from gateway.clock import Clock, rfc3339
from gateway.config import Loaded, load
from gateway.errors import StateError, StorageError, Text
from gateway.fields import DeviceConfig
from gateway.problems import ConfigProblems
from gateway.revisions import CLI, FILE, History, Revision
from gateway.whole import put_whole
from gateway.yamlmarks import Document, Shelf, read
from gateway.yamltext import Mark, Unreadable, read_text

FOLDER, HISTORY = "config", "history.json"
Texts = Mapping[str, str]  # by path from the folder of gateway.yaml, which comes first


def digest(texts: Texts) -> str:
    """SHA-256 of a configuration's texts, hexadecimal; the main file's name does not count."""
    named = [["" if place == 0 else name, text] for place, (name, text) in enumerate(texts.items())]
    whole = json.dumps(named, ensure_ascii=False)
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()


class Archive:
    """`STATE_DIR/config`."""

    def __init__(self, state_dir: Path) -> None:
        self.folder = state_dir / FOLDER

    def history(self) -> History:
        """As it stands on disk; empty where there is none. StateError: it is there and cannot be read."""
        path = self.folder / HISTORY
        try:
            return History.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return History()
        except (OSError, ValidationError) as error:
            raise StateError(
                str(path),
                Text("the history of configurations cannot be read", "配置历史无法读取"),
                Text(
                    "check the rights; at its next start the gateway moves it aside, and gateway.yaml counts",
                    "请检查权限;网关下次启动时会将其移开,并以 gateway.yaml 为准",
                ),
            ) from error

    def texts(self, number: int) -> dict[str, str]:
        """Of a revision. StateError."""
        path = self.folder / f"{number:06d}.json"
        try:
            found = json.loads(path.read_bytes())
            return {str(name): str(text) for name, text in found.items()}
        except (OSError, ValueError, AttributeError) as error:
            what = Text("this revision's text cannot be read", "无法读取该版本的配置文本")
            do = Text("take another one: gateway config log", "请选用其他版本:gateway config log")
            raise StateError(str(path), what, do) from error

    def put_aside(self) -> None:
        """Out of the way, and not lost: the first free name of `config.damaged-1`, `-2`, …"""
        numbers = (self.folder.with_name(f"{FOLDER}.damaged-{number}") for number in count(1))
        aside = next(path for path in numbers if not path.exists())
        with suppress(OSError):  # then it cannot be saved either, and that is told
            self.folder.rename(aside)

    def save(self, history: History, texts: Texts | None = None) -> None:
        """With the texts of its newest revision, where that is new. StorageError: nothing happened."""
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            if texts is not None:
                whole = json.dumps(texts, ensure_ascii=False).encode("utf-8", "surrogatepass")
                put_whole(self.folder / f"{history.revisions[-1].number:06d}.json", whole)
            put_whole(self.folder / HISTORY, history.model_dump_json(indent=1).encode())
            known = {f"{revision.number:06d}.json" for revision in history.revisions} | {HISTORY}
            for path in self.folder.iterdir():
                if path.name not in known:
                    path.unlink()
        except OSError as error:
            raise StorageError(
                str(self.folder),
                Text(f"the configuration cannot be stored: {error.strerror}", f"配置无法保存:{error.strerror}"),
                Text("free space or check the folder's rights", "请清理空间或检查目录权限"),
            ) from error


def shelf(file: Path, texts: Texts, within: Path | None = None) -> Shelf:
    """Kept texts in the place of `file` and its parts."""
    (_, first), *parts = texts.items()
    return Shelf({file.name: first, **dict(parts)}, within)


@dataclass(frozen=True)
class Start:
    """What a daemon starts with: the configuration, the history to be saved once the state folder is ours."""

    file: Path  # gateway.yaml
    loaded: Loaded
    archive: Archive
    history: History
    texts: Texts | None = None  # of a new revision
    warnings: tuple[Text, ...] = ()
    damaged: bool = False  # what stood there before

    def save(self) -> None:
        """StorageError: it starts all the same, and takes the local file in at the next start."""
        if self.damaged:
            self.archive.put_aside()
        self.archive.save(self.history, self.texts)


def choose(file: Path, state_dir: Path, models: Mapping[str, type[DeviceConfig]], clock: Clock) -> Start:
    """The newest of: gateway.yaml, where it was edited since it was last taken in, and what the history says.

    Reads only. ConfigProblems, StateError.
    """
    archive = Archive(state_dir)
    try:
        history = archive.history()
    except StateError as error:  # rather the local file than a box that does not come up
        start = _edited(file, archive, History(), load(file, models), clock)
        return replace(start, warnings=(Text(error.say("en"), error.say("zh")),), damaged=True)
    if history.find(history.running) is None or not _as_taken(file, archive, history):
        return _edited(file, archive, history, load(file, models), clock)
    why = revisions.spent(history, clock.boot, clock.since_boot_s())
    while True:
        if why is not None:
            history = revisions.roll_back(history, why, rfc3339(clock.utc()))
        try:
            loaded = load(file, models, shelf(file, archive.texts(history.current)))
        except (ConfigProblems, StateError) as error:
            if history.trial is None:
                return _local(file, archive, history, models, clock, error)
            why = Text(error.say("en"), error.say("zh"))
            continue
        return Start(file, loaded, archive, revisions.begin(history, clock.boot, clock.since_boot_s()))


def _as_taken(file: Path, archive: Archive, history: History) -> bool:
    """Are gateway.yaml and its parts as they were last taken in? Without parsing, where their texts are still kept."""
    taken = next((one.number for one in history.revisions if one.sha256 == history.local), None)
    if taken is not None:
        with suppress(StateError, Unreadable):
            kept = shelf(file, archive.texts(taken)).texts
            return all(read_text(file.parent / name, Mark(file, 1, 1)) == text for name, text in kept.items())
    return history.local == digest(read(file).texts)


def _edited(file: Path, archive: Archive, history: History, loaded: Loaded, clock: Clock) -> Start:
    """The local file is new here, and counts."""
    texts, before = loaded.document.texts, history.find(history.current)
    known = digest(texts)
    made = person(history, known, rfc3339(clock.utc()), owner(file), FILE)
    settled = revisions.settle(history, made, known)
    warnings: tuple[Text, ...] = ()
    if before is not None and before.place != FILE:
        warnings = (
            Text(
                f"{file} was edited: it replaces revision {before.number} ({before.name}, from {before.place})",
                f"{file} 已被修改:取代版本 {before.number}({before.name},来自 {before.place})",
            ),
        )
    return Start(file, loaded, archive, settled, texts, warnings)


def _local(
    file: Path, archive: Archive, history: History, models: Mapping[str, type[DeviceConfig]], clock: Clock,
    error: ConfigProblems | StateError,
) -> Start:  # fmt: skip
    """What should run is not right any more (a secret it names is gone): the local file, rather than nothing."""
    running = history.find(history.running)
    if running is not None and running.place == FILE and digest(read(file).texts) == running.sha256:
        raise error
    start = _edited(file, archive, history, load(file, models), clock)
    what = Text(
        f"revision {history.running} cannot run, so {file} does: {error.say('en')}",
        f"版本 {history.running} 无法运行,改用 {file}:{error.say('zh')}",
    )
    return replace(start, warnings=(what,))


def person(history: History, sha256: str, time: str, who: str, place: str, of: int = 0) -> Revision:
    """The next revision, made by a person."""
    number = history.next
    return Revision(number=number, name=f"local-{number}", sha256=sha256, who=who, place=place, time=time, of=of)


def bring_back(history: History, number: int, who: str, time: str, place: str = CLI) -> History:
    """An old revision runs again, as a new one. StateError: there is none of that number, or it runs already."""
    old = history.find(number)
    if old is None or number == history.current:
        what = Text(f"there is no revision {number}", f"没有版本 {number}")
        if old is not None:
            what = Text(f"revision {number} runs already", f"版本 {number} 正在运行")
        raise StateError(
            "config", what, Text("see which there are: gateway config log", "查看可选版本:gateway config log")
        )
    return revisions.settle(history, person(history, old.sha256, time, who, place, number), history.local)


def owner(file: Path) -> str:
    """Who owns it, as far as the system knows; that is who could write it."""
    try:
        return file.owner()
    except (OSError, KeyError):
        return "?"


def local_differs(history: History, document: Document) -> bool:
    """Does gateway.yaml say something else than what runs?"""
    running = history.find(history.current)
    return running is None or running.sha256 != digest(document.texts)
