"""The log: to standard error, as text (systemd adds the time there) or one JSON object a line."""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Literal

from gateway.clock import rfc3339

NOISY = ("asyncio", "uvicorn", "paho", "aiohttp", "libosdp")  # theirs: only what is wrong

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # in a device's words they would write lines of their own


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """`2026-11-23T10:06:19.123Z WARNING gateway.uplink.district: …`."""
        when = rfc3339(datetime.fromtimestamp(record.created, UTC))
        line = getattr(record, "line", None)
        where = record.name if line is None else f"{record.name}[{line}]"
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        said = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), record.getMessage())
        return f"{when} {record.levelname} {where}: {said}{trace}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """`{"time", "level", "logger", "message", "line"?, "trace"?}`."""
        shown = {
            "time": rfc3339(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (line := getattr(record, "line", None)) is not None:
            shown["line"] = line
        if record.exc_info:
            shown["trace"] = self.formatException(record.exc_info)
        return json.dumps(shown, ensure_ascii=False)


def configure(form: Literal["text", "json"], level: str) -> None:
    """Once, at the start of the daemon."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
