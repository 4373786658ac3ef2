"""The story the demo plays, and the everyday life after it. Each step says what happens, then does it on the wire."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from gateway.demo import stage as at
from gateway.demo.district import District
from gateway.demo.stage import Stage
from gateway.errors import Text

ARRIVAL_S = 15.0  # most that anything may take to arrive
CUT_S = 10.0
DOOR, GATE, SMOKE, CAMERA, PANIC = "door-b3-u2", "door-gate", "smoke-b3-u2-f5", "cam-gate", "panic-gate"
MOTION_S = 1.5
Step = tuple[Text, Callable[[Stage, District], Awaitable[None]]]


async def _arrived(district: District) -> None:
    await district.until(lambda: not district.missing, ARRIVAL_S)


async def doors(stage: Stage, district: District) -> None:
    """A card that may, and one that may not."""
    reader = stage.readers.readers[at.DOOR_B3]
    district.expect((DOOR, "access.granted", "pulse"))
    reader.present(*at.RESIDENT_BITS)
    await _arrived(district)
    await stage.readers.ledger.wait("output", at.DOOR_B3)  # the lock was really released
    district.expect((DOOR, "access.denied", "pulse"))
    reader.present(*at.STRANGER_BITS)
    await _arrived(district)


async def held(stage: Stage, district: District) -> None:
    """Somebody goes through, and leaves the door open."""
    reader = stage.readers.readers[at.DOOR_B3]
    await asyncio.sleep(1.2)  # the same card again would be the same reading
    district.expect((DOOR, "access.granted", "pulse"))
    reader.present(*at.RESIDENT_BITS)
    await _arrived(district)
    district.expect((DOOR, "door.open", "raise"), (DOOR, "door.held", "raise"))
    reader.input(at.CONTACT, True)
    await _arrived(district)
    district.expect((DOOR, "door.open", "clear"), (DOOR, "door.held", "clear"))
    reader.input(at.CONTACT, False)
    await _arrived(district)


async def motion(stage: Stage, district: District) -> None:
    """Something moves at the gate."""
    district.expect((CAMERA, "video.motion", "raise"))
    stage.camera.motion(True)
    await _arrived(district)
    await asyncio.sleep(MOTION_S)
    district.expect((CAMERA, "video.motion", "clear"))
    stage.camera.motion(False)
    await _arrived(district)


async def smoke(stage: Stage, district: District) -> None:
    """Smoke on the fifth floor, and the air clears."""
    detector = stage.detectors.slaves[at.SMOKE]
    district.expect((SMOKE, "fire.smoke", "raise"))
    detector.set_condition("fire.smoke", True)
    await _arrived(district)
    await asyncio.sleep(1.0)
    district.expect((SMOKE, "fire.smoke", "clear"))
    detector.set_condition("fire.smoke", False)
    await _arrived(district)


async def unplugged(stage: Stage, district: District) -> None:
    """The detector's plug is pulled, and put back."""
    detector = stage.detectors.slaves[at.SMOKE]
    district.expect((SMOKE, "device.offline", "raise"))
    detector.unplug()
    await _arrived(district)
    district.expect((SMOKE, "device.offline", "clear"))
    detector.plug()
    await _arrived(district)


async def cut(stage: Stage, district: District) -> None:
    """The uplink is cut for ten seconds; life goes on, and then the fire."""
    stage.wire.cut()
    district.cut = True
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + CUT_S
    resident, gate = stage.readers.readers[at.DOOR_B3], stage.readers.readers[at.DOOR_GATE]
    for number in range(6):
        district.expect((DOOR, "access.granted", "pulse"), (GATE, "access.granted", "pulse"))
        resident.present(*at.RESIDENT_BITS)
        gate.present(*at.RESIDENT_BITS)
        district.expect((CAMERA, "video.motion", "clear" if number % 2 else "raise"))
        stage.camera.motion(not number % 2)
        await asyncio.sleep(1.2)
    district.expect((SMOKE, "fire.smoke", "raise"), (PANIC, "safety.panic", "raise"))
    stage.detectors.slaves[at.SMOKE].set_condition("fire.smoke", True)
    await stage.panic.say({"type": "safety.panic", "phase": "raise"})
    await stage.panic.all_accepted()
    await asyncio.sleep(max(0.0, ends_s - loop.time()))
    stage.wire.mend()
    district.cut = False
    await _arrived(district)
    district.expect((SMOKE, "fire.smoke", "clear"), (PANIC, "safety.panic", "clear"))
    stage.detectors.slaves[at.SMOKE].set_condition("fire.smoke", False)
    await stage.panic.say({"type": "safety.panic", "phase": "clear"})
    await _arrived(district)


STORY: tuple[Step, ...] = (
    (Text("A resident's card opens the door; a stranger's does not", "住户刷卡开门,陌生卡被拒"), doors),
    (Text("A door is held open", "门开着没关"), held),
    (Text("Motion at the gate", "大门口有人走动"), motion),
    (Text("Smoke on the fifth floor, then clear air", "5层出现烟雾,随后散去"), smoke),
    (Text("A detector is unplugged, and plugged in again", "烟感被拔下,又插回"), unplugged),
    (
        Text(
            f"The uplink is cut for {CUT_S:.0f} s while life goes on; on its return alarms come first",
            f"上行断网 {CUT_S:.0f} 秒,小区照常运行;恢复后报警先到",
        ),
        cut,
    ),
)


async def everyday(stage: Stage, district: District) -> None:
    """Random traffic until cancelled."""
    while True:
        await asyncio.sleep(random.uniform(1.5, 4.0))  # noqa: S311  # play
        if random.random() < 0.6:  # noqa: S311  # play
            address, device = random.choice(((at.DOOR_B3, DOOR), (at.DOOR_GATE, GATE)))  # noqa: S311  # play
            bits, kind = random.choice(((at.RESIDENT_BITS, "granted"), (at.STRANGER_BITS, "denied")))  # noqa: S311  # play
            district.expect((device, f"access.{kind}", "pulse"))
            stage.readers.readers[address].present(*bits)
            await _arrived(district)
        else:
            await motion(stage, district)
