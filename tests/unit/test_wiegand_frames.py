"""Any table that is allowed describes frames that carry any card: tables made at random, and each card through them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from drivers._wiegand import LAYOUTS, Format
from drivers._wiegand_frame import GAP_S, LONGEST, SUMS, Finder, Frame
from drivers.sim.wiegand import message
from gateway.event import Credential

CARD_BYTES = 5  # 37 bits
HEADS = st.sampled_from(["", "02", "AA", "AA 55", "7E 00 01"])
TAILS = st.sampled_from(["", "03", "0D 0A", "55"])


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    """A binary or hexadecimal frame: length, reader and bit count before the card, a check behind it."""
    coding = draw(st.sampled_from(["bytes", "hex"]))
    kind = draw(st.sampled_from(["none", *SUMS]))
    tail = 0 if kind == "none" else 2 if kind == "crc16" else 1
    has_length, has_reader = draw(st.booleans()), draw(st.booleans())
    fields = [name for name, there in (("length", has_length), ("address", has_reader), ("count", True)) if there]
    places = dict(zip(draw(st.permutations(fields)), range(len(fields)), strict=True))
    first, size = len(fields), len(fields) + CARD_BYTES + tail
    plus = draw(st.integers(0, size))
    table: dict[str, Any] = {
        "coding": coding,
        "carries": "bits",
        "start": draw(HEADS.filter(bool)) if coding == "bytes" else draw(st.sampled_from(["02", "3A"])),
        "count": places["count"],
        "card": [first, first + CARD_BYTES - 1 if not has_length else -1 - tail],
        "align": draw(st.sampled_from(["left", "right"])),
    }
    end = draw(TAILS)
    table |= {"end": end} if end else {}
    table |= {"length": {"at": places["length"], "plus": plus}} if has_length else {}
    table |= {} if has_length else {"size_bytes": size * (2 if coding == "hex" else 1)}
    table |= {"address": places["address"]} if has_reader else {}
    table |= {} if kind == "none" else {"check": {"kind": kind, "over": [0, -1 - tail], "at": -tail}}
    return table


def cards(draw: st.DrawFn) -> tuple[Credential, Format]:
    name = draw(st.sampled_from(sorted(name for name, layout in LAYOUTS.items() if layout.bits > 32)))
    layout = LAYOUTS[name]
    facility = draw(st.integers(0, 2 ** (layout.facility[1] - layout.facility[0] + 1) - 1))
    number = draw(st.integers(0, 2 ** (layout.number[1] - layout.number[0] + 1) - 1))
    return Credential(name, facility, number), name  # type: ignore[return-value]


@given(tables(), st.composite(cards)(), st.integers(0, 255), st.binary(max_size=LONGEST // 2))
def test_any_card_comes_through_any_table(
    table: dict[str, Any], made: tuple[Credential, Format], reader: int, noise: bytes
) -> None:
    frame, (card, format) = Frame.model_validate(table), made
    wire = message(frame, card, reader if frame.address is not None else None)
    finder = Finder(frame, format)
    finder.feed(noise, 0.0)
    found = finder.feed(wire, 2 * GAP_S)  # whatever the noise began, a silence has ended
    assert [each.credential for each in found] == [card]
    assert found[0].address == (reader if frame.address is not None else None)
    assert found[0].bits == LAYOUTS[card.format].bits
    assert not finder.waiting


@given(tables(), st.composite(cards)(), st.integers(0, 999))
def test_what_a_check_covers_never_becomes_another_card(
    table: dict[str, Any], made: tuple[Credential, Format], at: int
) -> None:
    frame, (card, format) = Frame.model_validate(table), made
    wire = message(frame, card, 1)
    place = at % len(wire)
    damaged = wire[:place] + bytes([wire[place] ^ 0x01]) + wire[place + 1 :]
    for found in Finder(frame, format).feed(damaged, 0.0):
        if frame.check is not None:
            assert found.credential in (None, card)


@given(tables(), st.composite(cards)(), st.integers(1, 40))
def test_half_a_message_says_nothing_and_does_not_hide_the_next(
    table: dict[str, Any], made: tuple[Credential, Format], size: int
) -> None:
    frame, (card, format) = Frame.model_validate(table), made
    wire = message(frame, card, 1)
    finder = Finder(frame, format)
    assert [each.credential for each in finder.feed(wire[: min(size, len(wire) - 1)], 0.0)] == []
    assert [each.credential for each in finder.feed(wire, GAP_S)] == [card]


@given(tables(), st.lists(st.composite(cards)(), min_size=2, max_size=4))
def test_messages_that_come_together_are_all_found(
    table: dict[str, Any], made: list[tuple[Credential, Format]]
) -> None:
    frame, format = Frame.model_validate(table), made[0][1]
    same = [card for card, name in made if name == format]
    wire = b"".join(message(frame, card, 1) for card in same)
    found = [each.credential for each in Finder(frame, format).feed(wire, 0.0)]
    assert found[-1] == same[-1]
    assert len(wire) > LONGEST or found == same
