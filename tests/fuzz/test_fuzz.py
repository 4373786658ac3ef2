"""The harness at work: every input that is kept, and what hypothesis makes of each target's first inputs."""

import ast
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway.driver import registry
from tests.fuzz.promises import Broken, promise
from tests.fuzz.targets import CORPUS, TARGETS, Target
from tests.test_style import SOURCE, Module, unlocked

MOST_BYTES = 8192  # of an input that is kept
MOST_KEPT = 64  # inputs of a target
EXAMPLES = 25  # of hypothesis, each target
ODD = (b"", b"\x00", b"\xff" * 5, b"\\ud800", b"1e999", b"9" * 30, "²".encode(), b"[" * 64, b"\r\n", b'"', b"\xe9")
TODO = [pytest.param(target, id=name) for name, target in TARGETS.items()]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """What the daemon says of rubbish fills no report."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("target", TODO)
def test_what_is_kept(target: Target) -> None:
    for data in target.seeds:
        target.run(data)
    for path in target.corpus:
        target.run(path.read_bytes())


@st.composite
def mutated(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """A first input with some of it replaced, cut out or put in."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        data[start : start + draw(st.integers(0, 8))] = draw(st.sampled_from(ODD) | st.binary(max_size=4))
    return bytes(data)


@pytest.mark.parametrize("target", TODO)
def test_what_nobody_foresaw(target: Target) -> None:
    @given(mutated(target.seeds))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    def run(data: bytes) -> None:
        target.run(data)

    run()


def test_every_driver_is_a_target() -> None:
    assert {f"decode-{name}" for name in registry()} <= set(TARGETS)


def test_every_target_stands_in_the_table_and_has_a_corpus() -> None:
    table = (CORPUS.parent / "README.md").read_text("utf-8")
    assert [name for name in TARGETS if f"`{name}`" not in table] == []
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)


def test_the_corpus_is_small() -> None:
    sizes = {path: path.stat().st_size for target in TARGETS.values() for path in target.corpus}
    assert [path for path, size in sizes.items() if size > MOST_BYTES] == []
    assert [name for name, target in TARGETS.items() if not 0 < len(target.corpus) <= MOST_KEPT] == []


def test_a_broken_promise_is_seen() -> None:
    def breaks(data: bytes) -> None:
        promise(b"!" not in data, "an exclamation mark")

    with pytest.raises(Broken, match="exclamation"):
        Target("example", breaks, (b"!",)).run(b"!")


def xml_parsers(modules: list[Module]) -> list[str]:
    """Imports that bring a parser of XML which reads document types and entities. Types and writers are none."""
    harmless = {f"xml.sax.saxutils.{name}" for name in ("escape", "quoteattr")}
    harmless |= {f"xml.etree.ElementTree.{name}" for name in ("Element", "ParseError", "tostring")}
    found = []
    for module in modules:
        for node in ast.walk(module.tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [f"{module.path}:{name}" for name in names if name.split(".")[0] in ("xml", "lxml", "xmltodict")]
    return [each for each in found if each.partition(":")[2] not in harmless]


@pytest.mark.parametrize(
    "line", ["import xml.etree.ElementTree", "from xml.dom import minidom", "from lxml import etree"]
)
def test_a_parser_of_xml_is_seen(line: str) -> None:
    assert xml_parsers([Module("drivers/x.py", line)])


def test_xml_is_read_by_defusedxml_alone() -> None:
    assert xml_parsers(SOURCE) == []


def test_the_lock_has_hashes_and_no_address() -> None:
    assert unlocked(Path("tests/fuzz/requirements.lock").read_text("utf-8"), ["atheris"]) == []
