"""The door controller in a simulated ISAPI device: its memory of records, its door, its outputs, where it pushes to.

Records are counted and remembered whether anybody listens or not, as a real one does it. What the gateway sets and asks
is what tests look at: `orders`, `outputs`, `hosts`, `searches`.
"""

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import aiohttp
from aiohttp import web
from defusedxml import ElementTree

from gateway.errors import Text

PAGE = 30  # records of one answer
SLOTS = 2  # addresses it can push to
RESEND_S = 0.05  # a real one takes some seconds
ZONE = timezone(timedelta(hours=8))
_OK = {"statusCode": 1, "statusString": "OK", "subStatusCode": "ok"}
_CMD = re.compile(rb"<cmd>(\w+)</cmd>")
_OUTPUT = re.compile(rb"<outputState>(\w+)</outputState>")
_NAMES = {"majorEventType": "major", "subEventType": "minor"}
_INFO = (
    '<?xml version="1.0" encoding="UTF-8"?><DeviceInfo version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema">'
    "<deviceName>Access Controller</deviceName><model>DS-K1T671</model><serialNumber>DS-K1T6710001</serialNumber>"
    "<firmwareVersion>V3.2.30</firmwareVersion><firmwareReleasedDate>build 220311</firmwareReleasedDate>"
    "<deviceType>ACS</deviceType><electroLockNum>1</electroLockNum></DeviceInfo>"
)
_LIVE_ONLY = ("currentEvent", "frontSerialNo", "deviceName")


@dataclass(frozen=True)
class Habits:
    """What one firmware does differently from another."""

    memory: bool = True  # can be asked for its records
    page: int = PAGE
    by_serial: bool = True  # knows beginSerialNo; else it ignores it
    refuses_serial: bool = False  # a search with beginSerialNo is an error
    newest_first: bool = False
    subscribes: bool = True  # takes <SubscribeEvent> in an alarm host
    marks: bool = True  # says currentEvent


HABITS = Habits()


@dataclass
class Memory:
    """Records of the door, oldest first."""

    habits: Habits = HABITS
    serial: int = 0
    records: list[dict[str, Any]] = field(default_factory=list)

    def record(self, major: int, minor: int, **inner: Any) -> dict[str, Any]:
        """Something happens at the door: it is counted and remembered."""
        self.serial += 1
        front = self.records[-1]["serialNo"] if self.records else self.serial - 1
        made = {"majorEventType": major, "subEventType": minor, "serialNo": self.serial, "frontSerialNo": front}
        made |= {"time": datetime.now(ZONE).isoformat(timespec="seconds"), **inner}
        self.records.append(made)
        return made

    def reset(self) -> None:
        """Back to the factory: the count begins anew."""
        self.serial, self.records = 0, []

    def search(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to an AcsEvent search."""
        begin = wanted.get("beginSerialNo", 0) if self.habits.by_serial else 0
        since, until = (_moment(wanted.get(name)) for name in ("startTime", "endTime"))
        found = [
            record
            for record in self.records
            if record["serialNo"] >= begin
            and (since is None or _moment(record["time"]) >= since)  # type: ignore[operator]
            and (until is None or _moment(record["time"]) <= until)  # type: ignore[operator]
        ]
        if self.habits.newest_first:
            found.reverse()
        position = wanted["searchResultPosition"]
        page = found[position : position + min(self.habits.page, wanted["maxResults"])]
        state = "NO MATCH" if not found else "MORE" if position + len(page) < len(found) else "OK"
        answer: dict[str, Any] = {"searchID": wanted["searchID"], "responseStatusStrg": state}
        answer |= {"numOfMatches": len(page), "totalMatches": len(found)}
        return {"AcsEvent": answer | ({"InfoList": [_remembered(record) for record in page]} if page else {})}


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _remembered(record: Mapping[str, Any]) -> dict[str, Any]:
    return {_NAMES.get(name, name): value for name, value in record.items() if name not in _LIVE_ONLY}


class Cabinet:
    """The door controller's part of a device; `check` is the device's login."""

    def __init__(self, habits: Habits, check: Callable[[web.Request], None]) -> None:
        self.memory = Memory(habits)
        self.orders: list[tuple[int, str]] = []  # (door, what it was told)
        self.outputs: dict[int, str] = {}
        self.hosts: list[dict[str, str]] = [{"id": str(n + 1), "url": "", "ipAddress": "0.0.0.0"} for n in range(SLOTS)]
        self.searches: list[dict[str, Any]] = []
        self.refusal: dict[str, Any] | None = None  # what it answers commands with instead of doing them
        self.search_status = 200  # what it answers searches with, where it does not answer them
        self.deaf: asyncio.Event | None = None  # what it waits for before it looks at a request
        self.answers: list[int] = []  # HTTP status of each push
        self.pushed = asyncio.Condition()
        self.tell: Callable[[Text], object] = lambda _: None  # what it is made do
        self._check = check
        self._queue: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    def routes(self, app: web.Application) -> None:
        """Where it is asked."""
        app.router.add_post("/ISAPI/AccessControl/AcsEvent", self._guarded(self._search))
        app.router.add_put("/ISAPI/AccessControl/RemoteControl/door/{door}", self._guarded(self._door))
        app.router.add_put("/ISAPI/System/IO/outputs/{output}/trigger", self._guarded(self._output))
        app.router.add_get("/ISAPI/System/deviceInfo", self._guarded(self._info))
        app.router.add_get("/ISAPI/Event/notification/httpHosts", self._guarded(self._list_hosts))
        app.router.add_put("/ISAPI/Event/notification/httpHosts/{host}", self._guarded(self._set_host))

    def _guarded(self, answer: Callable[[web.Request, bytes], web.Response]) -> Callable[[web.Request], Any]:
        async def checked(request: web.Request) -> web.Response:
            self._check(request)
            if self.deaf is not None:
                await self.deaf.wait()
            return answer(request, await request.read())

        return checked

    def _search(self, _: web.Request, body: bytes) -> web.Response:
        wanted = json.loads(body)["AcsEventCond"]
        self.searches.append(wanted)
        if self.search_status != 200:
            return web.Response(status=self.search_status)
        habits = self.memory.habits
        if not habits.memory or (habits.refuses_serial and "beginSerialNo" in wanted):
            said = {"statusCode": 4, "statusString": "Invalid Operation", "subStatusCode": "notSupport"}
            return web.json_response(said, status=403)
        return web.json_response(self.memory.search(wanted))

    def _door(self, request: web.Request, body: bytes) -> web.Response:
        if self.refusal is None:
            told = _CMD.search(body)
            door, order = int(request.match_info["door"]), (told[1] if told else b"").decode()
            self.orders.append((door, order))
            self.tell(Text(f"door {door}: {order}", f"{door} 号门:{order}"))
        return self._status()

    def _output(self, request: web.Request, body: bytes) -> web.Response:
        if self.refusal is None:
            told = _OUTPUT.search(body)
            output, level = int(request.match_info["output"]), (told[1] if told else b"").decode()
            self.outputs[output] = level
            self.tell(Text(f"alarm output {output}: {level}", f"报警输出 {output}:{level}"))
        return self._status()

    def _info(self, _request: web.Request, _body: bytes) -> web.Response:
        return web.Response(text=_INFO, content_type="application/xml")

    def _list_hosts(self, _request: web.Request, _body: bytes) -> web.Response:
        slots = "".join(f"<HttpHostNotification>{_xml(slot)}</HttpHostNotification>" for slot in self.hosts)
        listed = f'<HttpHostNotificationList xmlns="urn:x">{slots}</HttpHostNotificationList>'
        return web.Response(text=listed, content_type="application/xml")

    def _set_host(self, request: web.Request, body: bytes) -> web.Response:
        if b"SubscribeEvent" in body and not self.memory.habits.subscribes:
            said = _xml({"statusCode": "6", "statusString": "Invalid XML Content", "subStatusCode": "badParameters"})
            return web.Response(
                text=f"<ResponseStatus>{said}</ResponseStatus>", content_type="application/xml", status=400
            )
        tree = ElementTree.fromstring(body)
        slot = {child.tag.rpartition("}")[2]: child.text or "" for child in tree if not len(child)}
        place = int(request.match_info["host"]) - 1
        self.hosts[place] = slot | {"id": str(place + 1)}
        at = f"{slot.get('ipAddress') or slot.get('hostName')}:{slot.get('portNo')}"
        self.tell(Text(f"it pushes to {at} from now on", f"开始向 {at} 推送"))
        return self._status()

    def _status(self) -> web.Response:
        said = self.refusal or _OK
        text = f"<ResponseStatus>{_xml(said)}</ResponseStatus>"
        return web.Response(text=text, content_type="application/xml", status=200 if said is _OK else 403)

    # --- pushes

    def push(self, content_type: str, body: bytes) -> None:
        """Hands a request to all that it pushes to, until each has said 200; one after the other."""
        self._queue.put_nowait((content_type, body))

    async def pushes(self, count: int) -> None:
        """Until so many have been answered in all."""
        async with self.pushed:
            await self.pushed.wait_for(lambda: len(self.answers) >= count)

    async def deliver(self) -> None:
        """For ever: what was handed to `push`."""
        async with aiohttp.ClientSession() as http:
            while True:
                content_type, body = await self._queue.get()
                for slot in self.hosts:
                    if slot["url"]:
                        await self._deliver(http, slot, content_type, body)

    async def _deliver(self, http: aiohttp.ClientSession, slot: Mapping[str, str], kind: str, body: bytes) -> None:
        url = f"http://{slot.get('ipAddress')}:{slot.get('portNo')}{slot['url']}"
        status = 0
        while status != 200:
            try:
                async with http.post(url, data=body, headers={"Content-Type": kind}) as answer:
                    status = answer.status
            except aiohttp.ClientError:
                status = 0
            async with self.pushed:
                self.answers.append(status)
                self.pushed.notify_all()
            if status != 200:
                await asyncio.sleep(RESEND_S)


def _xml(fields: Mapping[str, Any]) -> str:
    return "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
