"""Cards as people write them down: a format, a facility code, a number."""

import re
from difflib import get_close_matches

from drivers._wiegand import BY_LENGTH, LAYOUTS, encode
from gateway.event import Credential
from gateway.fields import Wrong

_RAW = re.compile(r"raw-\d{1,3}")


def parse(form: str, facility: int, number: int) -> Credential:
    """`wiegand-26`, or the number of bits (`26`, `raw-32`) → the card. Wrong: no such format, or it is too narrow."""
    if form.isdecimal():
        layout = BY_LENGTH.get(int(form))
        form = layout.name if layout is not None else f"raw-{int(form)}"
    if form not in LAYOUTS and not _RAW.fullmatch(form):
        known = ", ".join([*LAYOUTS, "raw-32"])
        close = get_close_matches(form, LAYOUTS, n=1)
        hint_en, hint_zh = (f"; did you mean {close[0]}?", f";是否想写 {close[0]}?") if close else ("", "")
        raise Wrong(
            f"{form} is no card format (allowed: {known}{hint_en})", f"{form} 不是卡片格式(可用:{known}{hint_zh})"
        )
    credential = Credential(form, facility, number)
    try:
        encode(credential)
    except ValueError as error:
        raise Wrong(
            f"facility code {facility} and number {number} do not fit {form}",
            f"区域码 {facility} 和卡号 {number} 超出 {form} 的范围",
        ) from error
    return credential
