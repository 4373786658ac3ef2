"""Who may use the page: `gateway people list|add|password|remove|unlock|code`."""

import sys
from typing import Annotated, Any, Optional

import typer

from gateway.cli import show
from gateway.cli.act import user
from gateway.cli.ask import ask
from gateway.cli.frame import Command, Group
from gateway.cli.language import say
from gateway.cli.where import CONFIG, ConfigOption, JsonOption, StateDirOption, state_dir
from gateway.cli.words import HEADS
from gateway.errors import Text
from gateway.rights import Role

people = typer.Typer(cls=Group, no_args_is_help=True, rich_markup_mode=None, help="Who may use the page.")
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The sign-in name.")]
_ROLES = {
    "duty": Text("duty", "值班员"),
    "manager": Text("manager", "物业经理"),
    "installer": Text("installer", "安装员"),
    "auditor": Text("auditor", "审计员"),
}


@people.command("list", cls=Command)
def listed(config: ConfigOption = CONFIG, state_folder: StateDirOption = None, json: JsonOption = False) -> None:
    """List who may sign in.

    With their role, their last sign-in, and how many sessions they have.
    """
    answer = ask(state_dir(config, state_folder), "people")
    if json:
        show.document(answer)
    elif answer:
        heads = [HEADS["who"], *_HEADS]
        show.table(heads, map(_row, answer), ["yellow" if each["locked"] else "" for each in answer])
    else:
        show.put(say(Text("nobody has an account yet: gateway people code", "尚未创建账号,见 gateway people code")))


_HEADS = (
    Text("NAME", "姓名"),
    Text("ROLE", "角色"),
    Text("SIGNED IN", "最近登录"),
    Text("SESSIONS", "登录数"),
    Text("", ""),
)


def _row(each: dict[str, Any]) -> list[str]:
    locked = say(Text("locked", "已锁定")) if each["locked"] else ""
    seen = show.moment(each.get("seen"))
    return [each["name"], each["shown"], say(_ROLES[each["role"]]), seen, str(each["sessions"]), locked]


@people.command(cls=Command)
def add(
    name: NameArgument,
    role: Annotated[Role, typer.Option("--role", help="What they are.")] = "duty",
    shown: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--shown", metavar="NAME", help="Their name as others see it."),
    ] = None,
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """Add a person.

    The password is asked for, or read from standard input.
    """
    asked = {"name": name, "shown": shown or "", "role": role, "password": _password(), "who": user()}
    answer = ask(state_dir(config, state_folder), "people-add", **asked)
    _tell(answer, json, Text(f"{answer['shown']} may sign in now", f"{answer['shown']} 现在可以登录"))


@people.command(cls=Command)
def password(
    name: NameArgument, config: ConfigOption = CONFIG, state_folder: StateDirOption = None, json: JsonOption = False
) -> None:
    """Give a person another password.

    It is asked for, or read from standard input. Whoever is signed in by the old one is signed out.
    """
    folder = state_dir(config, state_folder)
    answer = ask(folder, "people-password", name=name, password=_password(), who=user())
    _tell(answer, json, Text("the password is changed", "密码已修改"))


@people.command(cls=Command)
def remove(
    name: NameArgument, config: ConfigOption = CONFIG, state_folder: StateDirOption = None, json: JsonOption = False
) -> None:
    """Remove a person, who is signed out at once."""
    answer = ask(state_dir(config, state_folder), "people-remove", name=name, who=user())
    _tell(answer, json, Text(f"{name} is removed", f"已删除 {name}"))


@people.command(cls=Command)
def unlock(
    name: NameArgument, config: ConfigOption = CONFIG, state_folder: StateDirOption = None, json: JsonOption = False
) -> None:
    """Let a person try again at once, after too many wrong passwords."""
    answer = ask(state_dir(config, state_folder), "people-unlock", name=name, who=user())
    was = (
        Text(f"{name} may try again", f"{name} 已解锁")
        if answer["locked"]
        else Text("it was not locked", "该账号未被锁定")
    )
    _tell(answer, json, was)


@people.command(cls=Command)
def code(
    renew: Annotated[bool, typer.Option("--renew", help="Make another one; the old one is void.")] = False,
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """Show the set-up code, while nobody has an account.

    With it the first person is made, on the page.
    """
    answer = ask(state_dir(config, state_folder), "people-code", renew=renew)
    told = Text(
        f"set-up code: {answer['code']}\nopen: {answer['address']}",
        f"设置码:{answer['code']}\n请打开:{answer['address']}",
    )
    _tell(answer, json, told)


def _tell(answer: dict[str, Any], json: bool, said: Text) -> None:
    if json:
        show.document(answer)
    else:
        show.put(say(said))


def _password() -> str:
    """Never an argument: those stand in the shell's history, and every user of the machine sees them."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    asked: str = typer.prompt(say(Text("password", "密码")), hide_input=True, confirmation_prompt=True)
    return asked
