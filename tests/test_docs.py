"""The docs stay true: generated pages equal what the code says; every file, target and command they name exists."""

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from gateway.cli import app

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "deploy/**/*.md", "config/**/*.md", "drivers/**/*.md")
    for page in ROOT.glob(pattern)
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"```[^\n]*\n(.*?)```|``?([^`\n]+)``?", re.DOTALL)
_PATH = re.compile(r"(?<![\w/.-])((?:gateway|drivers|config|deploy|docs|tests|\.ci)/[\w./*-]*\w)")
_MAKE = re.compile(r"(?:^|[\s;&(])make ([a-z][\w-]*)", re.MULTILINE)
_GATEWAY = re.compile(r"(?:^|[\s;&(/])gateway ([a-z][\w-]*)(?: ([a-z][\w-]*))?", re.MULTILINE)
_WRITTEN_AT_RUN_TIME = ("gateway/gateway",)


def ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


def code(page: Path) -> str:
    """All that stands in code spans and code blocks, one per line."""
    return "\n".join(block or span for block, span in _CODE.findall(page.read_text(encoding="utf-8")))


@pytest.fixture(scope="session")
def generated() -> dict[str, str]:
    made: dict[str, str] = runpy.run_path(str(ROOT / "docs" / "generate.py"))["files"]()
    return made


@pytest.mark.parametrize(
    "name",
    [
        "events.md",
        "configuration.md",
        "contract/events.schema.json",
        "contract/config.schema.json",
        "contract/asyncapi.json",
    ],
)
def test_generated_files_are_what_the_code_generates(name: str, generated: dict[str, str]) -> None:
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == generated[name], "run `make docs`"


def test_every_generated_file_is_compared(generated: dict[str, str]) -> None:
    assert len(generated) == 5


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_the_pages_a_newcomer_looks_for_exist(name: str) -> None:
    assert (ROOT / name).stat().st_size > 0


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert [link for link in links(page) if not leads_somewhere(page, link)] == []


def links(page: Path) -> Iterator[str]:
    for link in _LINK.findall(page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", link):
            yield unquote(link)


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(page: Path) -> set[str]:
    """Headings as the usual Markdown renderers name them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_file_named_exists(page: Path) -> None:
    missing = [name for name in set(_PATH.findall(code(page))) if not any(ROOT.glob(name))]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_make_target_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(_MAKE.findall(code(page))) <= targets


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_gateway_command_named_exists(page: Path) -> None:
    commands = {info.name or info.callback.__name__ for info in app.registered_commands if info.callback}
    groups = {info.name for info in app.registered_groups}
    named = {command for command, _ in _GATEWAY.findall(code(page))}
    assert named <= commands | groups
