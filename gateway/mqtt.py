"""One MQTT connection under asyncio, on paho-mqtt: connecting, TLS, WebSockets, keepalive and framing are paho's.

The connection is used once: when it is lost, `lost` is done and everything in flight is unknown. What was confirmed is
the outbox's to remember, not the client library's: so QoS 1 PUBLISH and its PUBACK, with the reason code, are encoded
here (docs/decisions/0002), and so are QoS 0 and 1 PUBLISH that come in, and our PUBACKs. System calls are gathered:
one read takes all that has arrived, one write sends all that was published since the last `flush()`. Whoever takes
messages too slowly is not buried: the socket is not read while MOST_WAITING_BYTES of them wait.
"""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.errors import Text
from gateway.packets import (
    CLOUD_EVENT,
    JSON,
    PUBACK,
    PUBLISH,
    Message,
    Waiting,
    length_of,
    properties,
    properties_of,
    remaining_length,
)
from gateway.peer import Target, Will, link_error, refusal

__all__ = ["CLOUD_EVENT", "JSON", "Message", "Opened", "Session", "Target", "Will", "properties"]
CONNECT_TIMEOUT_S = 5.0  # TCP, and again TLS
CONNACK_TIMEOUT_S = 5.0
WINDOW = 64  # messages in flight at most; a broker's Receive Maximum may say less
WILL_DELAY_S = 60  # contract, section 2
MOST_WAITING_BYTES = 4 * 2**20  # of messages that nobody has taken yet
_READ_BYTES = 65536
_DISCONNECT = 0xE0  # MQTT 5.0, 3.14.1
_PUBLISH = 0x32  # MQTT 5.0, 3.3.1: with QoS 1; and RETAIN is 1
_DUP = 0x08
_MOST_PACKET_ID = 65535


@dataclass(frozen=True)
class Opened:
    """What the broker granted."""

    session_present: bool
    window: int  # messages in flight it takes, at most WINDOW
    largest_bytes: int | None  # the largest packet it takes, where it says


class _Gathering(Client):
    """paho's client reading from a buffer and writing into one: one system call each for all that is there."""

    def __init__(self, target: Target, after: int) -> None:
        five = target.protocol == "5"
        self._after_id = 1 if five else 0  # bytes of an empty property list (MQTT 5.0, 2.2.2)
        self._largest_bytes = target.largest_bytes
        self._skip_bytes = 0  # of a message that is larger
        self._retained_again = target.retained_again
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=target.client_id,
            clean_session=None if five else target.session_expiry_s == 0,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            transport="websockets" if target.websocket else "tcp",
            reconnect_on_failure=False,
            manual_ack=True,
        )
        self.incoming = bytearray()
        self.outgoing = bytearray()
        self.alert: ssl.SSLError | None = None  # what TLS had to say when the connection ended
        self.connect_timeout = CONNECT_TIMEOUT_S
        self._last_mid = after
        if target.username is not None:
            self.username_pw_set(target.username, target.password)
        if target.tls is not None:
            self.tls_set_context(target.tls)
        if target.websocket:
            self.ws_set_options(path=target.path)
        if target.will is not None:
            delay = properties_of(PacketTypes.WILLMESSAGE, WillDelayInterval=WILL_DELAY_S) if five else None
            self.will_set(target.will.topic, target.will.payload, 1, True, delay)

    def subscribe_to(self, topics: Sequence[str]) -> int:
        """Ask for messages, at QoS 1, and to be told which were retained; returns the packet id this takes."""
        if self._protocol == MQTTProtocolVersion.MQTTv5:
            new = SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE, SubscribeOptions.RETAIN_SEND_IF_NEW_SUB
            # retained as published would not tell what is retained from what happens now
            options = SubscribeOptions(
                qos=1, retainAsPublished=not self._retained_again, retainHandling=new[not self._retained_again]
            )
            _, packet_id = self.subscribe([(topic, options) for topic in topics])
        else:
            _, packet_id = self.subscribe([(topic, 1) for topic in topics])
        return packet_id or 0

    def message(self, heard: MQTTMessage) -> Message:
        """As the rest of the house sees it."""
        told = vars(heard.properties) if heard.properties is not None else {}  # paho sets them by name
        return Message(
            topic=heard.topic,
            payload=bytes(heard.payload),
            retained=heard.retain,
            again=heard.dup,
            response_topic=told.get("ResponseTopic"),
            correlation=told.get("CorrelationData"),
            done=lambda: self.ack(heard.mid, heard.qos),
            id=heard.mid.to_bytes(2, "big") if heard.qos else b"",
        )

    def excuse(self) -> None:
        """Expect no PINGRESP any more: it stands in line behind what else the broker has to answer."""
        self._ping_t = 0.0

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
        skipped = min(self._skip_bytes, len(data))
        self._skip_bytes -= skipped
        self.incoming += data[skipped:] if skipped else data
        return bool(data)

    def ours(self, on_ack: "Acknowledged", on_message: Callable[[Message], object]) -> bool:
        """PUBACKs (MQTT 5.0, 3.4) and messages (3.3) at the head of what has arrived, the bulk of it.

        True when something else is there, for paho to read: it never gets a piece of what is read here.
        """
        incoming = self.incoming
        start, rest = 0, False
        while start < len(incoming):
            kind = incoming[start] & 0xF0
            body, size = remaining_length(incoming, start + 1)
            if not self.between_packets or kind not in (PUBACK, PUBLISH) or size < 0:  # paho ends it where it is none
                rest = True
                break
            if size < 2 or len(incoming) < body + size:
                start = self._too_large(start, body, size) if kind == PUBLISH else start
                break
            if kind == PUBACK:
                on_ack(incoming[body] << 8 | incoming[body + 1], incoming[body + 2] if size > 2 else 0)
            elif (message := self._plain(incoming[start], body, body + size)) is not None:
                on_message(message)
            else:
                rest = True
                break
            start = body + size
        del incoming[:start]
        return rest

    def _plain(self, flags: int, body: int, end: int) -> Message | None:
        """A message without properties (MQTT 5.0, 3.3.2); None: paho is to read it."""
        incoming = self.incoming
        topic = body + 2 + (incoming[body] << 8 | incoming[body + 1])
        qos = flags >> 1 & 3
        start = topic + (2 if qos else 0) + self._after_id
        if start > end or qos > 1 or (self._after_id and incoming[start - 1]):
            return None
        try:
            name = incoming[body + 2 : topic].decode()
        except UnicodeDecodeError:
            return None
        packet_id = bytes(incoming[topic : topic + 2]) if qos else b""
        done = partial(self._puback, packet_id) if qos else _nothing
        payload = bytes(memoryview(incoming)[start:end])
        return Message(name, payload, bool(flags & 1), bool(flags & 8), None, None, done, packet_id)

    def _too_large(self, start: int, body: int, size_bytes: int) -> int:
        """Where to go on: behind what is there of a message that we have said we do not take, once its id is there."""
        incoming = self.incoming
        most = self._largest_bytes
        if most is None or size_bytes <= most or len(incoming) < body + 2:
            return start
        topic = body + 2 + (incoming[body] << 8 | incoming[body + 1])
        if len(incoming) < topic + 2:
            return start
        if incoming[start] & 6:
            self._puback(bytes(incoming[topic : topic + 2]))
        self._skip_bytes = body + size_bytes - len(incoming)
        return len(incoming)

    def _puback(self, packet_id: bytes) -> None:
        self.outgoing += b"\x40\x02" + packet_id

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


Acknowledged = Callable[[int, int], None]  # packet id, reason code (0x80 and above: refused)


class Session:
    """`async with Session(target, on_ack) as session`: connected inside the block; `session.lost` when it ended.

    Packet ids go on behind `after`: those before it may still be in use.
    """

    def __init__(self, target: Target, on_ack: Acknowledged, after: int = 0) -> None:
        self.target = target
        self.on_ack = on_ack
        self.on_turn: Callable[[], None] = lambda: None  # after everything that arrived was handled
        self.on_subscribed: Callable[[str | None], None] = lambda _: None  # why the broker refuses it, or None
        self.expecting: Callable[[], object] = lambda: False  # is a PUBACK on its way? Then who waits for it decides
        self.messages = Waiting()  # on the subscription; each is to be `done()`
        self.subscribed = asyncio.Event()  # the broker has answered to the subscription
        self.refusals: list[str] = []  # why it refuses it
        self.closing: int | None = None  # the reason code the broker ended it with, 0x80 where it gave none
        self._client = _Gathering(target, after)
        self._five = target.protocol == "5"
        self._packet_id = after
        self._socket: socket.socket | None = None
        self._writing = False
        self._paused = False  # more than MOST_WAITING_BYTES wait

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[Text] = self._loop.create_future()
        self._connack: asyncio.Future[Opened] = self._loop.create_future()
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_socket_close = self._detach
        self._client.on_message = lambda *told: self.messages.put_nowait(self._client.message(told[2]))
        self._client.on_subscribe = lambda *told: _answered(self, told[3])
        connecting = _in_its_own_thread(self._loop, self._connect)
        try:
            await asyncio.shield(connecting)
            self._attach()
            async with asyncio.timeout(CONNACK_TIMEOUT_S):
                self.opened = await self._connack
            if self.target.subscribe:
                self._packet_id = self._client.subscribe_to(self.target.subscribe)
                self.flush()
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

    def publish(
        self, topic: bytes, payload: bytes, properties: bytes, *, retain: bool = False, again: int | None = None
    ) -> int | None:
        """Queue a QoS 1 message (MQTT 5.0, 3.3); returns its packet id. It leaves with the next `flush()`.

        `again`: its packet id, of a connection before this one. None: nothing is queued, the broker takes no packet so
        large (MQTT 5.0, 3.2.2.3.6).
        """
        packet_id = again or self._packet_id % _MOST_PACKET_ID + 1
        head = len(topic).to_bytes(2, "big") + topic + packet_id.to_bytes(2, "big")
        if self._five:
            head += properties
        start = bytes((_PUBLISH | (again is not None and _DUP) | retain,)) + length_of(len(head) + len(payload))
        largest_bytes = self.opened.largest_bytes
        if largest_bytes is not None and len(start) + len(head) + len(payload) > largest_bytes:
            return None
        if again is None:
            self._packet_id = packet_id
        self._client.outgoing += start + head + payload
        return packet_id

    def flush(self) -> None:
        """Send what was queued, and read on where the one who takes messages has caught up."""
        if self._paused and self.messages.size_bytes < MOST_WAITING_BYTES / 2 and self._socket is not None:
            self._paused = False
            self._loop.add_reader(self._socket, self._readable)
            self._loop.call_soon(self._readable)  # TLS may hold what the socket does not show
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
            most = target.unanswered_messages
            told = properties_of(PacketTypes.CONNECT, SessionExpiryInterval=expiry_s, ReceiveMaximum=most)
            if target.largest_bytes is not None:
                told.MaximumPacketSize = target.largest_bytes
            fresh = target.session_expiry_s == 0
            self._client.connect(target.host, target.port, target.keepalive_s, clean_start=fresh, properties=told)
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
        if self._socket is None or self._paused:
            return
        if self._client.receive():
            while self._client.ours(self.on_ack, self.messages.put_nowait) and self._socket is not None:
                self._client.loop_read()
        else:
            self._client.loop_read()
        self.on_turn()
        if self.messages.size_bytes > MOST_WAITING_BYTES and self._socket is not None:
            self._paused = True
            self._loop.remove_reader(self._socket)
        self.flush()
        pending = getattr(self._socket, "pending", None)  # TLS and WebSockets may hold more than the socket shows
        if pending is not None and pending():
            self._loop.call_soon(self._readable)

    def _each_second(self) -> None:
        self._tick = self._loop.call_later(1.0, self._each_second)
        if self.expecting():
            self._client.excuse()
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
            self._connack.set_exception(refusal(self.target, reason))
            return
        window = getattr(granted, "ReceiveMaximum", WINDOW)
        self._connack.set_result(
            Opened(flags.session_present, min(WINDOW, window), getattr(granted, "MaximumPacketSize", None))
        )

    def _on_disconnect(
        self, _client: Client, _data: object, flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self.closing = reason.value
        who = Text("the broker closed the connection", "服务器关闭了连接")
        if not flags.is_disconnect_packet_from_server:
            who = Text("the connection broke", "连接中断")
        self._end(Text(f"{who.en} ({reason})", f"{who.zh}({reason})"))


def _nothing() -> None:
    """Nothing is to be acknowledged."""


def _answered(session: Session, reasons: Sequence[ReasonCode]) -> None:
    """SUBACK (MQTT 5.0, 3.9)."""
    session.refusals += [str(reason) for reason in reasons if reason.is_failure]
    session.subscribed.set()
    session.on_subscribed(next(iter(session.refusals), None))


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
