"""`make fuzz`: every target for its share of the time, one after the other, under atheris (libFuzzer).

A new crasher is written into the target's corpus, where `make test` replays it until it is mended.
"""

import hashlib
import os
import re
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import atheris  # type: ignore[import-untyped]  # not in .venv: only `make fuzz` brings it

with atheris.instrument_imports(include=["gateway", "drivers"], enable_loader_override=False):
    from tests.fuzz.targets import CORPUS, TARGETS

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

BUILD = Path("build/corpus")  # what is found while fuzzing; the best of it is kept with KEEP=1
LARGEST_BYTES = 8192  # of an input
MOST_KEPT = 64  # inputs of a target
SLOW_S = 10  # for one input: whatever takes so long is unbounded
MOST_MIB = 1024  # of the process
_NUMBERS = re.compile(rb"#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+)")


def say(text: str) -> None:
    """For whoever waits."""
    sys.stdout.write(text)
    sys.stdout.flush()


def fuzz(target: "Target", *options: str) -> tuple[bool, list[tuple[bytes, ...]]]:
    """A process of its own; whether it ended well, and its (executions, edges, features) from first to last."""
    found, log = BUILD / target.name, Path(f"build/fuzz-{target.name}.log")
    found.mkdir(parents=True, exist_ok=True)
    kept = CORPUS / target.name
    kept.mkdir(exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (found / f"seed-{number}").write_bytes(seed)
    child = os.fork()
    if child == 0:
        with log.open("wb") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
        folders = [str(found), str(kept)]
        words = f"-dict={CORPUS.parent / 'words.dict'}"
        limits = [words, f"-max_len={LARGEST_BYTES}", f"-timeout={SLOW_S}", f"-rss_limit_mb={MOST_MIB}"]
        atheris.Setup(["fuzz", *limits, f"-artifact_prefix={kept}/", *options, *folders], target.run)
        atheris.Fuzz()
    _, status = os.waitpid(child, 0)
    return status == 0, _NUMBERS.findall(log.read_bytes())


def reached(target: "Target", data: bytes) -> set[tuple[str, int]]:
    """Lines of ours that an input runs through."""
    lines: set[tuple[str, int]] = set()

    def trace(frame: FrameType, _event: str, _told: object) -> Any:
        name = frame.f_code.co_filename
        if "/gateway/" not in name and "/drivers/" not in name:
            return None
        lines.add((name, frame.f_lineno))
        return trace

    sys.settrace(trace)
    try:
        target.run(data)
    finally:
        sys.settrace(None)
    return lines


def keep(target: "Target") -> None:
    """Of what was found, smallest first, that which reaches a line that nothing kept reaches."""
    known: set[tuple[str, int]] = set()
    for path in target.corpus:
        known |= reached(target, path.read_bytes())
    found = sorted((path.stat().st_size, path) for path in (BUILD / target.name).iterdir())
    for _, path in found:
        data = path.read_bytes()
        lines = reached(target, data)
        if lines - known and len(target.corpus) < MOST_KEPT:
            (CORPUS / target.name / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)
        known |= lines


def main() -> int:
    """0: nothing was found."""
    wanted, seconds = os.environ.get("TARGET") or "", float(os.environ.get("SECONDS") or 60)
    chosen = [target for name, target in TARGETS.items() if wanted in name]
    if not chosen:
        say(f"there is no target {wanted}; there are: {' '.join(TARGETS)}\n")
        return 2
    share_s = max(1, round(seconds / len(chosen)))
    broken = []
    for target in chosen:
        before = {path.name for path in target.corpus}
        well, numbers = fuzz(target, f"-max_total_time={share_s}")
        first, last = (numbers[0], numbers[-1]) if numbers else ((b"0",) * 3, (b"0",) * 3)
        edges = f"edges {int(first[1])} → {int(last[1])}, features {int(first[2])} → {int(last[2])}"
        say(f"{target.name:20} {int(last[0]):>9} runs, {edges}\n")
        broken += [(target.name, path) for path in target.corpus if path.name not in before]
        broken += [(target.name, Path(f"build/fuzz-{target.name}.log"))] if not well else []
        if well and os.environ.get("KEEP"):
            keep(target)
    for name, path in broken:
        say(f"FOUND in {name}: {path}\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
