"""From the first bit of a fire to its proven end with the uplink cut, and what the platform gets when it is back."""

from pathlib import Path
from typing import Any

from gateway.demo.wire import Wire
from tests.brokers import Mosquitto, subscribed
from tests.contract.test_cli import Said, gateway
from tests.contract.test_linkage import OFF, ON, acted, building

UPLINKS = """\
uplinks:
  district: {{url: "mqtt://127.0.0.1:{port}", commands: [unlock]}}
  fire-brigade: {{url: "mqtt://127.0.0.1:{port}", root: fire/v1, types: ["fire.*"], redact: fire}}
"""
STORY = ("fire.smoke", "gateway.action", "door.released", "operator.silence", "operator.ack", "operator.dispose")


async def done(folder: Path, *arguments: str) -> Said:
    """A command of the person on duty, which must succeed."""
    said = await gateway(*arguments, "--config", folder / "gateway.yaml")
    assert (said.status, said.err) == (0, "")
    return said


def steps(events: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Type, phase and device of what belongs to the story."""
    return [(e["type"], e["phase"], e["subject"]) for e in events if e["type"] in STORY]


async def test_a_fire_is_handled_with_no_uplink_and_the_platform_gets_the_whole_of_it(tmp_path: Path) -> None:
    async with (
        Mosquitto(tmp_path) as broker, Wire(broker.port) as line, subscribed(broker.port) as platform,
        building(tmp_path, UPLINKS.format(port=line.port)) as made,
    ):  # fmt: skip
        await platform.until(lambda: platform.document("gw-0001/status"))
        line.cut()
        made.smoke.set_condition("fire.smoke", True)
        await made.relays(ON)
        await made.events(lambda e: acted(e, "snapshot") and len(acted(e, "release")) == 2)
        (fire,) = (a for a in (await done(tmp_path, "alarms", "--json")).json() if a["type"] == "fire.smoke")
        assert fire["first_fire"]
        await done(tmp_path, "silence")
        await done(tmp_path, "ack", fire["alarm"], "--note", "去现场")
        refused = await gateway("reset", fire["alarm"], "--config", tmp_path / "gateway.yaml")
        assert (refused.status, "its cause still lasts" in refused.err) == (1, True)
        made.smoke.set_condition("fire.smoke", False)
        await made.events(lambda e: ("fire.smoke", "clear", "smoke-1") in steps(e))
        assert {made.last(1), made.last(2)} == {ON}  # a person's word is still missing
        await done(tmp_path, "dispose", fire["alarm"], "--outcome", "real", "--note", "厨房起火,已扑灭")
        await made.relays(OFF)
        here = await made.events(lambda e: len(acted(e, "lock")) == 2)
        assert (await done(tmp_path, "audit", "verify")).out.count(": whole, ")
        assert not [event for event in platform.events() if event["type"] in STORY]

        line.mend()
        await platform.until(lambda: len(steps(of("district", platform.events()))) >= len(steps(here)))
        arrived = of("district", platform.events())
        for lane in ("alarm", "event"):
            mine = [e for e in arrived if e["stream"] == f"district.{lane}"]
            assert [int(e["sequence"]) for e in mine] == list(range(1, len(mine) + 1))
            told = [e for e in here if f"district.{lane}" in e["streams"]]
            assert steps(mine) == steps(told)
        await platform.until(lambda: len(of("fire-brigade", platform.events())) == 2)
        for event in of("fire-brigade", platform.events()):
            assert event["type"] == "fire.smoke"
            assert "raw" not in event["data"]  # its profile
        await platform.until(lambda: cleared(platform.messages, fire["alarm"]))


def of(uplink: str, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of one uplink's streams."""
    return [event for event in events if event["stream"].startswith(f"{uplink}.")]


def cleared(messages: list[Any], alarm: str) -> bool:
    """No uplink shows the alarm any more: never told while it lasted, or taken away."""
    shown = {str(m.topic): bytes(m.payload) for m in messages if str(m.topic).endswith(f"/alarm/{alarm}")}
    return not any(shown.values())
