"""Chinese or English: `--lang zh|en` before or after the command, else the locale."""

from collections.abc import Mapping, Sequence

from gateway.errors import Text

LANGUAGES = ("zh", "en")
_OPTION = "--lang"
_chosen = ["en", ""]  # what is spoken; what --lang said


def choose(arguments: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Sets the language; gives the arguments back with `--lang` in front, where the command line knows it.

    Without one it is the locale's: the first of LC_ALL, LC_MESSAGES and LANG that is set; Chinese for zh*.
    """
    rest, option = _taken(list(arguments))
    wanted = option[-1].partition("=")[2] or option[-1] if option else ""
    names = (environment.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    locale = next((name for name in names if name), "")
    said = wanted if wanted in LANGUAGES else ""
    _chosen[:] = ["zh" if (said or locale).startswith("zh") else "en", said]
    return option + rest if rest or not said else []


def _taken(arguments: list[str]) -> tuple[list[str], list[str]]:
    end = arguments.index("--") if "--" in arguments else len(arguments)
    for place, argument in enumerate(arguments[:end]):
        count = 1 if argument.startswith(f"{_OPTION}=") else 2 if argument == _OPTION else 0
        if count and place + count <= end:
            return arguments[:place] + arguments[place + count :], arguments[place : place + count]
    return arguments, []


def spoken() -> str:
    """`zh` or `en`."""
    return _chosen[0]


def fall_back_on(language: str) -> None:
    """What the configuration says is spoken where the command line names no language."""
    if not _chosen[1]:
        _chosen[0] = "zh" if language.startswith("zh") else "en"


def say(text: Text) -> str:
    """In the language that is spoken."""
    return text.say(spoken())
