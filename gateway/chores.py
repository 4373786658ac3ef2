"""What the gateway itself is asked to do: its alarms, drills, its configuration, its process, its diagnostics."""

import asyncio
import platform
import uuid
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from gateway import __version__, bundle
from gateway.alarms import Alarm
from gateway.audit import By
from gateway.clerk import Clerk
from gateway.commands import ON_DEVICES, ON_GATEWAY, Action, Order, Refused, Request, Result, Rules
from gateway.deeds import Theirs
from gateway.errors import StorageError, Text
from gateway.house import Filter, House
from gateway.renewal import NotRight

ENDS_S = 1.0  # between the answer and the end of the process
ANSWER_S = 25.0  # the command line waits for one so long
BUNDLED_EVENTS = 500


class Chores:
    """One method an action (contract, section 4)."""

    def __init__(self, house: House) -> None:
        self._house = house

    def actions(self) -> dict[str, Action]:
        """By name."""
        return {
            "silence": self._silence,
            "acknowledge": self._acknowledge,
            "dispose": self._dispose,
            "reset": self._reset,
            "drill": self._drill,
            "reload": self._reload,
            "restart": self._restart,
            "bundle": self._bundle,
            "picture": self._picture,
        }

    async def _silence(self, order: Order) -> Result:
        silenced = await self._house.duty.silence(order.by, self._theirs(order.by))
        return {"alarms": [alarm.id for alarm in silenced]}

    async def _acknowledge(self, order: Order) -> Result:
        alarm = await self._alarm(order)
        return self._shown(await self._house.duty.acknowledge(alarm, order.by, order.args.note))

    async def _dispose(self, order: Order) -> Result:
        alarm, args = await self._alarm(order), order.args
        return self._shown(
            await self._house.duty.dispose(alarm, order.by, args.outcome, cause=args.cause, note=args.note)
        )

    async def _reset(self, order: Order) -> Result:
        return self._shown(await self._house.duty.reset(await self._alarm(order), order.by))

    async def _alarm(self, order: Order) -> str:
        """The id of the alarm that is asked for. NotFound, also where it is none of the asker's."""
        return (await self._house.duty.find(order.args.alarm, self._theirs(order.by))).id

    def _theirs(self, by: By) -> Theirs:
        """A department knows of the alarms that it gets; who stands at the box knows of all."""
        asking = [uplink.parts.plan.policy for uplink in self._house.uplinks if by.place == f"uplink:{uplink.name}"]

        def theirs(alarm: Alarm) -> bool:
            place = self._house.site.place_of(alarm.device).get("place", {}).get("path")
            return all(policy.wants(alarm.type, alarm.severity.value, place) for policy in asking)

        return theirs

    async def _drill(self, order: Order) -> Result:
        await self._house.covers.drill(order.args.scope, order.args.seconds, order.by)
        return {}

    def _shown(self, alarm: Alarm) -> Result:
        document = self._house.alarm(alarm)
        return {name: document[name] for name in ("alarm", "device", "type", "state", "flags")}

    async def _reload(self, order: Order) -> Result:
        """Started again by gateway.yaml as it is now; a wrong one is refused with its problems."""
        if self._house.renewal is None:
            what = Text("it was started without a configuration file", "启动时没有使用配置文件")
            raise Refused("not-allowed", what)
        try:
            await self._house.renewal.reload(order.by)
        except NotRight as wrong:
            errors = wrong.what.say(self._house.language).splitlines()
            raise Refused("bad-arguments", wrong.what, result={"errors": errors}) from wrong
        return {}

    async def _restart(self, order: Order) -> Result:
        """Answered first."""
        await self._house.audit.put(order.by, f"command.{order.action}", "gateway", command=order.id)
        asyncio.get_running_loop().call_later(ENDS_S, self._house.ending.restart)
        return {"ends_in_s": ENDS_S}

    async def _picture(self, order: Order) -> Result:
        try:
            piece = await self._house.pictures.piece(order.args.ref, order.args.offset)
        except StorageError as error:
            raise Refused("busy", Text(error.say("en"), error.say("zh"))) from error
        if piece is None:
            what = Text("there is no such picture, or not any more", "没有这张图片,或已不再保存")
            raise Refused("bad-arguments", what)
        return piece

    async def _bundle(self, _: Order) -> Result:
        now = self._house.vitals.clock.utc()
        body = bundle.packed(await self._diagnostics(), now)
        try:
            written = bundle.write(self._house.config.gateway.state_dir, body, now)
        except OSError as error:
            why = error.strerror or str(error)
            raise Refused("busy", Text(f"the file cannot be written: {why}", f"无法写入文件:{why}")) from error
        return asdict(written) | {"path": str(written.path)}

    async def _diagnostics(self) -> dict[str, Any]:
        house = self._house
        about = {"version": __version__, "python": platform.python_version(), "machine": platform.machine(),
                 "system": platform.release()}  # fmt: skip
        return {
            "about": about,
            "health": house.health(),
            "devices": house.devices(),
            "drivers": [_line(line) for line in house.supervisor.lines],
            "alarms": house.alarms(),
            "outbox": await house.outbox(),
            "events": await house.events(Filter(), BUNDLED_EVENTS),
            "config": bundle.configured(house.config),
        }


def _line(line: Any) -> dict[str, Any]:
    why = None if line.why is None else line.why.say("en")
    return {"driver": line.driver_name, "line": line.line.name, "state": line.state, "why": why}


async def send(house: House, device: str, action: str, args: dict[str, Any], by: By) -> dict[str, Any]:
    """A command from the box itself: the same checks, but for the uplink's permission, clock and signature."""
    rules = Rules("", "", house.language, ON_DEVICES | ON_GATEWAY, house.supervisor.takes())
    clock = house.vitals.clock
    expires = clock.utc() + timedelta(seconds=ANSWER_S)
    request = Request(f"cli-{uuid.uuid4()}", device, action, args, expires, by.who)
    verdict = await Clerk(rules, house.actions, house.audit, clock, local=True).attend(request, by)
    answer = {"id": request.id, "status": verdict.status, "code": verdict.code, "message": verdict.what._asdict()}
    return answer | ({"result": verdict.result} if verdict.result else {})
