"""Two departments on one broker with the real daemon: each receives what it may, and /public tells just that."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp

from drivers.sim.webhook import Poster
from tests.brokers import Mosquitto, Subscriber, subscribed
from tests.daemons import SITE, Own

SECTIONS = (
    SITE
    + """
profiles:
  mine: {{fields: [place, alarm], place: unit}}
uplinks:
  street: {{url: "mqtt://127.0.0.1:{port}", root: street/v1, redact: street, severity: high, places: [b3]}}
  lifts: {{url: "mqtt://127.0.0.1:{port}", root: lifts/v1, redact: mine}}
devices:
  - {{id: panic-1, driver: webhook, token: !file panic.token, kind: panic, place: b3/u2/f5}}
  - {{id: panic-2, driver: webhook, token: !file panic.token2, kind: panic, place: gate}}
"""
)
TOKENS = {"panic.token": "a-token-of-panic-1-0123", "panic.token2": "a-token-of-panic-2-4567"}
EVENT = {"type": "safety.panic", "phase": "raise", "values": {"level": {"value": 3}}}


def data(heard: Subscriber, root: str) -> list[dict[str, Any]]:
    """What came of calls for help under a root."""
    events = [json.loads(bytes(m.payload)) for m in heard.messages if str(m.topic).startswith(f"{root}/") and m.payload]
    return [event["data"] | {"subject": event["subject"]} for event in events if event.get("type") == "safety.panic"]


async def confirmed(daemon: Own) -> int:
    """Alarms that the platforms have confirmed."""
    _, status = await daemon.get("/api/v1/status")
    return sum(uplink["lanes"]["alarm"]["confirmed"] for uplink in status["uplinks"].values())


async def test_each_department_receives_what_it_may(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, subscribed(broker.port) as heard:
        sections = SECTIONS.replace(SITE, "").format(port=broker.port)
        async with Own(tmp_path, SITE + sections, TOKENS) as daemon:
            await daemon.start()
            for number, token in enumerate(TOKENS.values(), 1):
                async with Poster(f"{daemon.url}/ingest/panic-{number}", token) as panic:
                    await panic.say(EVENT)
                    await panic.all_accepted()
                    assert not panic.refused
            await heard.until(lambda: len(data(heard, "lifts")) == 2 and data(heard, "street"))
            (street,) = data(heard, "street")
            assert street.keys() == {"place", "alarm", "codes", "test", "subject"}
            assert street["place"]["path"] == "b3"
            assert [(set(one), one["place"]["path"]) for one in data(heard, "lifts")] == [
                ({"place", "alarm", "subject"}, "b3/u2"),
                ({"place", "alarm", "subject"}, "gate"),
            ]
            topics = {str(message.topic) for message in heard.messages}
            assert not [topic for topic in topics if topic.startswith("street/") and "panic-2" in topic]
            async with asyncio.timeout(15):
                while await confirmed(daemon) < 3:
                    pass
            _, document = await daemon.get("/public.json")
            async with aiohttp.ClientSession(headers={"Accept-Language": "zh"}) as client:
                answer = await client.get(f"{daemon.url}/public")
                page = await answer.text()
            given = {one["uplink"]: {row["type"]: row for row in one["given"]} for one in document["shared"]}
            assert given["street"]["safety.panic"]["count"] == 1
            assert given["street"]["safety.panic"]["fields"] == ["alarm", "codes", "place", "test"]
            assert "紧急求助" in page
            assert "<script" not in page
            assert "panic-1" not in page
