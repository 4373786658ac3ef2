"""Is a configuration right, before anything runs by it? Asked in a process of its own: reading YAML takes seconds on a
small box, and what a platform pushes may be made to fill the memory.

A pushed one may do less than one that a person has written on the box: it names files in the configuration's folder
only, it brings secrets in only where secrets belong (else `site: {name: !file secrets/door}` would send one up in the
dossier), and only to the section that has them already; and it may not saw off the branch it sits on: the gateway's
id, its state folder, the uplink it came by.
"""

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr

from gateway.archive import shelf
from gateway.config import Config, Loaded, load
from gateway.driver import registry
from gateway.errors import Text
from gateway.fields import DeviceConfig
from gateway.masks import secret_keys
from gateway.problems import ConfigProblems, KeyPath, Problem, in_order, key_text
from gateway.yamlmarks import Document, Shelf, read

PATIENCE_S = 60.0  # for the whole examination
MOST_PROBLEMS = 50  # told; more help nobody
_DEVICES = Path("/dev")
_SECRETS_ONLY = Text(
    "in a pushed configuration !file and !env bring in secrets only, at keys for secrets",
    "平台下发的配置中,!file 和 !env 只能用于密码、密钥等保密项",
)


class Question(BaseModel):
    """What is asked. `uplink`: who pushed it; empty: a person on this box, who may do all that gateway.yaml may."""

    model_config = ConfigDict(frozen=True)

    file: Path  # gateway.yaml: the folder counts, and its name is told
    texts: dict[str, str] = {}  # instead of the file's; empty: as it stands on disk
    uplink: str = ""
    gateway: str = ""  # of the running configuration
    state_dir: Path = Path()


class Answer(BaseModel):
    """`texts` where it is right: of the file and all its parts. Else what is wrong, as `config/reported` tells it."""

    model_config = ConfigDict(frozen=True)

    texts: dict[str, str] = {}
    problems: tuple[dict[str, Any], ...] = ()

    def say(self, file: Path) -> Text:
        """All problems, a line each."""
        lines = [_line(file, problem) for problem in self.problems]
        return Text("\n".join(line.en for line in lines), "\n".join(line.zh for line in lines))


def _line(file: Path, problem: Mapping[str, Any]) -> Text:
    place = f"{problem.get('file', file)}:{problem['line']}:{problem['column']}: " if "line" in problem else ""
    head = place + (f"{problem['key']}: " if problem.get("key") else "")
    return Text(head + problem["what"]["en"], head + problem["what"]["zh"])


async def examined(question: Question) -> Answer:
    """Asks another process. OSError: none can be started now."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.pushed"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            told, _ = await process.communicate(question.model_dump_json().encode())
    except TimeoutError:
        told = b""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        what = Text(
            f"the configuration could not be examined: it takes more than {PATIENCE_S:g} s or too much memory",
            f"无法完成配置检查:耗时超过 {PATIENCE_S:g} 秒或占用内存过多",
        )
        return Answer(problems=({"what": what._asdict()},))
    return Answer.model_validate_json(told)


def examine(question: Question, models: Mapping[str, type[DeviceConfig]]) -> Answer:
    """Everything wrong with it at once."""
    within = question.file.parent if question.uplink else None
    where = shelf(question.file, question.texts, within) if question.texts else Shelf()
    document = read(question.file, where)
    try:
        if question.uplink:
            _refuse(question.file, (*_astray(document), *_misplaced(document, models)))
        loaded = _load(question, models, where, document)
        if question.uplink:
            _refuse(question.file, (*_leaks(loaded, question), *_sawn_off(loaded, question)))
    except ConfigProblems as wrong:
        found = wrong.problems[:MOST_PROBLEMS]
        return Answer(problems=tuple(_told(problem, question.file) for problem in found))
    return Answer(texts=document.texts)


def _load(question: Question, models: Mapping[str, type[DeviceConfig]], where: Shelf, document: Document) -> Loaded:
    try:
        return load(question.file, models, where)
    except ConfigProblems as wrong:
        if not question.uplink:
            raise
        raise ConfigProblems(question.file, [_hushed(problem, document) for problem in wrong.problems]) from None


def _refuse(file: Path, problems: tuple[Problem, ...] | Iterator[Problem]) -> None:
    found = in_order(problems)
    if found:
        raise ConfigProblems(file, found)


def _told(problem: Problem, file: Path) -> dict[str, Any]:
    name = os.path.relpath(problem.file, file.parent)
    place = {"file": name, "line": problem.line, "column": problem.column, "key": problem.key}
    return place | {"what": problem.what._asdict()}


def _astray(document: Document) -> Iterator[Problem]:
    """Plain paths of files outside the folder, before anything is read from them; serial lines and pins are meant."""
    folder = Path(os.path.normpath(document.file.parent))
    for path, value in _walk(document.value):
        if path == ("gateway", "state_dir") or not isinstance(value, str) or "/" not in value or "\0" in value:
            continue
        file = Path(os.path.normpath(document.folder(path) / value))
        if not file.is_relative_to(folder) and not file.is_relative_to(_DEVICES) and os.path.lexists(file):
            what = Text(
                "a pushed configuration may only name files in the gateway's configuration folder",
                "平台下发的配置只能引用网关配置目录内的文件",
            )
            yield document.problem(path, what)


def _misplaced(document: Document, models: Mapping[str, type[DeviceConfig]]) -> Iterator[Problem]:
    """By the key alone, before anything is validated: a complaint may quote the value."""
    keys = secret_keys([Config, *models.values()])
    for path in document.brought:
        if path[-1] not in keys:
            yield document.problem(path, _SECRETS_ONLY)


def _hushed(problem: Problem, document: Document) -> Problem:
    """Without what a file or variable of the box holds: mistakes go up to the platform."""
    what = problem.what
    if any(problem.key == key_text(path) for path in document.brought):
        what = Text("what this file or variable holds does not fit here", "该文件或变量的内容不适用于此处")
    for path in document.brought:
        value = str(_at(document.value, path))
        what = Text(what.en.replace(value, "***"), what.zh.replace(value, "***"))
    return replace(problem, what=what)


def _leaks(loaded: Loaded, question: Question) -> Iterator[Problem]:
    """Secrets where none belongs, or with another owner than they have now."""
    document = loaded.document
    owners = _owners(read(question.file))
    for path in document.brought:
        if not _is_secret(loaded.config, path):
            yield document.problem(path, _SECRETS_ONLY)
            continue
        value = _at(document.value, path)
        mine = _owner(path)
        theirs = owners.get(value, {mine})
        if mine not in theirs:
            names = ", ".join(sorted(theirs))
            what = Text(
                f"this secret belongs to {names}: a pushed configuration may not use it elsewhere",
                f"此密钥属于 {names},平台下发的配置不得另作他用",
            )
            yield document.problem(path, what)


def _owners(local: Document) -> dict[Any, set[str]]:
    """Who uses each secret, by its text, in gateway.yaml as it stands on the box."""
    found: dict[Any, set[str]] = {}
    for path in local.brought:
        found.setdefault(_at(local.value, path), set()).add(_owner(path))
    return found


def _owner(path: KeyPath) -> str:
    """The section, and of uplinks the one: a department's password is no other's."""
    return key_text(path[:2] if path[0] == "uplinks" else path[:1])


def _sawn_off(loaded: Loaded, question: Question) -> Iterator[Problem]:
    config, document, name = loaded.config, loaded.document, question.uplink
    if config.gateway.id != question.gateway:
        what = Text(
            f"a push cannot rename the gateway: it is {question.gateway}", f"不能远程改名:本网关为 {question.gateway}"
        )
        yield document.problem(("gateway", "id"), what)
    if config.gateway.state_dir.absolute() != question.state_dir.absolute():
        what = Text(
            f"a push cannot move the state folder: it is {question.state_dir}",
            f"不能远程更改状态目录:现为 {question.state_dir}",
        )
        yield document.problem(("gateway", "state_dir"), what)
    uplink = config.uplinks.get(name)
    if uplink is None or not uplink.config:
        what = Text(
            f"a push cannot take away the uplink it came by: uplinks.{name} with config: true is needed",
            f"不能删除下发此配置的上行链路:需要保留 uplinks.{name} 及其 config: true",
        )
        yield document.problem(("uplinks", name), what)


def _walk(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _walk(inner, (*path, key))
    else:
        yield path, value


def _at(value: Any, path: KeyPath) -> Any:
    for step in path:
        value = value[step]
    return value


def _is_secret(config: Config, path: KeyPath) -> bool:
    """Whether the value at the path became a secret."""
    value: Any = config
    for step in path:
        if isinstance(value, BaseModel):
            named = type(value).model_fields
            step = next((name for name, field in named.items() if field.alias == step), step)  # noqa: PLW2901
            value = getattr(value, str(step), None)
        else:
            value = _step(value, step)
    return isinstance(value, SecretStr)


def _step(value: Any, step: str | int) -> Any:
    try:
        return value[step]
    except (KeyError, IndexError, TypeError):
        return None


def main() -> None:
    """A question on standard input, its answer on standard output."""
    question = Question.model_validate_json(sys.stdin.buffer.read())
    answer = examine(question, registry().models())
    sys.stdout.write(answer.model_dump_json())


if __name__ == "__main__":
    main()
