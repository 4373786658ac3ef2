"""`/settings/backup`: the box in one file, and diagnostics for whoever helps, as downloads.

A backup is made by the command line in a process of its own, kept for a while under STATE_DIR/downloads, and goes out
piece by piece: neither its 500 MB nor the time that they take are felt by an alarm. Who may have a file gets an address
that nobody can guess, for some minutes.
"""

import asyncio
import contextlib
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, Response
from starlette.exceptions import HTTPException

from gateway.chores import send
from gateway.clock import rfc3339
from gateway.deeds import NotFound
from gateway.errors import GatewayError, StateError, Text
from gateway.house import House
from gateway.web import child
from gateway.web.frame import Frame
from gateway.web.settings import done, in_alarm, unfiled
from gateway.web.visitor import needs, visitor_of

FOLDER = "downloads"
PATIENCE_S = 1800.0  # for a backup: 500 MB on a slow card
KEPT_S = 900.0  # so long it can be fetched
SPARE_BYTES = 64 * 2**20  # that stay free while one is made
_CONFIGURES = needs("configure").depends
_FRESH = needs("configure", fresh=True).depends


@dataclass(frozen=True)
class Made:
    """A backup that can be fetched."""

    path: Path
    size_bytes: int
    time: str


class Backups:
    """One at a time; `run()` beside everything else makes it."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._wanted = asyncio.Event()
        self._language = ""
        self.making = False
        self.made: Made | None = None
        self.failed: GatewayError | None = None

    @property
    def folder(self) -> Path:
        """Where it stands until it is fetched."""
        return self._house.config.gateway.state_dir / FOLDER

    def want(self, language: str) -> None:
        """Soon there will be one. StateError: not now, and why."""
        if self._house.renewal is None:
            raise unfiled(self._house)
        if self.making:
            raise StateError("backup", Text("one is being made already", "正在制作备份"))
        disk = self._house.health()["disk"]
        if disk["free_bytes"] < 2 * disk["used_bytes"] + SPARE_BYTES:
            what = Text("there is not room enough on the disk to make a backup", "磁盘剩余空间不足,无法制作备份")
            do = Text("free some, or write it to another disk: gateway backup FILE",
                      "请清理空间,或备份到其他磁盘:gateway backup 文件")  # fmt: skip
            raise StateError(str(self.folder), what, do)
        self.making, self.made, self.failed, self._language = True, None, None, language
        self._wanted.set()

    async def run(self) -> None:
        """For ever. What has been made goes when its time is over, and whatever an earlier run has left."""
        try:
            while True:
                self._clear()
                await self._wanted.wait()
                self._wanted.clear()
                self._clear()
                await self._make()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(KEPT_S):
                        await self._wanted.wait()
        finally:
            self._clear()

    def _clear(self) -> None:
        self.made = None
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _make(self) -> None:
        house, now = self._house, self._house.vitals.clock.utc()
        path = self.folder / f"{house.config.gateway.id}-{now:%Y%m%dT%H%M%SZ}.tar"
        try:
            assert house.renewal is not None  # noqa: S101  # asked before
            self.folder.mkdir(mode=0o700)
            where = ("--config", str(house.renewal.file), "--state-dir", str(house.config.gateway.state_dir))
            await child.asked("backup", str(path), *where, language=self._language, patience_s=PATIENCE_S)
            self.made = Made(path, path.stat().st_size, rfc3339(now))
        except GatewayError as error:
            self.failed = error
        except OSError as error:
            why = error.strerror or str(error)
            self.failed = StateError(str(path), Text(f"it cannot be written: {why}", f"无法写入:{why}"))
        finally:
            self.making = False


class Tickets:
    """Addresses of files, good for a while, for whoever was given one."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._files: dict[str, tuple[Path, str, float]] = {}

    def give(self, path: Path, who: str) -> str:
        """A new one."""
        self._files = {name: kept for name, kept in self._files.items() if kept[2] > self._now_s()}
        name = secrets.token_urlsafe(24)
        self._files[name] = (path, who, self._now_s() + KEPT_S)
        return name

    def file(self, name: str, who: str) -> Path | None:
        """None: there is no such ticket, it is somebody else's, or its time is over."""
        path, owner, ends_s = self._files.get(name, (Path(), "", 0.0))
        return path if owner == who and self._now_s() < ends_s and path.is_file() else None


def add(app: FastAPI, frame: Frame) -> None:
    """The routes, and what makes backups."""
    house = frame.house
    backups, tickets = Backups(house), Tickets(lambda: house.vitals.clock.monotonic())  # noqa: PLW0108  # asked when there is one
    app.state.errands.append(backups.run)

    @app.get("/settings/backup", include_in_schema=False, dependencies=[_CONFIGURES])
    async def page(request: Request) -> Response:
        alarm = in_alarm(house)
        return frame.page(request, "settings", "settings_backup.html", backups=backups, kept_s=KEPT_S, alarm=alarm)

    @app.post("/settings/backup", include_in_schema=False, dependencies=[_FRESH])
    async def make(request: Request) -> Response:
        backups.want(frame.language(request))
        await house.audit.put(visitor_of(request).by, "backup", house.config.gateway.id)
        return done(frame, request, "backup_began")

    @app.post("/settings/backup/fetch", include_in_schema=False, dependencies=[_FRESH])
    async def fetch(request: Request) -> Response:
        if backups.made is None:
            what = Text("there is no backup any more", "备份已不存在")
            raise NotFound("backup", what, Text("make a new one", "请重新制作"))
        by = visitor_of(request).by
        await house.audit.put(by, "backup", house.config.gateway.id, "fetched")
        return _to(tickets.give(backups.made.path, by.who))

    @app.post("/settings/bundle", include_in_schema=False, dependencies=[_CONFIGURES])
    async def bundle(request: Request) -> Response:
        by = visitor_of(request).by
        answer = await send(house, "gateway", "bundle", {}, by)
        if answer["status"] != "done":
            raise StateError("bundle", Text(**answer["message"]))
        return _to(tickets.give(Path(answer["result"]["path"]), by.who))

    app.get("/settings/download/{ticket}", include_in_schema=False, dependencies=[_CONFIGURES])(
        partial(_download, tickets)
    )


def _to(ticket: str) -> Response:
    return Response(status_code=204, headers={"HX-Redirect": f"/settings/download/{ticket}"})


async def _download(tickets: Tickets, request: Request, ticket: str) -> Response:
    path = tickets.file(ticket, visitor_of(request).who)
    if path is None:
        raise HTTPException(404)
    return FileResponse(path, filename=path.name, headers={"Cache-Control": "no-store"})
