"""The control panel's half of one reader's session: libosdp as state machine and secure channel, nothing else.

One libosdp context per reader, driven a packet at a time: `next()` gives the command to send, `answer()` takes the
reply. Timing, framing and repeating a lost command are ours (`_osdp_bus`): the library drops a whole session for one
damaged byte, waits 800 ms before it repeats and 300 s before it tries an offline reader again, but it looks at its
clock only when it is called, and it is called only when there is something to say (docs/decisions).
"""

from typing import Any

import osdp  # type: ignore[import-untyped]  # libosdp has no type hints
import osdp_sys  # type: ignore[import-not-found]

from drivers import _osdp_wire as wire

osdp_sys.set_loglevel(osdp.LogLevel.Emergency)  # it would print; what matters is told by the driver

FAILURES = {  # command and reply of the last exchange → why the session did not come up
    (wire.CMD_CAP, wire.PDCAP): "no-secure-channel",
    (wire.CMD_CHLNG, wire.NAK): "no-secure-channel",
    (wire.CMD_CHLNG, wire.CCRYPT): "wrong-key",
    (wire.CMD_SCRYPT, wire.NAK): "wrong-key",
    (wire.CMD_KEYSET, wire.NAK): "key-refused",
}


class _Wire(osdp.Channel):  # type: ignore[misc]
    """Where the library writes its packet and finds the reply: whole packets only."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.reply = b""

    def write(self, buf: bytes) -> int:
        self.sent = bytes(buf)
        return len(buf)

    def read(self, max_bytes: int) -> bytes:
        chunk, self.reply = self.reply[:max_bytes], self.reply[max_bytes:]
        return chunk

    def flush(self) -> None:
        self.reply = b""


class Panel:
    """A session with one reader. `key` None: in clear; `enforce`: no session but with this key."""

    def __init__(self, address: int, key: bytes | None, enforce: bool) -> None:
        self._wire = _Wire()
        self._last = (0, 0)
        self.forgotten = False  # does the reader no longer know of the session?
        self._events: list[dict[str, Any]] = []
        self._finished: list[bool] = []
        flags = [osdp.LibFlag.IgnoreUnsolicited] + [osdp.LibFlag.EnforceSecure] * enforce
        info = osdp.PDInfo(address, self._wire, scbk=key, flags=flags, name=f"reader-{address}")
        self._ctx = osdp_sys.ControlPanel([info.get()])
        events, finished = self._events, self._finished  # not self: libosdp's object would keep us alive for ever
        self._ctx.set_event_callback(lambda _pd, event: events.append(event))
        self._ctx.set_command_completion_callback(lambda _pd, _command, status: finished.append(status == 0))

    @property
    def online(self) -> bool:
        """Bring-up is over: commands are taken, cards may come."""
        return bool(self._ctx.status() & 1)

    @property
    def secure(self) -> bool:
        """A secure channel stands."""
        return bool(self._ctx.sc_status() & 1)

    def next(self) -> bytes:
        """The packet to send now, the same until it is answered; empty while no poll is due, or the session is over."""
        for _ in range(3):  # idle → command chosen → packet built
            if self._wire.sent:
                break
            self._ctx.refresh()
        return self._wire.sent

    def answer(self, reply: bytes) -> None:
        """Takes the reader's reply to the packet `next()` gave."""
        asked = wire.parse(self._wire.sent[self._wire.sent.index(wire.SOM) :])
        found, secure = wire.parse(reply), self.secure
        self._last = (asked.code, found.code)
        # a NAK in clear inside a secure session, or with sequence 0, is about the session, not about the command
        self.forgotten = found.code == wire.NAK and (found.sequence == 0 or (secure and not found.secured))
        self._wire.sent, self._wire.reply = b"", reply
        self._ctx.refresh()

    def submit(self, command: dict[str, Any]) -> bool:
        """Queues a command for the next packet; False where the library does not take it."""
        return bool(self._ctx.submit_command(0, command))

    def finished(self) -> bool | None:
        """Did the reader carry out the command? None: not answered yet. Tells each once."""
        return self._finished.pop(0) if self._finished else None

    def reports(self) -> list[wire.Report]:
        """What the reader reported since last asked."""
        found = [wire.reported(event) for event in self._events]
        for event in self._events:
            event.clear()  # the binding never lets go of the dict: let it at least be empty
        self._events.clear()
        return [report for report in found if report is not None]

    def count(self, capability: int) -> int:
        """How many (LEDs, inputs, …) the reader says it has; 0 where it has none."""
        level, items = self._ctx.check_capability(0, capability)
        return max(int(items), 1) if level else 0

    def why(self) -> str:
        """Why the session did not come up, as a word, by the last exchange."""
        return FAILURES.get(self._last, "protocol")
