"""Carries out what has been asked, and writes down what became of it: for the uplinks and for the command line."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from gateway.audit import Audit, By
from gateway.clock import Clock, TimeQuality
from gateway.commands import STATUS, Action, Order, Refused, Request, Result, Rules, weigh
from gateway.deeds import NotFound, NotNow
from gateway.errors import StorageError, Text
from gateway.event import nothing

DONE = Text("done", "已完成")
_LOG = logging.getLogger("gateway.commands")


@dataclass(frozen=True)
class Verdict:
    """What became of a command: a code of the contract's list, a sentence, and what there is to tell."""

    code: str
    what: Text
    result: Result = field(default_factory=nothing)

    @property
    def status(self) -> str:
        """As the reply says it."""
        return STATUS.get(self.code, "refused")


class Clerk:
    """`await clerk.attend(request, by)`; `local`: a person at the box, whose order cannot be a late one."""

    def __init__(
        self, rules: Rules, actions: Mapping[str, Action], audit: Audit, clock: Clock, *, local: bool = False
    ) -> None:
        self._rules = rules
        self._actions = actions
        self._audit = audit
        self._clock = clock
        self._local = local

    async def attend(self, request: Request, by: By) -> Verdict:
        """Weighed, carried out, written down."""
        try:
            verdict = await self._carried_out(request, by)
        except Refused as refused:
            verdict = Verdict(refused.code, refused.what, refused.result)
        except NotFound as error:
            verdict = Verdict("bad-arguments", _sentence(error.where, error.what))
        except NotNow as error:
            verdict = Verdict("not-allowed", _sentence(error.where, error.what))
        except StorageError as error:
            verdict = Verdict("busy", error.what)
        await self.note(by, request.action, request.device, verdict.code, request.id)
        return verdict

    async def _carried_out(self, request: Request, by: By) -> Verdict:
        unsure = not self._local and self._clock.quality() is TimeQuality.UNSYNCED
        args, act = weigh(request, self._rules, self._actions, clock_unsure=unsure)
        order = Order(request.id, request.device, request.action, args, by, request.expires)
        return Verdict("ok", DONE, await act(order))

    async def note(self, by: By, action: str, device: str, code: str, identity: str | None) -> None:
        """A line of the audit log; where the disk does not take it, at least one of the log."""
        what = action[:64].encode("utf-8", "replace").decode()
        _LOG.info("%s of %s for %s (%s): %s", what, device, by.who, by.place, code)
        with suppress(StorageError):
            await self._audit.put(by, f"command.{what}", device[:64], code, command=identity)


def _sentence(where: str, what: Text) -> Text:
    return Text(f"{where}: {what.en}", f"{where}:{what.zh}")
