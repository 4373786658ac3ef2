"""Errors, named by what happens next.

GatewayError                 anything we say on purpose; carries where, what and what to do next
 ├─ ConfigError              a person must edit the configuration; the daemon does not start (exit status 2)
 ├─ StateError               the state folder cannot be used; the daemon does not start (exit status 1)
 ├─ StorageError             the disk did not take it; nothing was accepted, the sender keeps it and sends again
 ├─ LinkError                an uplink is not there; reconnect with back-off
 │   ├─ LinkRefused          the broker said no (password, certificate, rights); retry slowly, a person is told
 │   └─ ProtocolRefused      the broker does not speak this MQTT version; try the other one
 └─ DeviceError              one device or line
     ├─ Unreachable          not there or silent: retry with back-off
     ├─ NeedsPerson          wrong password, wrong key, locked out: retry slowly, a person is told
     ├─ Misconfigured        cannot work as configured: this line stops, the others go on
     └─ BadInput             what came in cannot be understood: answered, counted, forgotten

Drivers raise; the supervisor decides.
"""

from typing import NamedTuple


class Text(NamedTuple):
    """One sentence a user may see, in English and Chinese."""

    en: str
    zh: str

    def say(self, language: str) -> str:
        """The sentence in `language` ("zh-CN", "en", …): Chinese for zh*, else English."""
        return self.zh if language.startswith("zh") else self.en


class GatewayError(Exception):
    """Where it went wrong, what and why, and what to do next (both languages)."""

    def __init__(self, where: str, what: Text, do: Text | None = None) -> None:
        super().__init__(where, what, do)
        self.where = where
        self.what = what
        self.do = do

    def say(self, language: str) -> str:
        """One line: `where: what; what to do`."""
        chinese = language.startswith("zh")
        head = f"{self.where}: {self.what.say(language)}"
        if self.do is None:
            return head
        return head + (";" if chinese else "; ") + self.do.say(language)

    def __str__(self) -> str:
        return self.say("en")


class ConfigError(GatewayError):
    """A person must edit the configuration."""


class StateError(GatewayError):
    """The state folder cannot be used."""


class StorageError(GatewayError):
    """The disk did not take it: nothing was accepted."""


class LinkError(GatewayError):
    """An uplink is not there."""


class LinkRefused(LinkError):
    """The broker refused us: password, certificate or rights."""


class ProtocolRefused(LinkError):
    """The broker does not speak this MQTT version."""


class DeviceError(GatewayError):
    """One device or line is in trouble."""


class Unreachable(DeviceError):
    """Not there or silent."""


class NeedsPerson(DeviceError):
    """Wrong password, wrong key, locked out."""


class Misconfigured(DeviceError):
    """Cannot work as configured."""


class BadInput(DeviceError):
    """What came in cannot be understood."""
