"""What stands around the commands: their helps in the language that is spoken, and wrong use told in it."""

import re
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from gateway.cli.helps import HELP_OPTION, HELPS
from gateway.cli.language import say, spoken
from gateway.cli.words import FRAME, REASONS, USAGE
from gateway.errors import Text


class Command(TyperCommand):
    """A command whose help is in the language that is spoken."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Before anything is shown of it."""
        _translate(self)
        return super().make_context(*args, **kwargs)

    def get_help(self, ctx: Any) -> str:
        """The whole help."""
        return _framed(super().get_help(ctx))


class Group(TyperGroup):
    """The same of a group of commands."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Before anything is shown of it."""
        _translate(self)
        for command in self.commands.values():
            _translate(command)
        return super().make_context(*args, **kwargs)

    def get_help(self, ctx: Any) -> str:
        """The whole help."""
        return _framed(super().get_help(ctx))


def _translate(command: Any) -> None:
    """Its help and its parameters' from the list of helps; English is what the code says."""
    if spoken() == "en":
        return
    command.help = _chinese(command.help)
    for parameter in command.params:
        parameter.help = _chinese(parameter.help)


def paragraphs(text: str | None) -> list[str]:
    """The paragraphs of a help, each in one line."""
    return [" ".join(paragraph.split()) for paragraph in (text or "").split("\n\n")]


def _chinese(text: str | None) -> str:
    return "\n\n".join(HELPS.get(paragraph, paragraph) for paragraph in paragraphs(text))


def _framed(text: str) -> str:
    if spoken() == "en":
        return text
    for english, chinese in FRAME.items():
        text = re.sub(rf"^{english}", chinese, text, flags=re.MULTILINE)
    return text.replace(HELP_OPTION, HELPS[HELP_OPTION])


def explain(wrong: typer.TyperException) -> str:
    """Wrong use: what is wrong, and where to read how it is right."""
    message = wrong.format_message()
    for pattern, reason in REASONS.items():
        message = re.sub(pattern, say(reason), message)
    context = getattr(wrong, "ctx", None)
    if type(wrong).__name__ == "NoArgsIsHelpError":
        return message
    path = context.command_path if context is not None else "gateway"
    told = _in_chinese(message)
    return say(Text(f"{message.rstrip('.')}; see: {path} --help", f"{told};用法见:{path} --help"))


def _in_chinese(message: str) -> str:
    for pattern, chinese in USAGE.items():
        match = re.fullmatch(pattern, message, re.DOTALL)
        if match:
            first, _, rest = chinese.partition("|")
            found = [group.rstrip(".") for group in match.groups() if group]
            return (first + (rest if len(found) > 1 else "")).format(*found)
    return message
