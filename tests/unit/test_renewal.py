"""A house that is told of configurations while it runs: what it takes in, refuses, and says of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway import audit, renewal
from gateway.app import live, standing
from gateway.archive import Archive, choose
from gateway.audit import By
from gateway.clock import SystemClock
from gateway.driver import registry
from gateway.errors import StateError, StorageError
from gateway.house import House
from gateway.mqtt import Message
from gateway.renewal import LARGEST_BYTES, NotRight, Renewal
from tests.brokers import free_port
from tests.houses import WAIT_S, disk, until
from tests.rig import BASE

PERSON = By("li", "installer", "cli")
TEXT = """\
gateway: {{id: gw-0001, state_dir: {state}, language: zh-CN, web: {{listen: "127.0.0.1:{page}"}}}}
site:
  name: 阳光花园
  area: {{district: "310104", street: "013", community: "002"}}
  places: {{gate: {{label: 大门}}}}
uplinks:
  district: {{url: "mqtt://127.0.0.1:{port}", config: true}}
  city: {{url: "mqtt://127.0.0.1:{port}"}}
devices:
  - {{id: cam-1, driver: webhook, token: sixteen-letters-long, kind: camera, place: gate}}
"""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to hear of a restart before it comes."""
    monkeypatch.setattr(renewal, "GRACE_S", 0.1)


class Told:
    """A house, the file it came from, and what is pushed to it without a broker."""

    def __init__(self, house: House, file: Path) -> None:
        assert house.renewal is not None
        self.house = house
        self.renewal: Renewal = house.renewal
        self.file = file
        self.text = file.read_text("utf-8")

    async def push(self, **document: Any) -> None:
        """`config/desired`."""
        await self.say(json.dumps(document).encode())

    async def say(self, payload: bytes) -> None:
        """Whatever comes on that topic."""
        heard = self.house.uplinks[0].parts.plan.inbox[f"{BASE}/config/desired"]
        assert await heard(Message(f"{BASE}/config/desired", payload, retained=True)) is None

    def reported(self) -> Any:
        """To the platform."""
        return self.renewal.document("district")

    async def becomes(self, state: str, revision: str = "r1") -> Any:
        """Until it says so, and all is told."""
        history: Callable[[], Any] = lambda: self.renewal._kept.history  # noqa: E731
        await until(
            self.house,
            lambda: (
                (self.reported()["state"], self.reported()["revision"]) == (state, revision) and not history().untold
            ),
        )
        return self.reported()

    async def events(self) -> list[dict[str, Any]]:
        """What was told upstream."""
        return [event["data"] for event in await disk(self.house) if event["type"] == "operator.config"]


@asynccontextmanager
async def told(folder: Path) -> AsyncIterator[Told]:
    """It runs while the block lasts."""
    file = folder / "gateway.yaml"
    if not file.exists():
        state = json.dumps(str(folder / "state"))
        file.write_text(TEXT.format(state=state, port=free_port(), page=free_port()), "utf-8")
    drivers, stopping = registry(), asyncio.Event()
    start = choose(file, folder / "state", drivers.models(), SystemClock())
    async with standing(start.loaded.config, drivers, start) as house:
        task = asyncio.create_task(live(house, stopping))
        try:
            yield Told(house, file)
        finally:
            stopping.set()
            async with asyncio.timeout(WAIT_S):
                await task


async def test_only_who_may_push_is_heard_and_told(tmp_path: Path) -> None:
    async with told(tmp_path) as one:
        district, city = (uplink.parts.plan for uplink in one.house.uplinks)
        pushed = f"{BASE}/config/desired"
        assert (pushed in district.inbox, list(district.documents)) == (True, ["config/reported"])
        assert (pushed in city.inbox, dict(city.documents)) == (False, {})


@pytest.mark.parametrize(
    ("payload", "revision", "why"),
    [
        (b"{", "", "JSON"),
        (b"[1]", "", "JSON"),
        (b'{"revision": "r9"}', "r9", "config: Field required"),
        (b'{"revision": "r9", "config": "a", "confirm_within_s": 9}', "r9", "confirm_within_s"),
        (b'{"revision": "r9", "config": "a", "confirm_within_s": 3601}', "r9", "confirm_within_s"),
        (b'{"revision": "r9", "config": "' + b"x" * LARGEST_BYTES + b'"}', "", "bytes"),
    ],
)
async def test_what_is_no_such_document_is_refused_once(
    tmp_path: Path, payload: bytes, revision: str, why: str
) -> None:
    async with told(tmp_path) as one:
        for _ in range(2):
            await one.say(payload)
        await one.say(b"")  # the platform takes it back
        report = await one.becomes("rejected", revision)
        assert why in report["errors"][0]["what"]["en"]
        assert "confirm_within_s(10 至 3600)" in report["errors"][0]["what"]["zh"]
        assert [data["state"] for data in await one.events()] == ["rejected"]


async def test_what_runs_already_needs_no_trial(tmp_path: Path) -> None:
    async with told(tmp_path) as one:
        await one.push(revision="r1", config=one.text)
        report = await one.becomes("running")
        assert (report["running"], one.house.ending.asked.is_set()) == ("local-1", False)


async def test_who_did_it_stands_in_the_audit_and_in_the_event(tmp_path: Path) -> None:
    async with told(tmp_path) as one:
        await one.push(revision="r1", config=one.text.replace("place: gate", "place: gat"))
        await one.becomes("rejected")
        (said,) = await one.events()
        assert said.items() >= {"who": "district", "role": "platform", "from": "uplink:district"}.items()
        assert "gat" in said["reason"]
        lines = [entry for _, entry in await one.house.store.read(lambda c: audit.lines(c, 0, 10))]
        assert [(entry["what"], entry["subject"], entry["outcome"]) for entry in lines] == [
            ("operator.config", "r1", "rejected"),
        ]


async def test_another_push_takes_the_place_of_one_that_is_tried(tmp_path: Path) -> None:
    async with told(tmp_path) as one:
        await one.push(revision="r1", config=one.text.replace("阳光", "月光"))
        await one.becomes("trying")
        await one.push(revision="r2", config=one.text.replace("阳光", "星光"))
        await one.house.ending.asked.wait()
        assert one.house.ending.again
    history = Archive(tmp_path / "state").history()
    assert (history.current, history.waiting["district"].revision) == (2, "r2")
    async with told(tmp_path) as one:
        assert one.house.config.site.name == "月光花园"
        await one.becomes("trying", "r2")
        states = [(data["revision"], data["state"]) for data in await one.events()]
        assert states[-2:] == [("r1", "rolled-back"), ("r2", "trying")]


async def test_nothing_is_acknowledged_that_is_not_on_disk(tmp_path: Path) -> None:
    async with told(tmp_path) as one:
        await one.becomes("running", "local-1")
        kept = tmp_path / "state" / "config"
        kept.rename(tmp_path / "aside")
        kept.write_text("in the way", "utf-8")
        with pytest.raises(StorageError):
            await one.push(revision="r1", config=one.text)
        kept.unlink()
        (tmp_path / "aside").rename(kept)
        await one.push(revision="r1", config=one.text)
        await one.becomes("running")


async def test_a_person_reloads_and_goes_back_only_to_what_is_right(tmp_path: Path) -> None:
    async with told(tmp_path) as one:
        one.file.write_text(one.text.replace("place: gate", "place: gat"), "utf-8")
        with pytest.raises(NotRight) as wrong:
            await one.renewal.reload(PERSON)
        assert wrong.value.say("zh").startswith("gateway.yaml:10:")
        with pytest.raises(StateError, match="no revision 7"):
            await one.renewal.roll_back(7, PERSON)
        assert not one.house.ending.asked.is_set()
        one.file.write_text(one.text, "utf-8")
        await one.renewal.reload(PERSON)
        async with asyncio.timeout(WAIT_S):
            await one.house.ending.asked.wait()
        assert one.house.ending.again
