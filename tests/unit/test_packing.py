"""Event texts on disk: as they were, a third of the size, and nothing else is taken for one."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import taxonomy
from gateway.canonical import canonical
from gateway.packing import _words, pack, unpack
from gateway.samples import event

SAMPLES = [canonical(event(row)).decode() for row in taxonomy.EVENTS]


@given(st.text())
def test_it_comes_back_as_it_was(text: str) -> None:
    assert unpack(pack(text)) == text


def test_the_list_of_words_never_changes() -> None:
    """Every database outside is packed with it: a better one gets a number of its own (packing.py)."""
    assert hashlib.sha256(_words()).hexdigest() == "61bf1caa22f88010b473c5857872d41a91e9424b0fcf0ad5932fca6258c419e8"


def test_what_we_say_takes_half_the_room_or_less() -> None:
    texts = [text.encode() for text in SAMPLES]
    assert sum(len(pack(text.decode())) for text in texts) < sum(map(len, texts)) / 2


def test_what_was_stored_before_it_was_packed_is_still_read() -> None:
    text = '{"type":"fire.smoke","门":"北"}'
    assert unpack(text) == unpack(text.encode()) == text


@given(st.sampled_from(SAMPLES), st.data())
def test_what_is_cut_off_or_longer_is_no_text(text: str, data: st.DataObject) -> None:
    packed = pack(text)
    cut = data.draw(st.integers(1, len(packed) - 1))
    for wrong in (packed[:cut], packed + b"x"):
        with pytest.raises(ValueError, match=r".+"):
            unpack(wrong)


@given(st.binary())
def test_whatever_stands_there_it_is_a_text_or_an_error_of_one_kind(stored: bytes) -> None:
    try:
        assert isinstance(unpack(stored), str)
    except ValueError:
        assert stored
