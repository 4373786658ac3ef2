"""One MQTT connection under asyncio, on paho-mqtt: connecting, TLS, WebSockets, keepalive and framing are paho's.

The connection is used once: when it is lost, `lost` is done and everything in flight is unknown. What was confirmed is
the outbox's to remember, not the client library's: so QoS 1 PUBLISH and its PUBACK, with the reason code, are encoded
here (docs/decisions/0002). System calls are gathered: one read takes all that has arrived, one write sends all that
was published since the last `flush()`.
"""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.errors import LinkError, LinkRefused, ProtocolRefused, Text

CONNECT_TIMEOUT_S = 5.0  # TCP, and again TLS
CONNACK_TIMEOUT_S = 5.0
WINDOW = 64  # messages in flight at most; a broker's Receive Maximum may say less
WILL_DELAY_S = 60  # contract, section 2
_READ_BYTES = 65536
_DISCONNECT = 0xE0  # MQTT 5.0, 3.14.1
_PUBACK = 0x40  # MQTT 5.0, 3.4.1
_SHORT = 0x7F  # the largest length in one byte
_MOST_PACKET_ID = 65535
_UNSUPPORTED_PROTOCOL = 0x84  # MQTT 5.0, table 3-1
_REFUSED = {0x85, 0x86, 0x87, 0x8A, 0x8C}  # client id, user name or password, not authorized, banned, method


@dataclass(frozen=True)
class Will:
    """What the broker says for us when we are gone: retained, QoS 1."""

    topic: str
    payload: str


@dataclass(frozen=True)
class Target:
    """Where and how to connect."""

    host: str
    port: int
    client_id: str
    protocol: str = "5"  # "5" or "3.1.1"
    websocket: bool = False
    path: str = "/mqtt"
    tls: ssl.SSLContext | None = None
    username: str | None = None
    password: str | None = None
    keepalive_s: int = 7  # paho notices a dead link after twice this
    session_expiry_s: int = 0  # how long the broker keeps our subscriptions; 0: not at all
    will: Will | None = None

    @property
    def name(self) -> str:
        """`host:port`, for messages."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Opened:
    """What the broker granted."""

    session_present: bool
    window: int  # messages in flight it takes, at most WINDOW
    largest_bytes: int | None  # the largest packet it takes, where it says


class _Gathering(Client):
    """paho's client reading from a buffer and writing into one: one system call each for all that is there."""

    def __init__(self, target: Target) -> None:
        five = target.protocol == "5"
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=target.client_id,
            clean_session=None if five else target.session_expiry_s == 0,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            transport="websockets" if target.websocket else "tcp",
            reconnect_on_failure=False,
        )
        self.incoming = bytearray()
        self.outgoing = bytearray()
        self.alert: ssl.SSLError | None = None  # what TLS had to say when the connection ended
        self.connect_timeout = CONNECT_TIMEOUT_S
        if target.username is not None:
            self.username_pw_set(target.username, target.password)
        if target.tls is not None:
            self.tls_set_context(target.tls)
        if target.websocket:
            self.ws_set_options(path=target.path)
        if target.will is not None:
            delay = _properties(PacketTypes.WILLMESSAGE, WillDelayInterval=WILL_DELAY_S) if five else None
            self.will_set(target.will.topic, target.will.payload, 1, True, delay)

    @property
    def between_packets(self) -> bool:
        """The buffer begins with the first byte of a packet."""
        return self._in_packet["command"] == 0

    def _sock_recv(self, bufsize: int) -> bytes:
        if not self.incoming:
            data = super()._sock_recv(_READ_BYTES)
            if not data:
                return data
            self.incoming += data
        taken = bytes(self.incoming[:bufsize])
        del self.incoming[:bufsize]
        return taken

    def receive(self) -> bool:
        """Take what has arrived; False when the connection is at its end, and paho is to find out."""
        try:
            data = super()._sock_recv(_READ_BYTES)
        except ssl.SSLError as error:
            self.alert = error
            return False
        except OSError:
            return False
        self.incoming += data
        return bool(data)

    def confirmations(self, on_ack: "Acknowledged") -> bool:
        """PUBACKs at the head of what has arrived (MQTT 5.0, 3.4), the bulk of it; all else is paho's to read.

        True when something else is there: paho knows nothing of our packets, so it never gets a piece of a PUBACK.
        """
        incoming = self.incoming
        start = 0
        while start < len(incoming) and self.between_packets and incoming[start] == _PUBACK:
            body, size = _remaining_length(incoming, start + 1)
            if size < 2 or len(incoming) < body + size:
                break
            start = body + size
            on_ack(incoming[body] << 8 | incoming[body + 1], incoming[body + 2] if size > 2 else 0)
        del incoming[:start]
        return bool(incoming) and not (self.between_packets and incoming[0] == _PUBACK)

    def _sock_send(self, buf: bytes | bytearray) -> int:
        self.outgoing += buf
        if buf[0] == _DISCONNECT:  # paho closes the socket right after
            self.send_gathered()
        return len(buf)

    def send_gathered(self) -> bool:
        """Send what was gathered; True when all of it went."""
        try:
            while self.outgoing:
                del self.outgoing[: super()._sock_send(self.outgoing)]
        except BlockingIOError:
            return False
        except OSError:  # the reader hears of it too, and says why
            self.outgoing.clear()
        return True


def _properties(packet: int, **values: object) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]  # paho leaves it untyped
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def _payload(content_type: str) -> bytes:
    """PUBLISH properties as they go on the wire: content type, and that the payload is UTF-8 text."""
    packed = _properties(PacketTypes.PUBLISH, ContentType=content_type, PayloadFormatIndicator=1).pack()  # type: ignore[no-untyped-call]
    return bytes(packed)


CLOUD_EVENT = _payload("application/cloudevents+json; charset=utf-8")
JSON = _payload("application/json")
Acknowledged = Callable[[int, int], None]  # packet id, reason code (0x80 and above: refused)


class Session:
    """`async with Session(target, on_ack) as session`: connected inside the block; `session.lost` when it ended."""

    def __init__(self, target: Target, on_ack: Acknowledged) -> None:
        self.target = target
        self.on_ack = on_ack
        self.on_turn: Callable[[], None] = lambda: None  # after everything that arrived was handled
        self._client = _Gathering(target)
        self._five = target.protocol == "5"
        self._packet_id = 0
        self._socket: socket.socket | None = None
        self._writing = False

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[Text] = self._loop.create_future()
        self._connack: asyncio.Future[Opened] = self._loop.create_future()
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_socket_close = self._detach
        connecting = _in_its_own_thread(self._loop, self._connect)
        try:
            await asyncio.shield(connecting)
            self._attach()
            async with asyncio.timeout(CONNACK_TIMEOUT_S):
                self.opened = await self._connack
        except (OSError, ValueError, TimeoutError) as error:
            self._abandon()
            raise link_error(self.target, error) from error
        except BaseException:
            connecting.add_done_callback(lambda _: self._abandon())
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.lost.done():
            self.flush()
            self._client.disconnect()
        self._abandon()

    def publish(self, topic: bytes, payload: bytes, properties: bytes, *, retain: bool = False) -> int:
        """Queue a QoS 1 message (MQTT 5.0, 3.3); returns its packet id. It leaves with the next `flush()`."""
        self._packet_id = packet_id = self._packet_id % _MOST_PACKET_ID + 1
        head = len(topic).to_bytes(2, "big") + topic + packet_id.to_bytes(2, "big")
        if self._five:
            head += properties
        self._client.outgoing += (b"\x33" if retain else b"\x32") + _length(len(head) + len(payload)) + head + payload
        return packet_id

    def flush(self) -> None:
        """Send what was queued."""
        self._client.loop_write()
        if self._client.send_gathered():
            if self._writing and self._socket is not None:
                self._loop.remove_writer(self._socket)
                self._writing = False
        elif not self._writing and self._socket is not None:
            self._loop.add_writer(self._socket, self.flush)
            self._writing = True

    def give_up(self, why: Text) -> None:
        """The link is dead, whatever TCP says: `lost` is done now."""
        self._end(why)
        self._abandon()

    # connecting

    def _connect(self) -> None:
        target = self.target
        if target.protocol == "5":
            expiry_s = max(target.session_expiry_s, WILL_DELAY_S)
            properties = _properties(PacketTypes.CONNECT, SessionExpiryInterval=expiry_s)
            fresh = target.session_expiry_s == 0
            self._client.connect(target.host, target.port, target.keepalive_s, clean_start=fresh, properties=properties)
        else:
            self._client.connect(target.host, target.port, target.keepalive_s)

    def _attach(self) -> None:
        self._socket = self._client.socket()  # type: ignore[assignment]  # or paho's wrapper of it
        if self._socket is None:
            raise ConnectionError("closed at once")
        self._loop.add_reader(self._socket, self._readable)
        self._tick = self._loop.call_later(1.0, self._each_second)
        self.flush()

    def _detach(self, *_: object) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._tick.cancel()
            self._socket = None

    def _abandon(self) -> None:
        self._detach()
        raw = self._client.socket()
        if raw is not None:
            raw.close()
        self._end(Text("closed", "已关闭"))

    # running

    def _readable(self) -> None:
        if self._socket is None:
            return
        if self._client.receive():
            while self._client.confirmations(self.on_ack) and self._socket is not None:
                self._client.loop_read()
        else:
            self._client.loop_read()
        self.on_turn()
        self.flush()
        pending = getattr(self._socket, "pending", None)  # TLS and WebSockets may hold more than the socket shows
        if pending is not None and pending():
            self._loop.call_soon(self._readable)

    def _each_second(self) -> None:
        self._tick = self._loop.call_later(1.0, self._each_second)
        self._client.loop_misc()
        self.flush()

    def _end(self, why: Text) -> None:
        if not self.lost.done():
            self.lost.set_result(why)
        if not self._connack.done():
            self._connack.set_exception(self._client.alert or ConnectionResetError())
            self._connack.exception()

    # paho's callbacks, all called from the loop

    def _on_connect(
        self, _client: Client, _data: object, flags: ConnectFlags, reason: ReasonCode, granted: Properties | None
    ) -> None:
        if reason.is_failure:
            self._connack.set_exception(_refusal(self.target, reason))
            return
        window = getattr(granted, "ReceiveMaximum", WINDOW)
        self._connack.set_result(
            Opened(flags.session_present, min(WINDOW, window), getattr(granted, "MaximumPacketSize", None))
        )

    def _on_disconnect(
        self, _client: Client, _data: object, flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        who = Text("the broker closed the connection", "服务器关闭了连接")
        if not flags.is_disconnect_packet_from_server:
            who = Text("the connection broke", "连接中断")
        self._end(Text(f"{who.en} ({reason})", f"{who.zh}({reason})"))


class _HandedOver:
    """What a block in another thread ends with, its error or nothing, is handed over to the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.done: asyncio.Future[None] = loop.create_future()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end, error)
        return True

    def _end(self, error: BaseException | None) -> None:
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


def _in_its_own_thread(loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> "asyncio.Future[None]":
    """A thread for this alone: where it hangs (a name server, a firewall) no other waits for it, nor does the end."""
    handed_over = _HandedOver(loop)

    def run() -> None:
        with handed_over:
            work()

    threading.Thread(target=run, name="connecting", daemon=True).start()
    return handed_over.done


def _remaining_length(packet: bytearray, at: int) -> tuple[int, int]:
    """Where what it counts begins, and the variable byte integer (MQTT 5.0, 1.5.5) at `at`; (…, 0): not all there."""
    size = shift = 0
    while at < len(packet):
        size |= (packet[at] & _SHORT) << shift
        if packet[at] <= _SHORT:
            return at + 1, size
        at, shift = at + 1, shift + 7
    return at, 0


def _length(number: int) -> bytes:
    """Variable byte integer (MQTT 5.0, 1.5.5)."""
    encoded = bytearray()
    while number > _SHORT:
        encoded.append(number & _SHORT | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def link_error(target: Target, error: Exception) -> LinkError:
    """What connecting failed with, as our own error: where, why, what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message or str(error)
        return LinkRefused(
            target.name,
            Text(f"the broker's certificate is not accepted: {why}", f"不接受服务器证书:{why}"),
            Text("check tls.ca, the host name and the clock", "请检查 tls.ca、主机名和本机时间"),
        )
    if isinstance(error, ssl.SSLError):
        return LinkRefused(
            target.name,
            Text(f"no TLS connection: {error}", f"无法建立 TLS 连接:{error}"),
            Text(
                "check that the port speaks TLS, and tls.cert and tls.key",
                "请检查端口是否为 TLS,以及 tls.cert 和 tls.key",
            ),
        )
    if isinstance(error, socket.gaierror):
        return LinkError(
            target.name,
            Text("the host name is not known", "无法解析主机名"),
            Text("check url and the DNS server", "请检查 url 和 DNS 服务器"),
        )
    if isinstance(error, TimeoutError):
        return LinkError(
            target.name,
            Text("no answer", "没有应答"),
            Text("check the address, the network and the firewall", "请检查地址、网络和防火墙"),
        )
    if isinstance(error, ConnectionResetError):
        return LinkError(
            target.name,
            Text("the connection was closed before an answer came", "对方未应答就关闭了连接"),
            Text("check the port: one with TLS needs mqtts:// or wss://", "请检查端口:TLS 端口须用 mqtts:// 或 wss://")
            if target.tls is None
            else Text("check that the port is right and speaks TLS", "请检查端口是否正确、是否使用 TLS"),
        )
    return LinkError(
        target.name,
        Text(f"no connection: {error}", f"无法连接:{error}"),
        Text("check that the broker runs there and the port is right", "请检查服务器是否运行、端口是否正确"),
    )


def _refusal(target: Target, reason: ReasonCode) -> LinkError:
    what = Text(f"the broker refuses: {reason}", f"服务器拒绝:{reason}")
    if reason.value == _UNSUPPORTED_PROTOCOL:
        return ProtocolRefused(target.name, what, Text('set protocol: "3.1.1"', '请设置 protocol: "3.1.1"'))
    if reason.value in _REFUSED:
        return LinkRefused(
            target.name, what, Text("check username, password and client_id", "请检查 username、password 和 client_id")
        )
    return LinkError(target.name, what, Text("it is tried again", "将自动重试"))
