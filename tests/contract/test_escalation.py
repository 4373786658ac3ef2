"""The real daemon, killed in between: an alarm that nobody acknowledges reaches the duty desk, on its own wire."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from drivers.sim import webhook
from tests.brokers import Mosquitto, free_port, subscribed
from tests.daemons import SITE, Own

WAIT_S = 20.0
SECTIONS = """\
uplinks:
  district: {url: "mqtt://127.0.0.1:DISTRICT"}
  police: {url: "mqtt://127.0.0.1:DISTRICT", root: police/v1, types: ["access.*"]}
devices:
  - {id: panic-1, driver: webhook, token: !file panic.token, kind: panic, place: gate}
contacts:
  值班平台: {webhook: "http://127.0.0.1:DESK/", key: !file hook.key}
responsibility:
  "*": {lead: 物业经理, escalate: [{after: 0s, to: page}, {after: STEP, to: 值班平台}, {after: STEP, to: police}]}
"""
TOKEN = "token-of-the-test"  # of a device that lives for one test


@asynccontextmanager
async def duty_desk(came: asyncio.Queue[dict[str, Any]], port: int) -> AsyncIterator[None]:
    """Takes messages while the block lasts."""

    async def take(request: web.Request) -> web.Response:
        await came.put(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    async with TestServer(app, port=port):
        yield


def steps(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(to whom, what came of it) of each step."""
    told = [event["data"] for event in events if event["type"] == "gateway.escalation"]
    return [(data["to"], data["result"]) for data in told]


async def test_nobody_acknowledges(tmp_path: Path) -> None:
    came, port = asyncio.Queue[dict[str, Any]](), free_port()
    async with Mosquitto(tmp_path) as broker, subscribed(broker.port, "sc/v1/#") as city:
        sections = SITE + SECTIONS.replace("DISTRICT", str(broker.port)).replace("DESK", str(port))
        files = {"panic.token": TOKEN, "hook.key": "between us"}
        async with (
            subscribed(broker.port, "police/v1/#") as police,
            Own(tmp_path, sections.replace("STEP", "1s"), files, language="zh-CN") as daemon,
        ):
            await daemon.start()
            async with webhook.Poster(f"{daemon.url}/ingest/panic-1", TOKEN) as panic:
                await panic.say({"type": "safety.panic", "phase": "raise"})
                await panic.all_accepted()
            await city.until(lambda: ("值班平台", "failed") in steps(city.events()), WAIT_S)  # nobody is at the desk
            await daemon.kill()
            await daemon.start()
            async with duty_desk(came, port):
                message = await asyncio.wait_for(came.get(), WAIT_S)
                await city.until(lambda: ("值班平台", "ok") in steps(city.events()), WAIT_S)
            (heard,) = [event for event in police.events() if event["type"] == "gateway.escalation"]
    assert message["title"] == "【报警】紧急求助 大门"
    assert "牵头:物业经理。" in message["text"]
    assert heard["data"]["to"] == "police"
    ways = sorted(set(steps(city.events())))
    assert ways == sorted([("page", "ok"), ("police", "ok"), *(("值班平台", w) for w in ("sending", "failed", "ok"))])
    assert len({event["id"] for event in city.events() if event["type"] == "gateway.escalation"}) == len(ways)
