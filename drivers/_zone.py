"""Times as devices write them: local, without an offset, which the configuration gives. (An underscore: no driver.)

China has one (UTC+8, no summer time), so an offset is enough, and needs no table of zones on the box.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Annotated

from pydantic import AfterValidator

from gateway.fields import Wrong

BEIJING = "+08:00"
_OFFSET = re.compile(r"([+-])(\d{2}):([0-5]\d)")
MOST = timedelta(hours=14)  # of any zone there is
YEARS = range(2000, 2100)  # of a clock that makes sense (contract, section 10)


@cache
def zone_of(text: str) -> timezone:
    """`"+08:00"` → its offset. Wrong says what is allowed."""
    match = _OFFSET.fullmatch(text)
    offset = timedelta(hours=int(match[2]), minutes=int(match[3])) if match else MOST * 2
    if match is None or offset > MOST:
        raise Wrong(
            'an offset from UTC is needed, in quotes, e.g. "+08:00"', '需要带引号的 UTC 偏移,例如 "+08:00"(北京时间)'
        )
    return timezone(-offset if match[1] == "-" else offset)


def _checked(text: str) -> str:
    zone_of(text)
    return text


Zone = Annotated[str, AfterValidator(_checked)]


def local_time(text: str, formats: Sequence[str], zone: str) -> datetime | None:
    """What a device printed, by the first of `formats` (as `strptime` has them) that fits, in its zone.

    None where it makes no sense: a date that is none, zeros, or not of this century.
    """
    words = " ".join(text.split())
    for form in formats:
        try:
            moment = datetime.strptime(words, " ".join(form.split())).replace(tzinfo=zone_of(zone))
        except ValueError:
            continue
        return moment if moment.year in YEARS else None
    return None
