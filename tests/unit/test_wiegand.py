"""Wiegand layouts: published vectors, round trips, and what parity sees."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers._wiegand import LAYOUTS, Layout, bit_string, decode, encode, pack
from gateway.event import Credential

VECTORS = [
    (Credential("wiegand-26", 90, 324), "00101101000000001010001000", "2D00A200"),
    (Credential("wiegand-34", 0, 1234567890), "1010010011001011000000010110100100", "A4CB016900"),
    (Credential("wiegand-34", 0, 0x89D41B81), "1100010011101010000011011100000011", "C4EA0DC0C0"),
    (Credential("wiegand-37", 0, 123456789), "1000000001110101101111001101000101011", "8075BCD158"),
]


@pytest.mark.parametrize(("card", "bits", "wire"), VECTORS)
def test_published_vectors(card: Credential, bits: str, wire: str) -> None:
    assert encode(card) == (len(bits), bytes.fromhex(wire))
    assert bit_string(len(bits), bytes.fromhex(wire)) == bits
    assert decode(len(bits), bytes.fromhex(wire)) == card


@st.composite
def cards(draw: st.DrawFn) -> Credential:
    layout = draw(st.sampled_from(sorted(LAYOUTS.values(), key=lambda found: found.name)))
    facility, number = (draw(st.integers(0, 2 ** (b - a + 1) - 1)) for a, b in (layout.facility, layout.number))
    return Credential(layout.name, facility, number)


@given(cards())
def test_round_trip(card: Credential) -> None:
    count, data = encode(card)
    assert decode(count, data, card.format) == card  # type: ignore[arg-type]


@given(cards(), st.data())
def test_one_flipped_bit_is_never_another_card(card: Credential, data: st.DataObject) -> None:
    count, wire = encode(card)
    bits = bit_string(count, wire)
    at = data.draw(st.integers(0, count - 1))
    flipped = bits[:at] + "10"[int(bits[at])] + bits[at + 1 :]
    assert decode(count, pack(flipped), card.format) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_parity_covers_every_bit(layout: Layout) -> None:
    covered = {0, layout.bits - 1}
    for first, last in (layout.even, layout.odd):
        covered |= set(range(first, last + 1))
    assert covered == set(range(layout.bits))


@given(st.integers(1, 96).filter(lambda n: n not in (26, 34, 37)), st.data())
def test_lengths_without_a_layout_are_one_number(count: int, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, 2**count - 1))
    card = Credential(f"raw-{count}", 0, number)
    assert encode(card)[0] == count
    assert decode(*encode(card)) == card


def test_h10304_is_chosen_by_the_config() -> None:
    card = Credential("wiegand-37-h10304", 1000, 12345)
    assert decode(*encode(card)) != card
    assert decode(*encode(card), "wiegand-37-h10304") == card


@pytest.mark.parametrize(("count", "data"), [(26, b"\x2d\x00\xa2"), (0, b""), (32, b"\x00\x01\x02\x03")])
def test_too_few_bytes_or_the_wrong_length_is_a_read_error(count: int, data: bytes) -> None:
    assert decode(count, data, "wiegand-26") is None


@pytest.mark.parametrize(
    "card", [Credential("wiegand-26", 256, 0), Credential("fob", 0, 1), Credential("raw-8", 0, 256)]
)
def test_a_number_too_large_is_refused(card: Credential) -> None:
    with pytest.raises(ValueError, match=r"fit|hold"):
        encode(card)
