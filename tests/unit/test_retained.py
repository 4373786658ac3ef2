"""Documents on the broker: the newest wins, what changed goes first, nothing old comes after something new."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.retained import Retained, encode


def drained(retained: Retained) -> list[tuple[str, Any]]:
    """Everything as it goes out and is confirmed: first what is urgent."""
    sent = []
    for queue in (retained.urgent, retained.rest):
        while found := retained.take(queue):
            retained.confirmed(*found)
            sent.append((found[0], json.loads(found[1])))
    return sent


def test_everything_is_urgent_the_first_time() -> None:
    retained = Retained()
    retained.announce("status", {"state": "online"})
    retained.announce("dossier", {"revision": 1})
    assert list(retained.urgent) == ["status", "dossier"]
    assert drained(retained) == [("status", {"state": "online"}), ("dossier", {"revision": 1})]


def test_after_a_lost_link_what_changed_goes_first() -> None:
    retained = Retained()
    for topic in ("state/a", "state/b"):
        retained.announce(topic, {"state": "normal", "last_seen": "1"})
    drained(retained)
    retained.clear()
    retained.announce("state/a", {"state": "normal", "last_seen": "2"})  # nothing but the time
    retained.announce("state/b", {"state": "alarm", "last_seen": "2"})
    assert [topic for topic, _ in drained(retained)] == ["state/b", "state/a"]


def test_what_was_never_confirmed_is_still_a_change() -> None:
    retained = Retained()
    retained.announce("state/a", {"state": "alarm"})
    assert retained.take(retained.urgent) is not None  # on its way when the link broke
    retained.clear()
    retained.announce("state/a", {"state": "alarm"})
    assert list(retained.urgent) == ["state/a"]


def test_an_update_replaces_what_waits() -> None:
    retained = Retained()
    retained.announce("state/a", {"state": "normal"})
    retained.update("state/a", {"state": "alarm"})
    retained.update("state/a", {"state": "fault"})
    assert drained(retained) == [("state/a", {"state": "fault"})]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.integers(0, 5))))
def test_the_newest_word_on_a_topic_is_the_one_that_goes_out(steps: list[tuple[bool, str, int]]) -> None:
    retained, newest = Retained(), {}
    for first, topic, number in steps:
        if first and topic not in newest:  # announcing is for the beginning of a session
            retained.announce(topic, {"n": number})
        else:
            retained.update(topic, {"n": number})
        newest[topic] = number
    sent = drained(retained)
    assert {topic: document["n"] for topic, document in sent} == newest
    assert len(sent) == len(newest)


def test_a_refused_topic_is_news_once() -> None:
    retained = Retained()
    assert [retained.refused("dossier"), retained.refused("dossier"), retained.refused("health")] == [True, False, True]


def test_text_goes_out_as_it_is() -> None:
    assert encode({"label": "3号楼"}) == '{"label":"3号楼"}'
