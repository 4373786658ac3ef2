"""The docs stay true: generated pages equal what the code says; every file, target and command they name exists."""

import re
import runpy
from pathlib import Path
from urllib.parse import unquote

import pytest
from typer.core import TyperGroup
from typer.main import get_command

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
        "drivers.md",
        "contract/events.schema.json",
        "contract/config.schema.json",
        "contract/asyncapi.json",
    ],
)
def test_generated_files_are_what_the_code_generates(name: str, generated: dict[str, str]) -> None:
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == generated[name], "run `make docs`"


def test_every_generated_file_is_compared(generated: dict[str, str]) -> None:
    assert len(generated) == 6


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_the_pages_a_newcomer_looks_for_exist(name: str) -> None:
    assert (ROOT / name).stat().st_size > 0


def dead_links(page: Path) -> list[str]:
    """Relative links to files and headings that are not there."""
    links = (link for link in _LINK.findall(page.read_text(encoding="utf-8")) if not re.match(r"[a-z]+:", link))
    return [link for link in map(unquote, links) if not leads_somewhere(page, link)]


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(page: Path) -> set[str]:
    """Headings as the usual Markdown renderers name them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def missing_files(page: Path) -> set[str]:
    """Files of the project named in code that are not there."""
    return {name for name in _PATH.findall(code(page)) if not any(ROOT.glob(name))}


def unknown_targets(page: Path) -> set[str]:
    """`make X` without such a target."""
    targets = re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    return set(_MAKE.findall(code(page))) - set(targets)


def unknown_commands(page: Path) -> list[str]:
    """`gateway X`, and `gateway GROUP X`, that the command line does not know."""
    root = get_command(app)
    assert isinstance(root, TyperGroup)
    unknown = []
    for name, further in _GATEWAY.findall(code(page)):
        command = root.commands.get(name)
        if command is None or (further and isinstance(command, TyperGroup) and further not in command.commands):
            unknown.append(f"{name} {further}".strip())
    return unknown


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_what_a_page_names_exists(page: Path) -> None:
    assert dead_links(page) == []
    assert missing_files(page) == set()
    assert unknown_targets(page) == set()
    assert unknown_commands(page) == []


def test_the_checks_bite(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A head\n[a](#a-head) [b](#b-head) [c](c.md) [d](https://example.org/d)\n"
        "`make test` `docs/events.md` `docs/no.md`\n"
        "```sh\nmake tea\nsudo -u x gateway status\ngateway brew --hot\n"
        "gateway schema events\ngateway schema tea\n```\n",
        encoding="utf-8",
    )
    assert dead_links(page) == ["#b-head", "c.md"]
    assert missing_files(page) == {"docs/no.md"}
    assert unknown_targets(page) == {"tea"}
    assert unknown_commands(page) == ["brew", "schema tea"]
