"""`python -m tests.bench [NAME …]`: measure, print the table, write build/bench.json. Names of measures limit it."""

import asyncio
import json
import shutil
import sys
import time
from datetime import UTC, datetime

from tests.bench import community, fanin_modbus, fanin_mqtt, linkage, pages, screen
from tests.bench.figures import BUILD, FIGURES, table
from tests.bench.measures import MEASURES
from tests.bench.neighbours import beside

RESULT = BUILD / "bench.json"
ALL = (
    *MEASURES,
    linkage.linkage,
    beside,
    pages.pages,
    screen.screen,
    fanin_mqtt.mqtt_in,
    fanin_modbus.modbus_tcp,
    community.community,
)
SHOWN = (
    *FIGURES,
    *linkage.FIGURES,
    *pages.FIGURES,
    *screen.FIGURES,
    *fanin_mqtt.FIGURES,
    *fanin_modbus.FIGURES,
    *community.FIGURES,
)


def main(names: list[str]) -> None:
    """A folder for each measure, removed afterwards."""
    folder = BUILD / "bench"
    found: dict[str, float] = {}
    for measure in ALL:
        name = measure.__name__
        if names and name not in names:
            continue
        sys.stderr.write(f"{name} … ")
        sys.stderr.flush()
        began_s = time.monotonic()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        figures = asyncio.run(measure(folder))
        shutil.rmtree(folder)
        found |= figures
        sys.stderr.write(f"{time.monotonic() - began_s:.0f} s\n")
    rounded = {name: round(value, 4) for name, value in found.items()}
    when = datetime.now(UTC).isoformat(timespec="seconds")
    RESULT.write_text(json.dumps({"time": when, **rounded}, indent=2) + "\n", "utf-8")
    sys.stdout.write(table(found, [figure for figure in SHOWN if figure.name in found]) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
