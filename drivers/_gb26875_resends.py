"""Frames that come again because their confirm got lost: known by number and bytes. (An underscore: no driver.)"""

from collections import OrderedDict

from drivers._gb26875_frame import Frame

RESENDS_S = 60.0  # a device sends again for about 40 s (annex A: 3 times after at most 10 s)
MOST_RECENT = 64  # frames remembered for that
_MARK_BYTES = 8  # source address and serial number: how a message is told from others


class Resends:
    """The frames of one device that are on disk, as long as they may come again."""

    def __init__(self) -> None:
        self._recent: OrderedDict[bytes, float] = OrderedDict()  # mark → since when
        self._newest = b""
        self._counts = True  # the device's messages have serial numbers of their own

    def known(self, frame: Frame, now_s: float) -> bool:
        """Is it on disk already? Never of a device that numbers all its messages alike: it may really say it twice."""
        while self._recent and next(iter(self._recent.values())) < now_s - RESENDS_S:
            self._recent.popitem(last=False)
        return self._counts and _mark(frame) in self._recent

    def remember(self, frame: Frame, now_s: float) -> None:
        """It is on disk."""
        mark = _mark(frame)
        if mark in self._recent:
            return
        self._counts = mark[:_MARK_BYTES] != self._newest[:_MARK_BYTES]
        self._recent[mark], self._newest = now_s, mark
        if len(self._recent) > MOST_RECENT:
            self._recent.popitem(last=False)


def _mark(frame: Frame) -> bytes:
    """What a frame and its resend have in common: address, serial number, command, data."""
    return frame.source + frame.serial.to_bytes(2, "little") + bytes([frame.command]) + frame.data
