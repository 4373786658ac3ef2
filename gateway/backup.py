"""A box in one file (`gateway backup`): made while the gateway runs, checked before anything is made of it.

The file is a tar, mode 0600: `manifest.json` first (what it is, and the SHA-256 of each member), then `events.db` (one
moment of it), `keys/…` (what makes references and readers' keys the same for ever), `revisions/…` (the history of
configurations: a pushed one may run), `plans/…` (floor plans and the devices on them) and `config/…` (gateway.yaml and
the files it names in its folder). So it holds every secret of the site.
"""

import hashlib
import io
import os
import sqlite3
import tarfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import AwareDatetime, BaseModel, ConfigDict

from gateway import __version__
from gateway.database import read_journal, take_over
from gateway.errors import StateError, Text

FORMAT = 1
MANIFEST, EVENTS, KEYS, CONFIG = "manifest.json", "events.db", "keys", "config"
REVISIONS = "revisions"  # of the configuration; on the box STATE_DIR/config
PLANS = "plans"
PIECE_BYTES = 2**20


class Manifest(BaseModel):
    """What the archive is."""

    model_config = ConfigDict(frozen=True)
    format: int
    version: str
    gateway: str
    time: AwareDatetime
    config: Path  # of gateway.yaml on the old box
    state_dir: Path
    uplinks: tuple[str, ...]
    members: dict[str, str]  # name in the archive → SHA-256


@dataclass(frozen=True)
class Box:
    """What is backed up. `files` are those that the configuration names, itself too."""

    gateway: str
    uplinks: tuple[str, ...]
    config: Path
    files: Collection[Path]
    state_dir: Path


# making one


def write(archive: Path, box: Box, now: datetime) -> Manifest:
    """Writes the archive, whole or not at all. StateError: it is there already, or something cannot be read."""
    if os.path.lexists(archive):
        what = Text("there is such a file already", "文件已存在")
        raise StateError(str(archive), what, Text("name another one", "请另选文件名"))
    with explained(archive), TemporaryDirectory(dir=archive.absolute().parent, prefix=".backup-") as folder:
        copy = Path(folder) / EVENTS
        _copy_database(box.state_dir / EVENTS, copy)
        members = {EVENTS: copy} | {f"{KEYS}/{key.name}": key for key in _kept_files(box.state_dir / KEYS)}
        members |= {f"{REVISIONS}/{one.name}": one for one in _kept_files(box.state_dir / CONFIG)}
        members |= {f"{PLANS}/{plan.name}": plan for plan in _kept_files(box.state_dir / PLANS)}
        members |= {f"{CONFIG}/{name}": path for name, path in _inside(box).items()}
        manifest = Manifest(
            format=FORMAT, version=__version__, gateway=box.gateway, time=now, config=box.config.absolute(),
            state_dir=box.state_dir.absolute(), uplinks=box.uplinks,
            members={name: _sha256(path) for name, path in members.items()},
        )  # fmt: skip
        _write_tar(Path(folder) / "tar", manifest, members, box.state_dir)
        (Path(folder) / "tar").rename(archive)
        sync_folder(archive.absolute().parent)
    return manifest


def left_out(box: Box) -> list[Path]:
    """Files that the configuration names outside its own folder: they are for a person to copy."""
    return sorted(set(map(_normal, box.files)) - set(_inside(box).values()))


def _inside(box: Box) -> dict[str, Path]:
    folder = _normal(box.config.parent)
    paths = sorted(map(_normal, box.files))
    return {path.relative_to(folder).as_posix(): path for path in paths if path.is_relative_to(folder)}


def _normal(path: Path) -> Path:
    return Path(os.path.normpath(path.absolute()))


def _kept_files(folder: Path) -> list[Path]:
    kept = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in kept if path.is_file() and not path.name.endswith("~"))


def _copy_database(source: Path, copy: Path) -> None:
    """One moment of it: the journal, then what the tables have by SQLite's backup interface, put together."""
    journal = read_journal(source)
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)) as reading,
        closing(sqlite3.connect(copy, isolation_level=None)) as writing,
    ):
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # from here on it stands still for us
        reading.backup(writing)
        take_over(writing, journal)


def _write_tar(path: Path, manifest: Manifest, members: Mapping[str, Path], owner: Path) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, dereference=True) as tar:
            told = manifest.model_dump_json(indent=2).encode()
            first = tarfile.TarInfo(MANIFEST)
            first.size, first.mode, first.mtime = len(told), 0o600, int(manifest.time.timestamp())
            tar.addfile(first, io.BytesIO(told))
            for name, member in members.items():
                # the copy of the database is ours; it belongs to whom the folder belongs to
                info = tar.gettarinfo(str(owner if name == EVENTS else member), arcname=name)
                info.type, info.size = tarfile.REGTYPE, member.stat().st_size
                info.mode = 0o600 if name == EVENTS else info.mode
                with member.open("rb") as content:
                    tar.addfile(info, content)
        out.flush()
        os.fsync(out.fileno())


# reading one


def read(archive: Path) -> Manifest:
    """Checks all of the archive. StateError: it is none, or damaged."""
    with opened(archive) as tar:
        return _checked(archive, tar)


@contextmanager
def opened(archive: Path) -> Iterator[tarfile.TarFile]:
    """The tar. StateError: it cannot be read, or is none."""
    with explained(archive):
        try:
            with tarfile.open(archive, "r:") as tar:
                yield tar
        except tarfile.TarError as error:
            raise _no_backup(archive, Text(str(error), str(error))) from error


def _checked(archive: Path, tar: tarfile.TarFile) -> Manifest:
    first = tar.next()
    content = tar.extractfile(first) if first is not None and first.name == MANIFEST else None
    if content is None:
        raise _no_backup(archive, Text(f"it does not begin with {MANIFEST}", f"开头不是 {MANIFEST}"))
    try:
        manifest = Manifest.model_validate_json(content.read(PIECE_BYTES))
    except ValueError as error:
        raise _no_backup(archive, Text(f"{MANIFEST} makes no sense", f"{MANIFEST} 内容无效")) from error
    if manifest.format > FORMAT:
        newer = Text(f"it was made by version {manifest.version}", f"由版本 {manifest.version} 生成")
        raise StateError(
            str(archive), newer, Text("restore with that version or a newer one", "请用该版本或更新版本恢复")
        )
    found = {member.name: _content_sha256(tar, member) for member in tar if member.name != MANIFEST}
    wrong = sorted(name for name in {EVENTS, *manifest.members, *found} if not _is(name, manifest, found))
    if wrong:
        names = ", ".join(wrong)
        raise _no_backup(archive, Text(f"damaged: {names}", f"已损坏:{names}"))
    return manifest


def _is(name: str, manifest: Manifest, found: Mapping[str, str]) -> bool:
    return _harmless(name) and name in found and manifest.members.get(name) == found[name]


def _harmless(name: str) -> bool:
    parts = name.split("/")
    safe = not {"", ".", ".."} & set(parts)
    return name == EVENTS or (safe and (parts[0] == CONFIG or (parts[0] in (KEYS, REVISIONS, PLANS) and len(parts) == 2)))


def _content_sha256(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    content = tar.extractfile(member) if member.isreg() else None
    if content is None:
        return "no file"
    digest = hashlib.sha256()
    while piece := content.read(PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _no_backup(archive: Path, why: Text) -> StateError:
    return StateError(
        str(archive),
        Text(f"this is no backup that can be used ({why.en})", f"不是可用的备份({why.zh})"),
        Text("nothing was changed; take another copy of it", "未做任何更改;请换用另一份备份"),
    )


def sync_folder(folder: Path) -> None:
    """What was renamed in it survives a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """What the system or the database refuses, as our own error."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        where = str(getattr(error, "filename", None) or path)
        why = getattr(error, "strerror", None) or str(error)
        raise StateError(
            where,
            Text(f"this cannot be done: {why}", f"无法完成:{why}"),
            Text("check the room there, and that you are the gateway's user or root (sudo -u community-gateway …)",
                 "请检查剩余空间,并以网关用户或 root 执行(sudo -u community-gateway …)"),
        ) from error  # fmt: skip
