"""Simulated Modbus devices on a line of their own: a pty, or a TCP port (Modbus TCP, or RTU over TCP).

    smoke = Slave(5, "rs-yg-n01")
    async with Line(smoke) as line:
        ...  # a gateway whose bus is `serial: line.port`
        smoke.set_condition("fire.smoke", True)

What the slaves cause stands in `line.ledger`, to be compared with what came out at the other end.
"""

import asyncio
import contextlib
import os
import struct
import time
import tty
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, NamedTuple, Self

from drivers._modbus_profile import Condition, Outputs, Profile, Read, load
from drivers.sim._modbus_codec import ILLEGAL_FUNCTION, Tables, respond, rtu_frame, take_rtu, take_tcp, tcp_frame

SILENCE_S = 0.1  # longer than any gap within a frame: what came before it belongs to no frame
FORMATS = {"u16": ">H", "i16": ">h", "u32": ">I", "i32": ">i", "f32": ">f"}
Send = Callable[[bytes], None]


class Edge(NamedTuple):
    """Something a slave made happen: `what` is an event type, the name of a value, `input_3`, `output_1`, `plug`."""

    at_s: float  # seconds since 1970
    address: int
    what: str
    value: float


class Slave:
    """One device: its registers as the profile says, all normal at first. Without a profile the tables are bare.

    `loops`: of a panel, how many points each loop has.
    """

    def __init__(self, address: int, profile: str | None = None, loops: Mapping[int, int] | None = None) -> None:
        self.address = address
        self.loops: Mapping[int, int] = loops or {}
        self.profile: Profile | None = load(profile) if profile is not None else None
        self.tables = Tables()
        self.plugged = True
        self.requests = 0  # heard, answered or not
        self.delay_s = 0.0  # before each answer
        self.exception: int | None = None  # every answer is this exception
        self.unknown_functions: set[int] = set()  # answered with exception 1
        self.noise = b""  # sent before each answer
        self.tell: Callable[[Edge], object] = id  # its line's ledger, once it is on one
        self._timers: dict[int, asyncio.TimerHandle] = {}
        if self.profile is not None:
            _fill(self.tables, self.profile, self.loops)

    def set_value(self, name: str, value: float) -> None:
        """A value of the profile, in its unit. KeyError where the profile has none of that name."""
        read = _read_named(self.profile, name)
        raw = (value - read.offset) / read.scale
        _put(self.tables, read, raw if read.type == "f32" else round(raw))
        self._cause(name, value)

    def set_condition(self, type: str, active: bool) -> None:
        """Make a condition of the profile begin or end, by the value that means it. KeyError where it has none."""
        if self.profile is None:
            raise KeyError(type)
        found = [condition for condition in self.profile.conditions if condition.type == type]
        if not found:
            raise KeyError(type)
        _put_condition(self.tables, self.profile, found[0], active)
        self._cause(type, active)

    def set_input(self, number: int, on: bool) -> None:
        """A contact of a board, as the wire shows it: on is closed."""
        if self.profile is None or self.profile.inputs is None:
            raise KeyError(number)
        _put(self.tables, self.profile.inputs.read(number), int(on))
        self._cause(f"input_{number}", on)

    def set_point(self, loop: int, point: int, value: int) -> None:
        """A panel's point shows this value. KeyError where it has no such point."""
        if self.profile is None or not 1 <= point <= self.loops.get(loop, 0):
            raise KeyError(loop, point)
        _put_point(self.tables, self.profile, loop, point, value)
        self._cause(f"point_{loop}_{point}", value)

    def output(self, number: int) -> bool:
        """Whether an output of a board is on."""
        outputs = _outputs(self.profile)
        raw = self.tables.read(1 if outputs.function == 5 else 3, outputs.address + number - 1, 1)[0]
        return raw != 0

    def unplug(self) -> None:
        """From now on it is silent."""
        self.plugged = False
        self._cause("plug", False)

    def plug(self) -> None:
        """It is there again."""
        self.plugged = True
        self._cause("plug", True)

    def hear(self, pdu: bytes) -> bytes:
        """A request to this slave → its answer; empty while it is unplugged."""
        self.requests += 1
        if not self.plugged:
            return b""
        if self.exception is not None:
            return bytes([pdu[0] | 0x80, self.exception])
        if pdu[0] in self.unknown_functions:
            return bytes([pdu[0] | 0x80, ILLEGAL_FUNCTION])
        before = _outputs_on(self)
        answer = respond(self.tables, pdu, self._special)
        for number, on in _outputs_on(self).items():
            if on != before[number]:
                self._cause(f"output_{number}", on)
        return answer

    def _special(self, function: int, address: int, values: list[int]) -> bool:
        if self.profile is not None and self.profile.reset is not None:
            reset = self.profile.reset
            if (function, address, values) == (reset.function, reset.address, [reset.value]):
                return self.reset()
        if self.profile is None or self.profile.outputs is None:
            return False
        outputs, value = self.profile.outputs, values[-1]
        if function == 6 and value in (outputs.on, outputs.off) and 0 <= address - outputs.address < outputs.count:
            self._switch(address - outputs.address + 1, int(value == outputs.on))
            return True  # the board takes words and shows 1 and 0
        pulse = outputs.pulse
        if pulse is None or function != pulse.function or (function == 16 and values[:-1] != [pulse.code]):
            return False
        number, rest = divmod(address - pulse.address, pulse.stride)
        steps = value if function == 16 else value - pulse.code
        if rest or not 0 <= number < outputs.count or not 0 <= steps <= pulse.max_steps:
            return False
        self._pulse(number + 1, steps * pulse.step)
        return True

    def reset(self) -> bool:
        """Latched conditions let go, as when the power of the heads was cut. Always True."""
        for condition in self.profile.conditions if self.profile is not None else ():
            if condition.latching:
                self.set_condition(condition.type, False)
        return True

    def _pulse(self, number: int, seconds: float) -> None:
        self._switch(number, 1)
        self._timers[number] = asyncio.get_running_loop().call_later(seconds, self._fall_back, number)

    def _switch(self, number: int, on: int) -> None:
        timer = self._timers.pop(number, None)
        if timer is not None:
            timer.cancel()
        outputs = _outputs(self.profile)
        self.tables.write(outputs.function, outputs.address + number - 1, [on])

    def _fall_back(self, number: int) -> None:
        self._switch(number, 0)
        self._cause(f"output_{number}", False)

    def _cause(self, what: str, value: float) -> None:
        self.tell(Edge(time.time(), self.address, what, float(value)))


def _fill(tables: Tables, profile: Profile, loops: Mapping[int, int]) -> None:
    for read in profile.reads:
        _put(tables, read, read.normal[0] if read.normal else 0)
    for condition in profile.conditions:
        _put_condition(tables, profile, condition, False)
    if profile.inputs is not None:
        for number in range(1, profile.inputs.count + 1):
            _put(tables, profile.inputs.read(number), int(profile.inputs.inverted))
    for loop, count in loops.items():
        for point in range(1, count + 1):
            _put_point(tables, profile, loop, point, None)
    if profile.reset is not None and profile.reset.function == 6:
        tables.by_function[3].setdefault(profile.reset.address, 0)
    if profile.outputs is not None:
        table = tables.by_function[1 if profile.outputs.function == 5 else 3]
        for i in range(profile.outputs.count):
            table.setdefault(profile.outputs.address + i, 0)


def _put_condition(tables: Tables, profile: Profile, condition: Condition, active: bool) -> None:
    read = _read_named(profile, condition.read)
    value = _value_that_means(condition, read, active != condition.inverted)
    if condition.above is not None or condition.below is not None:
        value = (value - read.offset) / read.scale
    _put(tables, read, value if read.type == "f32" else round(value))


def _put_point(tables: Tables, profile: Profile, loop: int, point: int, value: int | None) -> None:
    if profile.points is not None:
        read = profile.points.read(loop, point)
        for function in {read.function, profile.fallback or read.function}:
            where = read.model_copy(update={"function": function})
            _put(tables, where, read.normal[0] if value is None else value)


def _outputs_on(slave: Slave) -> dict[int, bool]:
    if slave.profile is None or slave.profile.outputs is None:
        return {}
    return {number: slave.output(number) for number in range(1, slave.profile.outputs.count + 1)}


def _put(tables: Tables, read: Read, raw: float) -> None:
    table = tables.by_function[read.function]
    if read.type == "bit":
        kept = table.get(read.address, 0) & ~(1 << (read.bit or 0))
        table[read.address] = kept | int(raw) << (read.bit or 0)
        return
    number = raw if read.type == "f32" else int(raw)
    data = struct.pack(FORMATS[read.type], number)
    words = list(struct.unpack(f">{len(data) // 2}H", data))
    if read.bytes == "low-first":
        words = [word >> 8 | (word & 0xFF) << 8 for word in words]
    if read.words == "low-first":
        words.reverse()
    table.update({read.address + i: word for i, word in enumerate(words)})


def _read_named(profile: Profile | None, name: str) -> Read:
    for read in profile.reads if profile is not None else ():
        if read.name == name:
            return read
    raise KeyError(name)


def _outputs(profile: Profile | None) -> Outputs:
    if profile is None or profile.outputs is None:
        raise KeyError("outputs")
    return profile.outputs


def _value_that_means(condition: Condition, read: Read, true: bool) -> float:
    if condition.equals is not None:
        usual = read.normal[0] if read.normal else next(n for n in range(256) if n not in condition.equals)
        return condition.equals[0] if true else usual
    if condition.bit is not None:
        return float(true << condition.bit)
    step = condition.hysteresis + max(abs(read.scale), 1e-6)
    if condition.above is not None:
        return condition.above if true else min(0.0, condition.above - step)
    limit = condition.below or 0.0
    return limit if true else limit + step


class Line:
    """Several slaves on one wire: a pty of its own, or `tcp=(host, port)` (port 0: any; framing tcp or rtu).

    `port` is the path of the pty's client side, `address` where the TCP port listens. `listeners` are called after
    each request and each edge.
    """

    def __init__(
        self,
        *slaves: Slave,
        tcp: tuple[str, int] | None = None,
        framing: Literal["tcp", "rtu"] = "rtu",
        echo: bool = False,
    ) -> None:
        self.slaves = {slave.address: slave for slave in slaves}
        self.ledger: list[Edge] = []
        self.listeners: list[Callable[[], None]] = []
        self.port = ""
        self.address = ("", 0)
        self._tcp = tcp
        self._framing = framing
        self._echo = echo
        self._stack = contextlib.AsyncExitStack()
        self._senders: list[Send] = []
        self._clients: list[asyncio.Transport] = []

    async def __aenter__(self) -> Self:
        for slave in self.slaves.values():
            slave.tell = self._note
        async with contextlib.AsyncExitStack() as stack:
            if self._tcp is None:
                self._open_pty(stack)
            else:
                await self._listen(stack, *self._tcp)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._stack.aclose()

    def put_noise(self, data: bytes) -> None:
        """Bytes on the wire that nobody asked for."""
        for send in self._senders:
            send(data)

    def _note(self, edge: Edge) -> None:
        self.ledger.append(edge)
        self._changed()

    def _changed(self) -> None:
        for listener in self.listeners:
            listener()

    def _open_pty(self, stack: contextlib.AsyncExitStack) -> None:
        ours, theirs = os.openpty()
        stack.callback(os.close, ours)
        stack.callback(os.close, theirs)  # stays open, so that a client may come and go
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        self.port = os.ttyname(theirs)
        wire = _Rtu(self, partial(_write, ours))
        loop = asyncio.get_running_loop()
        loop.add_reader(ours, lambda: wire.data_received(os.read(ours, 4096)))
        stack.callback(loop.remove_reader, ours)
        self._senders.append(wire.send)

    async def _listen(self, stack: contextlib.AsyncExitStack, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(self, self._framing), host, port)
        self.address = server.sockets[0].getsockname()[:2]
        stack.callback(self.drop)
        stack.callback(server.close)

    def heard(self, frame: bytes, reply: Callable[[int, bytes], None]) -> None:
        """Address and PDU from the wire; `reply` sends an answer. Broadcasts (0) are heard by all, answered by none."""
        address, pdu = frame[0], frame[1:]
        if address == 0:
            for slave in self.slaves.values():
                slave.hear(pdu)
        elif address in self.slaves:
            slave = self.slaves[address]
            answer = slave.hear(pdu)
            if answer and slave.delay_s:
                asyncio.get_running_loop().call_later(slave.delay_s, reply, address, answer)
            elif answer:
                reply(address, answer)
        self._changed()

    @property
    def echoes(self) -> bool:
        """Whether the adapter hears itself."""
        return self._echo

    def joined(self, client: asyncio.Transport) -> None:
        """One more TCP client on the wire."""
        self._senders.append(client.write)
        self._clients.append(client)

    def go_deaf(self) -> None:
        """TCP connections that are there hear nothing any more and are not told; new ones are served."""
        for client in self._clients:
            client.pause_reading()

    def drop(self) -> None:
        """Cut every TCP connection; new ones are taken."""
        for client in self._clients:
            client.abort()
        self._clients.clear()
        self._senders.clear()


def _write(fd: int, data: bytes) -> None:
    with contextlib.suppress(OSError):  # closed, or full because nobody reads: a wire has no memory
        os.write(fd, data)


class _Rtu:
    """RTU frames out of a stream of bytes."""

    def __init__(self, line: Line, send: Send) -> None:
        self._line = line
        self.send = send
        self._buffer = b""
        self._last_s = 0.0

    def data_received(self, data: bytes) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._last_s > SILENCE_S:
            self._buffer = b""
        self._last_s = now_s
        if self._line.echoes:
            self.send(data)
        frame, self._buffer = take_rtu(self._buffer + data)
        while frame:
            self._line.heard(frame, self._reply)
            frame, self._buffer = take_rtu(self._buffer)

    def _reply(self, address: int, pdu: bytes) -> None:
        self.send(self._line.slaves[address].noise + rtu_frame(address, pdu))


class _Connection(asyncio.Protocol):
    """One TCP client."""

    def __init__(self, line: Line, framing: str) -> None:
        self._line = line
        self._framing = framing
        self._buffer = b""
        self._rtu: _Rtu | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._rtu = _Rtu(self._line, transport.write) if self._framing == "rtu" else None
            self._line.joined(transport)

    def data_received(self, data: bytes) -> None:
        if self._rtu is not None:
            self._rtu.data_received(data)
            return
        head, frame, self._buffer = take_tcp(self._buffer + data)
        while head:
            self._line.heard(frame, partial(self._reply, head))
            head, frame, self._buffer = take_tcp(self._buffer)

    def _reply(self, head: bytes, address: int, pdu: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(tcp_frame(head, address, pdu))
