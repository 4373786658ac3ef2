"""Floor plans as people bring them: what is taken, what is left of it, and what is refused with a reason."""

import struct

import pytest

from gateway.drawings import MOST_BYTES, MOST_PIECES, MOST_SIDE, NoDrawing, drawing
from tests.drawn import BROWSERS_PNG, JPG, VP8, VP8L, WEBP, chunk, png, riff, segment

SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
SCRIPT = b"<script>alert(document.domain)</script>"


@pytest.mark.parametrize(
    ("kind", "body"), [("png", BROWSERS_PNG), ("jpg", JPG), ("webp", WEBP)], ids=["png", "jpg", "webp"]
)
def test_what_a_browser_s_encoder_made_is_taken_as_it_is(kind: str, body: bytes) -> None:
    made = drawing(body)
    assert (made.kind, made.width, made.height) == (kind, 8, 6)
    assert made.body == body
    assert drawing(made.body) == made


@pytest.mark.parametrize("name", [b"VP8 ", b"VP8L"])
def test_a_webp_without_a_header_of_its_own(name: bytes) -> None:
    made = drawing(riff((name, VP8 if name == b"VP8 " else VP8L)))
    assert (made.kind, made.width, made.height) == ("webp", 8, 6)


@pytest.mark.parametrize(
    "body",
    [
        png(8, 6, chunk(b"tEXt", b"Comment\0" + SCRIPT), chunk(b"eXIf", SCRIPT)),
        JPG[:2] + segment(0xE1, b"Exif\0\0" + SCRIPT) + segment(0xFE, SCRIPT) + JPG[2:],
        riff((b"VP8X", b"\x0c\0\0\0\x07\0\0\x05\0\0"), (b"VP8L", VP8L), (b"EXIF", SCRIPT), (b"XMP ", SCRIPT)),
    ],
    ids=["png", "jpg", "webp"],
)
def test_words_and_where_it_was_taken_are_left_out(body: bytes) -> None:
    made = drawing(body)
    assert (made.width, made.height) == (8, 6)
    assert SCRIPT in body
    assert SCRIPT not in made.body
    assert b"Exif" not in made.body
    assert drawing(made.body).body == made.body


def test_a_webp_promises_no_more_than_is_left() -> None:
    body = riff(
        (b"VP8X", b"\x3e\0\0\0\x07\0\0\x05\0\0"), (b"ICCP", b"p"), (b"ALPH", b"a"), (b"VP8 ", VP8), (b"EXIF", b"e")
    )
    header = drawing(body).body[20]
    assert header == 0x30  # profile and transparency; no EXIF, no XMP, no animation


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "no PNG"),
        (SVG, "no PNG"),
        (b"GIF89a" + b"\0" * 40, "no PNG"),
        (b"%PDF-1.7\n", "no PNG"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (png()[:-3], "damaged"),
        (png()[:-12], "damaged"),
        (png() + SCRIPT, "behind its end"),
        (png()[:40] + b"\0" + png()[41:], "damaged"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""), "damaged"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"\0" * 13) + chunk(b"IEND", b""), "damaged"),
        (JPG[:-2], "damaged"),
        (JPG[:60], "damaged"),
        (JPG + b"PK\x03\x04", "behind its end"),
        (b"\xff\xd8\xff\xd9", "damaged"),
        (b"\xff\xd8\xff\x00\x00\x04", "damaged"),
        (WEBP + b"x", "behind its end"),
        (WEBP[:-4], "damaged"),
        (riff((b"EXIF", b"none")), "damaged"),
        (riff((b"VP8X", b"\0" * 4)), "damaged"),
    ],
)
def test_what_is_no_whole_picture_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(NoDrawing) as refused:
        drawing(body)
    assert why in refused.value.say("en")
    assert refused.value.do is not None


@pytest.mark.parametrize(
    ("width", "height"),
    [(MOST_SIDE + 1, 1), (1, MOST_SIDE + 1), (60_000, 60_000), (7000, 7000), (0, 5), (2**31, 2**31)],
)
def test_one_that_unpacks_to_too_much_or_nothing_is_refused(width: int, height: int) -> None:
    with pytest.raises(NoDrawing, match=f"{width} × {height} pixels"):
        drawing(png(width, height))


def test_the_largest_sides_that_are_taken() -> None:
    assert drawing(png(MOST_SIDE, 4000)).width == MOST_SIDE


def test_a_large_file_is_refused_whatever_is_in_it() -> None:
    with pytest.raises(NoDrawing, match="4 MiB"):
        drawing(b"\x89PNG\r\n\x1a\n" + b"\0" * MOST_BYTES)


@pytest.mark.parametrize(
    "body",
    [
        png(8, 6, *[chunk(b"tEXt", b"")] * MOST_PIECES),
        JPG[:2] + segment(0xFE, b"") * MOST_PIECES + JPG[2:],
        riff((b"VP8 ", VP8), *[(b"ICCP", b"")] * MOST_PIECES),
    ],
)
def test_one_in_very_many_pieces_is_refused(body: bytes) -> None:
    with pytest.raises(NoDrawing, match="damaged"):
        drawing(body)


def test_coded_data_may_hold_what_looks_like_a_marker() -> None:
    scan = segment(0xDA, b"\x01\x01\0\0\x3f\0") + b"\x12\xff\x00\x34\xff\xd0\x56\xff\xd7"
    size = segment(0xC2, b"\x08" + struct.pack(">HH", 6, 8) + b"\x01\x01\x11\0")
    made = drawing(b"\xff\xd8" + size + scan + scan + b"\xff\xd9")
    assert (made.width, made.height) == (8, 6)
    assert made.body.count(b"\xff\xd0\x56") == 2
