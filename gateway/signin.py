"""Signing in, giving the password once more, setting up: counted, slowed down, audited; locks are told as events."""

import asyncio
import hmac
import logging
from contextlib import suppress

from gateway.audit import By
from gateway.errors import GatewayError, StorageError, Text
from gateway.event import Phase, Reading
from gateway.lockout import Key, neighbourhood
from gateway.people import People, folded
from gateway.pipeline import Pipeline
from gateway.roster import Person
from gateway.sessions import Session

LOCKED = "access.lockout"
LOOK_S = 5.0  # how soon the end of a lock is told
_SETUP = " setup"  # the account that set-up codes are counted for: no sign-in name
_NOT_YOURS = Text("the password is wrong", "密码错误")
_NOBODY = Text("name or password is wrong", "登录名或密码错误")
_AGAIN = Text("try again", "请重新输入")
_LOG = logging.getLogger("gateway.people")


class Wrong(GatewayError):
    """The name, the password or the code is not right; which of them is not said."""


class Locked(GatewayError):
    """After too many wrong ones nobody is heard for `wait_s`, and nothing is said of what was given."""

    def __init__(self, wait_s: float) -> None:
        minutes = max(1, round(wait_s / 60 + 0.49))
        what = Text("too many wrong tries from here or for this account", "此处或此账号的错误次数过多")
        super().__init__("sign-in", what, Text(f"wait {minutes} min and try again", f"请 {minutes} 分钟后重试"))
        self.wait_s = wait_s


class SignIn:
    """Of one house. `key` makes references to accounts that show no name."""

    def __init__(self, people: People, pipeline: Pipeline, key: bytes) -> None:
        self._people = people
        self._pipeline = pipeline
        self._key = key
        self._first = asyncio.Lock()

    async def sign_in(self, name: str, password: str, address: str) -> tuple[str, Session]:
        """The token of a new session. Wrong, Locked, Busy, StorageError."""
        person = await self.prove(name, password, address, "login")
        with suppress(StorageError):  # with a disk that takes nothing one must still see what burns
            await self._people.rim.audit.put(_by(person), "login", person.name, "ok", address=address)
            await self._people.came(person, address)
        now = self._people.get(person.name)
        if now is None or now.password != person.password:  # changed or removed meanwhile
            raise Wrong("sign-in", _NOBODY, _AGAIN)
        return await self._people.sessions.begin(person.name, address)

    async def prove(self, name: str, password: str, address: str, what: str, session: str = "") -> Person:
        """The person whose password it is. Wrong, Locked, Busy, StorageError.

        Within a `session` wrong ones count for it alone: whoever is not in it cannot keep its person from a door.
        """
        people = self._people
        await people.load()
        person = people.get(name)
        account = person.name if person else folded(name)[:64]
        at_home = bool(session) or people.at_home(account, address)
        keys = people.lockout.keys(account, session or neighbourhood(address), at_home=at_home)
        self._refuse_locked(keys)
        async with people.passwords.looking() as fits:
            self._refuse_locked(keys)  # of many that come at once, no more are heard than one after the other
            right = await fits(password, person.password if person else None)
            locked = [] if right else people.lockout.failed(keys)
        if right and person is not None:
            people.lockout.forgive(keys)
            return person
        await self._tell_failed(person, address, what, locked)
        raise Wrong("sign-in", _NOBODY if what == "login" else _NOT_YOURS, _AGAIN)

    async def set_up(self, code: str, name: str, shown: str, password: str, address: str) -> tuple[str, Session]:
        """The first person, by the code of the box: an installer. Wrong, Locked, Busy, NotSo, StorageError."""
        people = self._people
        await people.load()
        keys = (_SETUP, neighbourhood(address)), ("", neighbourhood(address))
        self._refuse_locked(keys)
        async with self._first:  # there is one first
            if not people.anybody and people.code.fits(code):
                by = By(" ".join(shown.split()) or name, "installer", "page")
                person = await people.add(by, name, shown, "installer", password)
            else:
                await self._tell_failed(None, address, "setup", people.lockout.failed(keys))
                do = Text(
                    "look at the label, or ask the box: gateway people code", "请查看标签,或执行:gateway people code"
                )
                raise Wrong("code", Text("the set-up code is wrong", "设置码错误"), do)
        with suppress(StorageError):
            await people.came(person, address)
        return await people.sessions.begin(person.name, address)

    def _refuse_locked(self, keys: tuple[Key, ...]) -> None:
        wait_s = self._people.lockout.wait_s(keys)
        if wait_s > 0:
            raise Locked(wait_s)

    async def _tell_failed(self, person: Person | None, address: str, what: str, locked: list[Key]) -> None:
        """What was given as a name is not written down where nobody has it: it may be a password."""
        name = person.name if person else "unknown"
        _LOG.warning("refused: %s of %s from %s%s", what, name, address, ", locked" if locked else "")
        with suppress(StorageError):
            await self._people.rim.audit.put(_by(person), what, name, "refused", address=address)
            for key in locked:
                await self._tell_lock(key, person, address, what)

    async def _tell_lock(self, key: Key, person: Person | None, address: str, what: str) -> None:
        if key[0] and person is None and key[0] != _SETUP:
            return  # an account that nobody has: its address is told of
        gateway = self._people.rim.gateway
        await self._people.rim.audit.put(By(gateway, "gateway", "page"), "lockout", key[0] or address, "locked")
        who = {"who": person.name} if person and key[0] else {}
        part = {"text": self.reference(key)}
        data = {"address": address, **who}
        reading = Reading(gateway, LOCKED, Phase.RAISE, part=part, reason=what, data=data)
        await self._pipeline.accept([reading])

    def reference(self, key: Key) -> str:
        """What a count is called: whoever knows no key cannot tell the account from it. All addresses are one."""
        if not key[0]:
            return "addresses"
        return "account-" + hmac.digest(self._key, key[0].encode(), "sha256").hex()[:8]

    async def run(self) -> None:
        """Tells when a lock is over, and writes what is due."""
        while True:
            with suppress(StorageError):
                await self.look()
            await self._people.rim.clock.sleep(LOOK_S)

    async def look(self) -> None:
        """Once. StorageError."""
        await self._people.load()
        locked = {self.reference(key) for key in self._people.lockout.locked()}
        gateway = self._people.rim.gateway
        told = [alarm.part for alarm in self._pipeline.shown if alarm.key[:2] == (gateway, LOCKED) and alarm.active]
        over = [Reading(gateway, LOCKED, Phase.CLEAR, part={"text": part}) for part in told if part not in locked]
        if over:
            await self._pipeline.accept(over)
        await self._people.sessions.write()
        await self._people.tokens.write()


def _by(person: Person | None) -> By:
    return By(person.shown, person.role, "page") if person else By("unknown", "", "page")
