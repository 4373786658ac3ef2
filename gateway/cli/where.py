"""Which configuration and which state folder a command is about, and the options that say so."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from gateway.cli import ask
from gateway.cli.language import fall_back_on
from gateway.errors import Text

if TYPE_CHECKING:
    from gateway.archive import Start
    from gateway.config import Loaded
    from gateway.driver import Driver

CONFIG = Path("/etc/community-gateway/gateway.yaml")  # contract, section 6
ABSENT = Text(
    "there is no such file: write it (config/minimal.yaml is the least that works), or name yours by --config or "
    "GATEWAY_CONFIG",
    "没有此文件:请编写(config/minimal.yaml 是最小示例),或用 --config 或 GATEWAY_CONFIG 指定",
)
STATE_DIR = Path("/var/lib/community-gateway")

ConfigOption = Annotated[
    Path,
    typer.Option("--config", "-c", envvar="GATEWAY_CONFIG", metavar="FILE", readable=False, help="The configuration."),
]
StateDirOption = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads it at run time
    typer.Option("--state-dir", metavar="DIR", readable=False,  # who may not is told better than typer would
                 help="The state folder of the running gateway, instead of its configuration's."),
]  # fmt: skip
JsonOption = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]


def loaded(config: Path) -> "tuple[Loaded, Mapping[str, Driver[Any]]]":
    """The configuration with every driver there is. ConfigProblems: all that is wrong."""
    from gateway.config import load
    from gateway.driver import registry

    _refuse_absent(config)
    drivers = registry()
    return load(config, drivers.models()), drivers


def chosen(config: Path) -> "tuple[Start, Mapping[str, Driver[Any]]]":
    """What a daemon would start with: the configuration or a newer revision. ConfigProblems, StateError."""
    from gateway.archive import choose
    from gateway.clock import SystemClock
    from gateway.driver import registry

    _refuse_absent(config)
    drivers = registry()
    return choose(config, state_dir(config, None), drivers.models(), SystemClock()), drivers


def _refuse_absent(config: Path) -> None:
    from gateway.problems import ConfigProblems, Problem

    if _absent(config):
        raise ConfigProblems(config, [Problem(config, 1, 1, "", ABSENT)])
    ask.refuse_unreadable(config)


def state_dir(config: Path, state_dir: Path | None) -> Path:
    """`--state-dir`, else the configuration's `gateway.state_dir`, else the usual one. ConfigProblems."""
    if state_dir is not None:
        return state_dir
    if config == CONFIG and "GATEWAY_CONFIG" not in os.environ and _absent(config):
        return STATE_DIR
    from gateway.problems import ConfigProblems
    from gateway.yamlmarks import read

    ask.refuse_unreadable(config)
    document = read(config)
    named = _in_gateway(document.value, "state_dir")
    if named is None and document.value is None:
        raise ConfigProblems(config, document.problems)
    return STATE_DIR if named is None else document.folder(("gateway", "state_dir")) / named


def use_language_of(config: Path) -> None:
    """Speak as the configuration does, right or wrong, where it names a language and the command line none."""
    from gateway.yamlmarks import read

    language = _in_gateway(read(config).value, "language")
    if language is not None:
        fall_back_on(language)


def _absent(config: Path) -> bool:
    """Not there for sure: in a folder that this user may not look into, it may be."""
    try:
        config.lstat()
    except PermissionError:
        return False
    except OSError:
        return True
    return False


def _in_gateway(document: Any, key: str) -> str | None:
    section = document.get("gateway") if isinstance(document, dict) else None
    value = section.get(key) if isinstance(section, dict) else None
    return value if isinstance(value, str) else None
