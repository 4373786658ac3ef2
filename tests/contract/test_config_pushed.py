"""A platform pushes configurations to the real daemon over a real broker: kept, refused, rolled back, remembered."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from drivers.sim import modbus
from tests.brokers import Mosquitto, Subscriber, free_port, subscribed
from tests.daemons import SITE, Own
from tests.faults.daemon import BASE, READY_S, ROOT

REPORTED = "/config/reported"
SECTIONS = (
    SITE.replace("{", "{{").replace("}", "}}")
    + """\
uplinks:
  district: {{url: "mqtt://127.0.0.1:{broker}", config: true}}
buses:
  rs485-1: {{serial: "{line}", baudrate: 115200}}
devices:
  - {{id: smoke-1, driver: modbus, bus: rs485-1, address: 5, profile: rs-yg-n01, place: b3/u2,
     poll: 100ms, offline_after: 1s}}
"""
)


class Box(Own):
    """The daemon, with what a platform pushes to it."""

    broker: Mosquitto
    city: Subscriber

    @property
    def text(self) -> str:
        """gateway.yaml."""
        return self._config.read_text("utf-8")

    @text.setter
    def text(self, text: str) -> None:
        self._config.write_text(text, "utf-8")

    async def push(self, revision: str, config: str, within_s: float = 60) -> None:
        """`config/desired`, retained."""
        document = {"revision": revision, "config": config, "confirm_within_s": within_s}
        async with aiomqtt.Client("127.0.0.1", self.broker.port) as client:
            await client.publish(f"{BASE}/config/desired", json.dumps(document), qos=1, retain=True)

    def reported(self) -> dict[str, Any]:
        """What the platform knows."""
        return self.city.document(REPORTED) or {}

    def reports(self) -> int:
        """How often the platform heard of it."""
        return sum(str(message.topic).endswith(REPORTED) for message in self.city.messages)

    async def becomes(self, revision: str, state: str) -> dict[str, Any]:
        """Until the platform hears so."""
        await self.city.until(
            lambda: (self.reported().get("revision"), self.reported().get("state")) == (revision, state), READY_S
        )
        return self.reported()

    def told(self) -> list[tuple[str, str]]:
        """What `operator.config` events said."""
        events = [event["data"] for event in self.city.events() if event["type"] == "operator.config"]
        return [(data["revision"], data["state"]) for data in events]

    async def gateway(self, *words: str) -> tuple[int, str]:
        """A command line on its configuration: exit status and what it printed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", *words, "--config", str(self._config)),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=ROOT, env=os.environ | {"LANG": "C"},
        )  # fmt: skip
        told, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, told.decode()

    def starts(self) -> int:
        """How often it has come up."""
        return sum(" running: " in line for line in self.log)


@asynccontextmanager
async def box(folder: Path) -> AsyncIterator[Box]:
    """A detector on a real line, a broker, and the daemon; revision local-1 runs."""
    async with (
        Mosquitto(folder) as broker,
        subscribed(broker.port) as city,
        modbus.Line(modbus.Slave(5, "rs-yg-n01")) as line,
        Box(folder, SECTIONS.format(broker=broker.port, line=line.port)) as made,
    ):
        made.broker, made.city = broker, city
        await made.start()
        await city.until(lambda: (city.document("/state/smoke-1") or {}).get("online"))
        await made.becomes("local-1", "running")
        yield made


async def test_a_good_push_is_tried_kept_and_told_once(tmp_path: Path) -> None:
    async with box(tmp_path) as gateway:
        process = gateway.running.pid
        better = gateway.text.replace("阳光花园", "月光花园")
        again = asyncio.create_task(gateway.ready())
        await gateway.push("r7", better)
        await gateway.becomes("r7", "trying")
        await again
        await gateway.becomes("r7", "running")
        assert gateway.running.pid == process  # systemd saw no end
        assert (gateway.city.document("/dossier") or {})["area"]["name"] == "月光花园"
        await gateway.city.until(lambda: ("r7", "running") in gateway.told())
        assert gateway.told() == [("r7", "trying"), ("r7", "running")]
        starts, reports = gateway.starts(), gateway.reports()
        await gateway.push("r7", better)  # the same once more, and it is retained: after a restart too
        await gateway.stop()
        await gateway.start()
        await gateway.city.until(lambda: gateway.reports() > reports)
        await gateway.logged(lambda _: gateway.starts() > starts)
        assert (gateway.reported()["revision"], gateway.reported()["state"]) == ("r7", "running")
        assert (gateway.starts(), len(gateway.told())) == (starts + 1, 2)
        status, told = await gateway.gateway("config", "log")
        assert status == 0
        assert "r7" in told
        assert "uplink district" in told
        status, told = await gateway.gateway("config", "diff")
        assert "+  name: 月光花园" in told


async def test_a_wrong_push_is_refused_with_every_mistake_in_both_languages(tmp_path: Path) -> None:
    async with box(tmp_path) as gateway:
        wrong = gateway.text.replace("poll: 100ms", "pol: 100ms").replace("place: b3/u2,", "place: b9,")
        await gateway.push("r1", wrong)
        told = await gateway.becomes("r1", "rejected")
        assert told["running"] == "local-1"
        assert {error["key"] for error in told["errors"]} == {"devices[0].place", "devices[0].pol"}
        assert all(error["line"] > 1 and error["column"] > 1 and error["what"]["zh"] for error in told["errors"])
        assert gateway.starts() == 1


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('"mqtt://127.0.0.1:{port}"', '"mqtt://127.0.0.1:{free}"', "did not come back"),
        ("address: 5", "address: 9", "smoke-1"),
    ],
)
async def test_a_push_that_breaks_something_is_rolled_back(tmp_path: Path, old: str, new: str, why: str) -> None:
    async with box(tmp_path) as gateway:
        names = {"port": gateway.broker.port, "free": free_port()}
        broken = gateway.text.replace(old.format(**names), new.format(**names))
        assert broken != gateway.text
        await gateway.push("r2", broken, within_s=10)
        told = await gateway.becomes("r2", "rolled-back")
        assert told["running"] == "local-1"
        assert why in told["errors"][0]["what"]["en"]
        await gateway.city.until(lambda: ("r2", "rolled-back") in gateway.told())
        await gateway.logged(lambda _: gateway.starts() == 3, READY_S)
        assert (await gateway.becomes("r2", "rolled-back"))["running"] == "local-1"


async def test_killed_while_it_tries_it_still_rolls_back(tmp_path: Path) -> None:
    async with box(tmp_path) as gateway:
        broken = gateway.text.replace(f":{gateway.broker.port}", f":{free_port()}")
        await gateway.push("r3", broken, within_s=3600)
        await gateway.becomes("r3", "trying")
        await gateway.logged(lambda _: gateway.starts() == 2, READY_S)
        for _ in range(2):
            await gateway.kill()
            await gateway.start()
        await gateway.kill()
        await gateway.start()  # the crash loop is over: the revision before
        told = await gateway.becomes("r3", "rolled-back")
        assert "ended 3 times" in told["errors"][0]["what"]["en"]


async def test_who_edits_the_file_at_the_box_wins_and_any_revision_comes_back(tmp_path: Path) -> None:
    async with box(tmp_path) as gateway:
        await gateway.push("r4", gateway.text.replace("阳光花园", "月光花园"))
        await gateway.becomes("r4", "running")
        assert (await gateway.gateway("reload"))[0] == 0  # nothing was edited: what was pushed goes on
        await gateway.logged(lambda _: gateway.starts() == 3, READY_S)
        gateway.text = gateway.text.replace("阳光花园", "星光花园").replace("poll: 100ms", "pol: 100ms")
        status, told = await gateway.gateway("reload")
        assert status == 1
        assert "devices[0].pol" in told
        gateway.text = gateway.text.replace("pol: 100ms", "poll: 100ms")
        status, told = await gateway.gateway("reload")
        assert (status, "starts anew" in told) == (0, True)
        await gateway.becomes("local-3", "running")
        await gateway.city.until(lambda: ("local-3", "running") in gateway.told())
        assert any("replaces revision 2 (r4, from uplink:district)" in line for line in gateway.log)
        status, told = await gateway.gateway("config", "rollback", "2")
        assert status == 0, told
        await gateway.becomes("local-4", "running")
        await gateway.city.until(lambda: gateway.city.document("/dossier")["area"]["name"] == "月光花园")  # type: ignore[index]
        await gateway.stop()
        status, told = await gateway.gateway("config", "rollback", "1")  # without a daemon
        assert status == 0, told
        await gateway.start()
        await gateway.becomes("local-5", "running")
        await gateway.city.until(lambda: gateway.city.document("/dossier")["area"]["name"] == "阳光花园")  # type: ignore[index]
        assert (await gateway.gateway("config", "show"))[1] == (await gateway.gateway("config", "show", "1"))[1]
