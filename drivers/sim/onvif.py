"""An ONVIF camera on a loopback port: SOAP 1.2, a login checked by its own clock, pull points, a picture, relays.

`async with OnvifCamera() as camera:` gives `camera.url`; then `camera.motion(True)`, `camera.input("1", True)`,
`camera.events.state(topic, source, data)`. `Quirks` are what real firmware does differently.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self
from xml.etree.ElementTree import Element

from aiohttp import web

from drivers.sim._isapi_voice import picture
from drivers.sim._onvif_device import capabilities, outputs, profiles, services, snapshot_uri, time
from drivers.sim._onvif_events import Events
from drivers.sim._onvif_events import Quirks as Quirks
from drivers.sim._onvif_soap import Fault, Tokens, answer, parse, refusal, said
from drivers.sim.isapi import Login
from gateway.clock import Clock, SystemClock
from gateway.errors import Text

MOTION = "RuleEngine/CellMotionDetector/Motion"
MOST_KEPT = 1000  # requests
SOURCES = ("V0", "V1")
QUIRKS = Quirks()  # today's firmware


class OnvifCamera:
    """One camera with two pictures and two relays; its state is what tests look at."""

    def __init__(
        self,
        login: tuple[str, str] = ("admin", "camera-1234"),
        quirks: Quirks = QUIRKS,
        port: int = 0,
        clock: Clock | None = None,
    ) -> None:
        self.url = ""
        self.quirks = quirks
        self.tokens = Tokens({login[0]: login[1]})
        self.web = Login(*login, basic=False)
        self.events = Events(quirks, clock or SystemClock())
        self.relays = {"R0": False, "R1": False}
        self.asked: deque[str] = deque(maxlen=MOST_KEPT)  # operations, in order
        self.requests: deque[bytes] = deque(maxlen=MOST_KEPT)  # as they came
        self.tell: Callable[[Text], object] = lambda _: None  # what it is asked to do
        self._changed = asyncio.Condition()
        self._stack = AsyncExitStack()
        self._port = port

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Power on; after a stop on the same port again, with no subscription left."""
        app = web.Application()
        app.router.add_post("/{path:.*}", self._serve)
        app.router.add_get("/snapshot/{source}", self._show)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"

    async def stop(self) -> None:
        """Power off: nothing answers, and every subscription is forgotten."""
        for point in self.events.points.values():
            point.arrived.set()
        self.events.points.clear()
        await self._stack.aclose()

    async def until(self, predicate: Callable[[], object], within_s: float = 5.0) -> None:
        """Wait until it holds; looked at with every request. TimeoutError if it never does."""
        async with asyncio.timeout(within_s), self._changed:
            await self._changed.wait_for(predicate)

    # --- what happens

    def motion(self, active: bool, source: str = "V0") -> None:
        """Something moves in a picture, or no more."""
        where = {"VideoSourceConfigurationToken": f"{source}-configuration", "Rule": "MyMotion"}
        self.events.state(MOTION, where, {"IsMotion": str(active).lower()})

    def input(self, token: str, active: bool) -> None:
        """An alarm input."""
        data = {"LogicalState": str(active).lower()}
        self.events.state("Device/Trigger/DigitalInput", {"InputToken": token}, data)

    def relay(self, token: str, active: bool) -> None:
        """A relay output, and what is told of it."""
        self.relays[token] = active
        data = {"LogicalState": "active" if active else "inactive"}
        self.events.state("Device/Trigger/Relay", {"RelayToken": token}, data)
        self.tell(Text(f"relay {token}: {'on' if active else 'off'}", f"继电器 {token}:{'开' if active else '关'}"))

    # --- what it answers

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        try:
            wire = await request.read()
            header, asked = parse(wire)
            operation = str(asked.tag).rpartition("}")[2]
            self._check(request, header, operation)
            self.asked.append(operation)
            self.requests.append(wire)
            async with self._changed:
                self._changed.notify_all()
            body = await self._answer(operation, asked, header, request)
        except Fault as fault:
            return refusal(fault)
        if body is None:
            if request.transport is not None:
                request.transport.close()
            return web.Response()
        if operation == "PullMessages" and self.quirks.garbage:
            return web.Response(body=self.quirks.garbage, content_type="application/soap+xml")
        return answer(body)

    def _check(self, request: web.Request, header: Element, operation: str) -> None:
        quirks = self.quirks
        if quirks.login == "none" or (operation == "GetSystemDateAndTime" and not quirks.guarded_clock):
            return
        if quirks.login in ("digest", "both"):
            self.web.check(request)
        if quirks.login in ("token", "both") and not self.tokens.check(header, self.events.now()):
            raise Fault("NotAuthorized", "Sender not Authorized")

    async def _answer(self, operation: str, asked: Element, header: Element, request: web.Request) -> str | None:
        if request.path.startswith("/onvif/subscription"):
            name = said(header, "Id") if self.quirks.references else request.path.rpartition("/")[2]
            return await self._subscription(operation, asked, name)
        match operation:
            case "GetSystemDateAndTime":
                return time(self.events.now(), told=not self.quirks.silent_clock)
            case "GetCapabilities" if not self.quirks.services:
                return capabilities()
            case "GetServices":
                return services()
            case "GetProfiles":
                return profiles(SOURCES)
            case "GetRelayOutputs":
                return outputs(self.relays)
            case "SetRelayOutputState":
                return self._switch(said(asked, "RelayOutputToken"), said(asked, "LogicalState") == "active")
            case "GetSnapshotUri":
                return snapshot_uri(self._port, said(asked, "ProfileToken").removeprefix("P-"))
            case "CreatePullPointSubscription":
                return self.events.create(asked, self.url)
        raise Fault("ActionNotSupported", f"{operation} is not supported")

    async def _subscription(self, operation: str, asked: Element, name: str) -> str | None:
        match operation:
            case "PullMessages":
                return await self.events.pull(asked, name)
            case "SetSynchronizationPoint":
                return self.events.synchronize(name)
            case "Renew":
                return self.events.renew(asked, name)
            case "Unsubscribe":
                return self.events.unsubscribe(name)
        raise Fault("ActionNotSupported", f"{operation} is not supported")

    def _switch(self, token: str, active: bool) -> str:
        if token not in self.relays:
            raise Fault("RelayToken", "Unknown relay token reference")
        self.relay(token, active)
        return "<tds:SetRelayOutputStateResponse/>"

    async def _show(self, request: web.Request) -> web.Response:
        self.web.check(request)
        return web.Response(body=picture(), content_type=self.quirks.picture_type)
