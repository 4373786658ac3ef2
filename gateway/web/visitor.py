"""Who asks, and what they may: people by their role, machines by the scopes of their token.

Which role has which rights stands in gateway/rights.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

from gateway.audit import By
from gateway.errors import GatewayError, Text
from gateway.rights import RIGHTS, ROLES, Right, Role

__all__ = ["RIGHTS", "ROLES", "Handles", "Keeper", "NotAllowed", "Right", "Role", "Sees", "Visitor", "needs"]


@dataclass(frozen=True)
class Visitor:
    """Who is known to ask. `csrf` goes with each step of a person; a machine has none."""

    who: str
    role: str  # a Role; "platform" for a machine; "" for this machine while nobody has an account
    rights: frozenset[Right]
    csrf: str = ""
    fresh: bool = False  # the password was given a short while ago, or it is a machine with its scope
    session: str = ""  # which one it is, for its own end; "" where it is none
    ends: str = ""  # RFC 3339: when the session ends for certain

    @property
    def by(self) -> By:
        """As the log of audits writes it."""
        return By(self.who, self.role, "page")

    def may(self, right: Right) -> bool:
        """Is it allowed?"""
        return right in self.rights


class Keeper(Protocol):
    """Knows people and machines."""

    async def visitor(self, request: Request) -> Visitor | None:
        """Who it is, by a session's cookie or a token. None: nobody that is known. StorageError, NotAllowed."""


class NotAllowed(GatewayError):
    """The visitor is known, and may not do this; or is to give the password once more (`stale`)."""

    def __init__(self, where: str, what: Text, do: Text, *, stale: bool = False) -> None:
        super().__init__(where, what, do)
        self.stale = stale


def visitor_of(request: Request) -> Visitor:
    """Who asks; the guard has let nobody through who is not known."""
    visitor: Visitor = request.state.visitor
    return visitor


class needs:  # noqa: N801  # reads as a word where it is used: Depends(needs("handle"))
    """A dependency of a route: the visitor, where they have this right. NotAllowed."""

    def __init__(self, right: Right, *, fresh: bool = False) -> None:
        self.right = right
        self.fresh = fresh

    def __call__(self, request: Request) -> Visitor:
        """The visitor."""
        visitor = visitor_of(request)
        path = request.url.path
        if not visitor.may(self.right):
            what = Text(f"this takes the right to {self.right}", f"此操作需要“{_WORDS[self.right]}”权限")
            do = Text("ask a manager or installer to do it", "请由有权限的物业经理或安装员操作")
            raise NotAllowed(path, what, do)
        if self.fresh and not visitor.fresh:
            what = Text("the password is needed once more for this", "此操作需要再次输入密码")
            raise NotAllowed(path, what, Text("give it, and try again", "请输入密码后重试"), stale=True)
        return visitor

    @property
    def depends(self) -> Any:
        """For `dependencies=[…]` of a route."""
        return Depends(self)


_WORDS: Mapping[Right, str] = {
    "see": "查看",
    "handle": "处置报警",
    "doors": "开门",
    "cover": "屏蔽和暂缓",
    "people": "管理人员",
    "configure": "配置",
    "audit": "查看审计",
    "metrics": "读取指标",
}

Sees = Annotated[Visitor, Depends(needs("see"))]
Handles = Annotated[Visitor, Depends(needs("handle"))]
