"""Who may use the page, as questions of the control socket: whoever may ask there is master of the box."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.alarmview import moment
from gateway.audit import By
from gateway.errors import Text
from gateway.house import House
from gateway.people import NotSo
from gateway.questions import Question
from gateway.rights import Role


class NewPerson(Question):
    """Who, in which role, with which password; and who asks."""

    name: str
    shown: str = ""
    role: Role
    password: str
    who: str


class NewPassword(Question):
    """Whose, and who asks."""

    name: str
    password: str
    who: str


class OfPerson(Question):
    """Whose, and who asks."""

    name: str
    who: str


class Code(Question):
    """The set-up code; `renew`: another one."""

    renew: bool = False


class PeopleAsks:
    """Answers them about one house."""

    def __init__(self, house: House) -> None:
        self._house = house

    @property
    def answers(self) -> Mapping[str, tuple[type[Question], Callable[[Any], Awaitable[Any]]]]:
        """By question."""
        return {
            "people": (Question, self._list),
            "people-add": (NewPerson, self._add),
            "people-password": (NewPassword, self._password),
            "people-remove": (OfPerson, self._remove),
            "people-unlock": (OfPerson, self._unlock),
            "people-code": (Code, self._code),
        }

    async def _list(self, _: Question) -> Any:
        people = self._house.people
        await people.load()
        locked = {key[0] for key in people.lockout.locked()}
        return [
            {
                "name": each.name,
                "shown": each.shown,
                "role": each.role,
                "sessions": len(people.sessions.of(each.name)),
                "locked": each.name in locked,
                **({"seen": moment(each.seen_ms)} if each.seen_ms else {}),
            }
            for each in people.list()
        ]

    async def _add(self, asked: NewPerson) -> Any:
        by = By(asked.who, "installer", "cli")
        made = await self._house.people.add(by, asked.name, asked.shown, asked.role, asked.password)
        return {"name": made.name, "shown": made.shown, "role": made.role}

    async def _password(self, asked: NewPassword) -> Any:
        await self._house.people.set_password(By(asked.who, "installer", "cli"), asked.name, asked.password)
        return {}

    async def _remove(self, asked: OfPerson) -> Any:
        await self._house.people.remove(By(asked.who, "installer", "cli"), asked.name)
        return {}

    async def _unlock(self, asked: OfPerson) -> Any:
        return {"locked": await self._house.people.unlock(By(asked.who, "installer", "cli"), asked.name)}

    async def _code(self, asked: Code) -> Any:
        people = self._house.people
        await people.load()
        if people.anybody:
            what = Text("there are accounts already: no set-up code counts any more", "已有账号,设置码不再有效")
            do = Text("a new password: gateway people password NAME", "重设密码:gateway people password 登录名")
            raise NotSo("code", what, do)
        return {"code": people.code.show(renew=asked.renew), "address": people.code.address}
