"""A box made from a backup (`gateway restore`): all of it is checked first, nothing that is there is deleted."""

import grp
import os
import pwd
import shutil
import sqlite3
import tarfile
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.backup import CONFIG, EVENTS, KEYS, PIECE_BYTES, PLANS, REVISIONS, Manifest, explained, opened, sync_folder
from gateway.clock import rfc3339
from gateway.database import Hole
from gateway.errors import StateError, Text
from gateway.folder import LOCK
from gateway.holes import Since, skip
from gateway.roster import sign_out


@dataclass(frozen=True)
class Target:
    """Where to; `now` as this box's clock says. `unchanged`: the old box has not run since the backup."""

    state_dir: Path
    config_dir: Path
    now: datetime
    force: bool = False
    unchanged: bool = False


def place(archive: Path, manifest: Manifest, target: Target) -> list[Hole]:
    """Puts it in place, in a state folder that is `held`; returns what is skipped. StateError: nothing was changed.

    The database comes first and gateway.yaml last: a box that loses power in between does not start with half of it.
    """
    _refuse_what_is_there(manifest, target)
    when = rfc3339(target.now).replace(":", "").replace("-", "")
    with explained(target.state_dir), TemporaryDirectory(dir=target.state_dir, prefix=".restore-") as scratch:
        unpacked = Path(scratch)
        with opened(archive) as tar:
            members = {member.name: member for member in tar}
            _extract(tar, unpacked)
        holes = _prepare(unpacked / EVENTS, manifest, target)
        _put_aside(target.state_dir, target.state_dir / f"before-restore-{when}")
        (unpacked / EVENTS).rename(target.state_dir / EVENTS)
        sync_folder(target.state_dir)
        for name in sorted(manifest.members, key=lambda name: name == f"{CONFIG}/{manifest.config.name}"):
            if name != EVENTS:
                _put(unpacked / name, _there(name, target), members[name], when)
        for path in (target.state_dir, *(target.state_dir / name for name in (EVENTS, KEYS, CONFIG, PLANS, LOCK))):
            _give(path, members[EVENTS])
    return holes


def _prepare(events: Path, manifest: Manifest, target: Target) -> list[Hole]:
    """The database is sound, has this program's schema, and skips what it must. StateError, sqlite3.Error."""
    with closing(sqlite3.connect(events)) as connection:
        if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("the database in it is damaged")
    holes = [] if target.unchanged else skip(events, manifest.uplinks, Since(manifest.time, target.now))
    with closing(sqlite3.connect(events)) as connection, connection:
        if not target.unchanged:
            sign_out(connection)
    with closing(sqlite3.connect(events)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")  # all of it is in the one file that is moved
    return holes


def _there(name: str, target: Target) -> Path:
    if name.startswith(CONFIG):
        return target.config_dir / name.removeprefix(f"{CONFIG}/")
    return target.state_dir / name.replace(REVISIONS, CONFIG, 1)


def _refuse_what_is_there(manifest: Manifest, target: Target) -> None:
    if target.now < manifest.time and not target.unchanged:
        said, made = rfc3339(target.now), rfc3339(manifest.time)
        what = Text(
            f"by this box's clock ({said}) the backup has not been made yet ({made}): how many numbers the old box has "
            "used since cannot be told",
            f"本机时钟({said})早于备份时间({made}),无法推算旧网关此后用过的序号",
        )
        do = Text(
            "set the clock (timedatectl set-time …) and restore again", "请校准时钟(timedatectl set-time …)后重试"
        )
        raise StateError(str(target.state_dir), what, do)
    if target.force:
        return
    used = [path for path in target.state_dir.iterdir() if path.name != LOCK]
    named = [_there(name, target) for name in manifest.members if name.startswith(CONFIG)]
    used += [path for path in named if os.path.lexists(path)]
    if used:
        raise StateError(
            str(used[0]),
            Text("this is there already, and would be replaced", "已存在,恢复会将其替换"),
            Text("say --force: what is there is moved aside, not deleted", "请加 --force:原有内容会被移开,不会删除"),
        )


def _put_aside(state_dir: Path, aside: Path) -> None:
    old = [path for path in state_dir.iterdir() if path.name.startswith(EVENTS) or path.name in (KEYS, CONFIG, PLANS)]
    if old:
        aside.mkdir(mode=0o700)
        for path in old:
            path.rename(aside / path.name)


def _extract(tar: tarfile.TarFile, folder: Path) -> None:
    for member in tar:
        content = tar.extractfile(member)
        if content is not None:
            path = folder / member.name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                shutil.copyfileobj(content, out, PIECE_BYTES)
                out.flush()
                os.fsync(out.fileno())


def _put(content: Path, there: Path, member: tarfile.TarInfo, when: str) -> None:
    """A file whole or not at all, with the rights and the owner it had; what was there gets another name."""
    made = [folder for folder in there.parents if not folder.exists()]
    there.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    aside = there.with_name(f"{there.name}~")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out, content.open("rb") as it:
        shutil.copyfileobj(it, out)
        out.flush()
        os.fsync(out.fileno())
    aside.chmod(member.mode & 0o770)
    for path in (*made, aside):
        _give(path, member)
    if os.path.lexists(there):
        there.rename(there.with_name(f"{there.name}.before-restore-{when}"))
    aside.rename(there)
    sync_folder(there.parent)


def _give(path: Path, member: tarfile.TarInfo) -> None:
    """As root: to whom it belonged; where nobody is called so, to its folder's owner."""
    if os.geteuid() != 0 or not path.exists():
        return
    try:
        owner, group = pwd.getpwnam(member.uname).pw_uid, grp.getgrnam(member.gname).gr_gid
    except KeyError:
        owner, group = path.parent.stat().st_uid, path.parent.stat().st_gid
    os.chown(path, owner, group)
