"""Every shipped profile is sound, quick enough, and understood by its simulator; a wrong one is explained."""

import re
from pathlib import Path
from typing import Any

import pytest

from drivers._modbus_config import Config
from drivers._modbus_profile import known, load
from drivers._modbus_values import met, samples
from drivers.sim.modbus import Slave
from gateway.fields import Wrong

DETECTION_S = 3.0  # from the condition on the wire to the event
HEAD = "title: {en: A, zh: 甲}\nkind: smoke\nsource: a test of the parser\nconfidence: memory\n"


def config(profile: str, **more: Any) -> Config:
    base: dict[str, Any] = {
        "id": "d",
        "driver": "modbus",
        "place": "b3",
        "bus": "line",
        "address": 1,
        "profile": profile,
    }
    if profile in known() and load(profile).points is not None:
        base["loops"] = {1: 3}
    return Config.model_validate({**base, **more})


def test_the_promised_profiles_are_there() -> None:
    promised = {"rs-yg-n01", "lt-001-m1920", "hnag1000", "waveshare-relay-8", "waveshare-io-8ch", "novabo-2di"}
    promised |= {"jade-bird", "jydam-8", "r421a08", "wp8025adam", "lc-modbus-8r-d7"}
    assert promised <= set(known())


@pytest.mark.parametrize("name", known())
def test_conditions_are_found_within_three_seconds(name: str) -> None:
    made = config(name)
    worst = max((watch.condition.debounce for watch in made.watches), default=2)
    assert made.poll_s * worst + made.peer.timeout_s < DETECTION_S


@pytest.mark.parametrize("name", known())
def test_conditions_can_be_made_on_the_simulated_device(name: str) -> None:
    made = config(name)
    slave = Slave(1, name, loops=made.loops)

    def active() -> set[str]:
        answers = {block: slave.tables.read(block.function, block.address, block.count) for block in made.blocks}
        values = samples(made.layout, answers)
        return {
            watch.condition.type
            for watch in made.watches
            if met(watch.condition, values[watch.read.name]) != watch.condition.inverted
        }

    assert active() == set()
    for condition in load(name).conditions:
        slave.set_condition(condition.type, True)
        assert active() == {condition.type}
        slave.set_condition(condition.type, False)
        assert active() == set()


def test_the_map_from_memory_says_so() -> None:
    assert load("rs-yg-n01").confidence == "memory"
    assert "label sheet" in load("rs-yg-n01").source


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("reads: [{name: a, function: 3, address: 70000}]", ":5:41: reads[0].address: at most 65535 is allowed"),
        ("reads: [{name: a, function: 9, address: 0}]", "reads[0].function: not one of the allowed values"),
        ("reads: [{name: a, function: 1, address: 0}]", "functions 1 and 2 read single bits"),
        ("reads: [{name: a, function: 3, address: 0, type: bit}]", "type: bit needs bit: 0 to 15"),
        ("reads: [{name: a, function: 3, address: 0, bitt: 1}]", "did you mean bit?"),
        ("reads: [{name: a, function: 3, address: 0}, {name: a, function: 3, address: 1}]", "two reads have one name"),
        (
            "reads: [{name: a, function: 3, address: 0}]\nconditions: [{type: fire.smoke, read: b, equals: [1]}]",
            'names the read "b"',
        ),
        (
            "reads: [{name: a, function: 3, address: 0}]\nconditions: [{type: fire.smoke, read: a}]",
            "exactly one of equals, bit, above, below",
        ),
        (
            "reads: [{name: a, function: 3, address: 0}]\nconditions: [{type: fire.smok, read: a, equals: [1]}]",
            "did you mean fire.smoke",
        ),
        ("outputs: {count: 8}", "nothing to read"),
        ("inputs: {count: 8}\noutputs: {count: 8, pulse: {address: 1, step: 0s}}", "step: is longer than nothing"),
        (
            "inputs: {count: 8}\noutputs: {count: 8, pulse: {address: 1, step: 1s, function: 6, code: 0xFF00}}",
            "is at most 65535",
        ),
        ("reads: [", "mine.yaml:5:"),
    ],
)
def test_a_wrong_profile_is_explained(tmp_path: Path, body: str, says: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(HEAD + body, "utf-8")
    with pytest.raises(Wrong) as caught:
        load(str(path))
    english, chinese = caught.value.text
    assert english.startswith(f"{path}:")
    assert says in english
    assert "\n" not in english
    assert re.search("[一-鿿]", chinese)


def test_all_that_is_wrong_with_a_profile_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(HEAD + "poll: 1\nreads: [{name: a, function: 3, address: -1}]", "utf-8")
    with pytest.raises(Wrong, match=r"mine.yaml:5:7: poll: a duration .*; .*mine.yaml:6:41: reads\[0\].address"):
        load(str(path))


def test_a_profile_of_ones_own_is_read_again_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(HEAD + "inputs: {count: 2}", "utf-8")
    assert load(str(path)).inputs
    path.write_text(HEAD + "reads: [{name: a, function: 4, address: 7}]", "utf-8")
    assert load(str(path)).reads[0].address == 7
