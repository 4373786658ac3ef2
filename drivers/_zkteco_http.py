"""The server that ZKTeco devices talk to: which request gets which answer, in both dialects, and what is never kept.

Each device polls (`getrequest`), uploads (`cdata`), and reports what became of commands (`devicecmd`). The forms of the
answers are the vendor's: attendance PUSH 4.0 (6, 9 to 13), security PUSH 4.8 (7 to 12). A wrong one makes a device
send the same for ever. Photos, templates and lists of people are read off the wire, acknowledged, and not looked at.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from email.utils import format_datetime

from aiohttp import web

from drivers._guard import Doorkeeper
from drivers._zkteco_desk import Desk
from drivers._zkteco_events import told_in
from drivers._zkteco_orders import results
from drivers._zkteco_records import encode_seconds, lines, options, text_of, whole
from drivers._zkteco_settings import access_settings, attendance_settings, registry_code
from drivers._zone import zone_of
from gateway.clock import TRUSTED
from gateway.driver import Link
from gateway.errors import StorageError, Text

MAX_BODY_BYTES = 256 * 1024  # of what is read
MAX_RECORDS = 2000  # in one upload; devices send a few dozen
MAX_WASTE_BYTES = 8 * 1024 * 1024  # of what is thrown away; a photo has up to 1 MiB (MaxPostSize)
MOST_STRANGERS = 64  # that are told by name
CHUNK_BYTES = 64 * 1024
READ = frozenset({"rtlog", "rtstate", "attlog", "operlog", "options", "transaction"})
KNOWN = READ | frozenset(
    {"tabledata", "attphoto", "biodata", "idcard", "errorlog", "fingertmp", "userinfo", "testdata"}
)
OK = "OK"
Ask = Callable[["Caller"], Awaitable[str]]


class Refused(Exception):
    """Answered with an HTTP status that is no success."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(status, said)
        self.status, self.said = status, said


class Caller:
    """One request, its desk, and its body when it is asked for."""

    def __init__(self, request: web.Request, desk: Desk) -> None:
        self.request, self.desk = request, desk
        self.asked = {name.lower(): value for name, value in request.query.items()}

    @property
    def table(self) -> str:
        """What an upload is about, in lower case."""
        name = self.asked.get("table", "").lower()
        return self.asked.get("tablename", "").lower() if name == "tabledata" else name

    async def body(self) -> bytes:
        """All of it. Refused: larger than anything a device has to say, or cut off."""
        whole_body = bytearray()
        async for chunk in self._chunks(MAX_BODY_BYTES):
            whole_body += chunk
        if whole_body.count(b"\n") > MAX_RECORDS:
            raise Refused(413, f"more than {MAX_RECORDS} records")
        return bytes(whole_body)

    async def waste(self) -> None:
        """Reads it off the wire and forgets it."""
        async for _ in self._chunks(MAX_WASTE_BYTES):
            pass

    async def _chunks(self, most_bytes: int) -> AsyncIterator[bytes]:
        size = 0
        try:
            async for chunk in self.request.content.iter_chunked(CHUNK_BYTES):
                size += len(chunk)
                if size > most_bytes:
                    raise Refused(413, f"more than {most_bytes} bytes")
                yield chunk
        except (ConnectionError, web.RequestPayloadError) as error:
            raise Refused(400, "the request was cut off") from error


class Ways:
    """Which path is answered how."""

    def __init__(self, link: Link, keeper: Doorkeeper) -> None:
        self._link, self._keeper = link, keeper
        self._ways: Mapping[str, Ask] = {
            "cdata": self._cdata,
            "fdata": self._upload,  # photos, in older firmware
            "registry": self._registry,
            "push": self._push,
            "getrequest": self._getrequest,
            "devicecmd": self._devicecmd,
            "querydata": self._querydata,
            "rtdata": self._rtdata,
            "ping": self._ping,
            "exchange": self._exchange,
        }

    def of(self, word: str) -> Ask | None:
        """By the last word of the path."""
        return self._ways.get(word)

    # --- the two handshakes

    async def _cdata(self, caller: Caller) -> str:
        if caller.request.method == "POST":
            return await self._upload(caller)
        with self._keeper.answering(caller.request):
            await _working(caller)
            if "options" not in caller.asked and "pushver" not in caller.asked:
                return OK
            if _speaks_access(caller):
                return access_settings(caller.desk.config, registered=True) if caller.desk.registered else OK
            return attendance_settings(caller.desk.config)

    async def _registry(self, caller: Caller) -> str:
        told = options(text_of(await caller.body()))
        with self._keeper.answering(caller.request):
            await _working(caller)
            desk = caller.desk
            desk.described = told.get("CmdFormat") == "1"
            desk.learned(access=True, registered=True)
            _introduced(desk, told)
            return f"RegistryCode={registry_code(desk.config)}"

    async def _push(self, caller: Caller) -> str:
        await caller.waste()
        with self._keeper.answering(caller.request):
            await _working(caller)
            return access_settings(caller.desk.config, registered=False)

    async def _exchange(self, caller: Caller) -> str:
        await caller.waste()
        caller.desk.say(
            Text(
                "the device wants to encrypt, which is not spoken here: switch encryption off in its menu",
                "设备要求加密通信,网关不支持:请在设备菜单中关闭通信加密",
            )
        )
        raise Refused(404, "encryption is not supported: switch it off on the device")

    # --- uploads

    async def _upload(self, caller: Caller) -> str:
        if caller.table not in READ:
            return await self._unread(caller)
        body = await caller.body()
        with self._keeper.answering(caller.request):
            await _working(caller)
            if caller.table == "options":
                _introduced(caller.desk, options(text_of(body)))
                return OK
            await caller.desk.take(told_in(caller.desk.config, caller.table, body))
            caller.desk.learned(access=caller.table not in ("attlog", "operlog"))
            return _thanks(caller, sum(1 for _ in lines(body)))

    async def _unread(self, caller: Caller) -> str:
        await caller.waste()
        with self._keeper.answering(caller.request):
            await _working(caller)
            if {"authtype", "type"} & set(caller.asked) and not caller.table:
                caller.desk.say(
                    Text(
                        "the device asks the server who may pass: switch background verification off in its menu",
                        "设备请求后台验证:请在设备菜单中关闭后台验证",
                    )
                )
            elif caller.asked.get("table", "").lower() not in KNOWN:
                caller.desk.say(
                    Text(
                        f"it sends a table {caller.table[:32]!r}, which is acknowledged and not read",
                        f"设备上传的数据表 {caller.table[:32]!r} 已应答但不解析",
                    )
                )
            return _thanks(caller, 0)

    async def _querydata(self, caller: Caller) -> str:
        """What a query of somebody else brings: never ours, so not looked at."""
        await caller.waste()
        with self._keeper.answering(caller.request):
            await _working(caller)
            name = caller.asked.get("tablename", "")[:32]
            return f"{name}={whole(caller.asked.get('count', '')) or 0}" if name else OK

    # --- commands, time

    async def _getrequest(self, caller: Caller) -> str:
        with self._keeper.answering(caller.request):
            await _working(caller)
            command = caller.desk.next_command()
            return OK if command is None else f"{command}\r\n"

    async def _devicecmd(self, caller: Caller) -> str:
        body = await caller.body()
        with self._keeper.answering(caller.request):
            await _working(caller)
            for number, returned in results(text_of(body)):
                caller.desk.orders.done(number, returned)
            return OK

    async def _rtdata(self, caller: Caller) -> str:
        """The time, which some firmware asks for (security PUSH 4.8, 12.5.1). Refused while we do not know it."""
        with self._keeper.answering(caller.request):
            await _working(caller)
            clock = self._link.clock
            if caller.asked.get("type") != "time":
                return OK
            if clock.quality() not in TRUSTED:
                raise Refused(503, "the gateway does not know the time yet")
            offset = clock.utc().astimezone(zone_of(caller.desk.config.zone)).strftime("%z")
            return f"DateTime={encode_seconds(clock.utc())},ServerTZ={offset}"

    async def _ping(self, caller: Caller) -> str:
        with self._keeper.answering(caller.request):
            await _working(caller)
            return OK


class Reception:
    """Answers the requests of one listener's devices."""

    def __init__(self, desks: Mapping[str, Desk], link: Link, keeper: Doorkeeper) -> None:
        self._desks, self._link = desks, link
        self._strangers: set[tuple[str, str]] = set()
        self._ways = Ways(link, keeper)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Any request. 403: not one of ours; 503: not on disk, to be sent again."""
        try:
            said, status = await self._answered(request), 200
        except Refused as refused:
            said, status = refused.said, refused.status
        except StorageError as error:
            said, status = error.what.en, 503
        response = web.Response(status=status, text=said, content_type="text/plain", charset="utf-8")
        if status != 200:
            response.force_close()
        return response

    def date(self) -> str | None:
        """For the answers' `Date`, by which devices set their clock (RFC 9110, 5.6.7); None while we do not know it."""
        clock = self._link.clock
        return format_datetime(clock.utc(), usegmt=True) if clock.quality() in TRUSTED else None

    async def _answered(self, request: web.Request) -> str:
        desk = self._known(request)
        way = self._ways.of(_word(request.path))
        if way is None:
            raise Refused(404, "no such path")
        return await way(Caller(request, desk))

    def _known(self, request: web.Request) -> Desk:
        """The desk of its serial number, if it comes from where it may. Refused: told in the log once."""
        serial = next((value for name, value in request.query.items() if name.lower() == "sn"), "")[:64]
        peer = request.remote or ""
        desk = self._desks.get(serial)
        if desk is not None and desk.config.allows(peer):
            return desk
        if (serial, peer) not in self._strangers and len(self._strangers) < MOST_STRANGERS:
            self._strangers.add((serial, peer))
            why = "is not in the configuration" if desk is None else "may not come from this address (allow:)"
            self._link.log.warning("refused: a device at %s says it is %r, which %s", peer, serial, why)
        raise Refused(403, "this device is not known here")


def _word(path: str) -> str:
    """`/iclock/iclock/cdata.aspx` → `cdata`."""
    return path.rstrip("/").rpartition("/")[2].lower().removesuffix(".aspx")


def _thanks(caller: Caller, count: int) -> str:
    """The acknowledgement: `tablename=count` for tables, `OK:n` for lines of the older dialect, `OK` for the rest."""
    if caller.asked.get("table", "").lower() == "tabledata":
        return f"{caller.asked.get('tablename', '')[:32]}={caller.asked.get('count', str(count))[:10]}"
    return f"OK:{count}" if caller.table in ("attlog", "operlog") else OK


def _introduced(desk: Desk, told: Mapping[str, str]) -> None:
    """What it says of itself, into the log once; and what does not fit the configuration."""
    name, firmware = told.get("DeviceName", "?")[:40], (told.get("FirmVer") or told.get("FWVersion") or "?")[:40]
    desk.say(Text(f"connected: {name}, firmware {firmware}", f"已连接:{name},固件 {firmware}"), logging.INFO)
    locks = whole(told.get("LockCount", ""))
    if locks is not None and locks > desk.config.doors:
        wanted = Text(f"it has {locks} doors: write doors: {locks}", f"设备有 {locks} 个门:请写 doors: {locks}")
        desk.say(wanted)


async def _working(caller: Caller) -> None:
    """It is one of ours, and its request is whole. StorageError: nothing can be said of it now."""
    await caller.desk.pace()
    await caller.desk.heard()


def _speaks_access(caller: Caller) -> bool:
    """A device that says nothing of its kind speaks the older, attendance dialect (before 3.0)."""
    desk, said = caller.desk, caller.asked.get("devicetype", "").lower()
    if desk.config.dialect != "auto":
        access = desk.config.dialect == "access"
    elif said:
        access = said == "acc"
    else:
        access = desk.access or caller.asked.get("pushver", "").startswith("3")
    desk.learned(access=access)
    return access
