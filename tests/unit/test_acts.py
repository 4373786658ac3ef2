"""What fire holds: against whom a door, or an output, that a rule has opened in a fire stands open."""

import pytest

from gateway.acts import Act, Acts, Stage

FIRE = ("smoke-1", "fire.smoke", "")


def opened(action: str, **args: object) -> Acts:
    """A fire has opened it, and nobody has disposed of the alarm."""
    acts = Acts()
    acts.keep(Act("opens", 0, "door-1", "alarm-1", FIRE, False, action, Stage.LASTING, until="reset", args=args))
    return acts


@pytest.mark.parametrize(
    ("action", "args", "held"),
    [
        ("lock", {}, True),
        ("lockdown", {}, True),
        ("unlock", {"seconds": 5}, True),  # the device would shut after that
        ("release", {}, False),
        ("snapshot", {}, False),
    ],
)
def test_a_door_that_fire_has_opened(action: str, args: dict[str, object], held: bool) -> None:
    assert opened("release").held("door-1", action, args) is held
    assert not opened("release").held("door-2", action, args)


@pytest.mark.parametrize(
    ("number", "state", "seconds", "held"),
    [(1, False, None, True), (1, True, 2, True), (1, True, None, False), (2, False, None, False), (2, True, 2, False)],
)
def test_an_output_that_fire_has_switched(number: int, state: bool, seconds: int | None, held: bool) -> None:
    args = {"number": number, "state": state} | ({} if seconds is None else {"seconds": seconds})
    assert opened("output", number=1, state=True).held("door-1", "output", args) is held
