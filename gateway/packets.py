"""What stands in an MQTT packet, where paho is not asked for it (docs/decisions/0002): messages, lengths."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PUBLISH = 0x30  # MQTT 5.0, 3.3.1; the lower half byte: DUP, QoS, RETAIN
PUBACK = 0x40  # MQTT 5.0, 3.4.1
_SHORT = 0x7F  # the largest length in one byte
_MOST_SHIFT = 28  # bits: four bytes of seven
_MESSAGE_BYTES = 512  # what a message takes in memory beside its payload


@dataclass(frozen=True)
class Message:
    """What came on a subscription. `done()` acknowledges it: until then the broker keeps it, and sends it again."""

    topic: str
    payload: bytes
    retained: bool = False
    again: bool = False  # the broker has sent it before, without hearing that it is done (DUP; MQTT 5.0, 3.3.1.1)
    response_topic: str | None = None
    correlation: bytes | None = None
    done: Callable[[], object] = field(default=lambda: None)
    id: bytes = b""  # of the packet, the same when it comes again; none with QoS 0: there is nothing to acknowledge


class Waiting(asyncio.Queue[Message]):
    """Messages that nobody has taken yet, and how much memory they hold."""

    size_bytes = 0

    def _put(self, item: Message) -> None:
        self.size_bytes += len(item.payload) + _MESSAGE_BYTES
        super()._put(item)

    def _get(self) -> Message:
        item = super()._get()
        self.size_bytes -= len(item.payload) + _MESSAGE_BYTES
        return item


def properties_of(packet: int, **values: object) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]  # paho leaves it untyped
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def properties(content_type: str, correlation: bytes | None = None) -> bytes:
    """PUBLISH properties as they go on the wire: content type, that the payload is UTF-8 text, correlation data."""
    made = properties_of(PacketTypes.PUBLISH, ContentType=content_type, PayloadFormatIndicator=1)
    if correlation is not None:
        made.CorrelationData = correlation
    return bytes(made.pack())  # type: ignore[no-untyped-call]


CLOUD_EVENT = properties("application/cloudevents+json; charset=utf-8")
JSON = properties("application/json")


def remaining_length(packet: bytearray, at: int) -> tuple[int, int]:
    """Where what it counts begins, and the variable byte integer (MQTT 5.0, 1.5.5) at `at`; (…, 0): not all there.

    (…, -1): it is none, as it goes on after its fourth byte.
    """
    size = shift = 0
    while at < len(packet) and shift < _MOST_SHIFT:
        size |= (packet[at] & _SHORT) << shift
        if packet[at] <= _SHORT:
            return at + 1, size
        at, shift = at + 1, shift + 7
    return at, 0 if shift < _MOST_SHIFT else -1


def length_of(number: int) -> bytes:
    """Variable byte integer (MQTT 5.0, 1.5.5)."""
    encoded = bytearray()
    while number > _SHORT:
        encoded.append(number & _SHORT | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
