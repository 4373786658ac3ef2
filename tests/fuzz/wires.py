"""What comes over the devices' wires: each driver's `decode`, and the finders of frames, in whatever pieces."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any

from drivers._alert import read as read_alert
from drivers._gb26875_frame import MOST_FRAME_BYTES, Framer
from drivers._http import Reply
from drivers._isapi_access import of_memory
from drivers._isapi_history import NoMemory, page
from drivers._isapi_hosts import PATH as HOSTS
from drivers._isapi_push import Body
from drivers._modbus_pdu import Refused, Silent, checked, reading
from drivers._modbus_rtu import Sieve, reply_in
from drivers._modbus_tcp import TcpClient
from drivers._modbus_values import Block
from drivers._modbus_wire import words_of
from drivers._mqtt_config import Config as HubConfig
from drivers._mqtt_hub import Hub
from drivers._multipart import MAX_DOCUMENT_BYTES, Parts
from drivers._onvif_soap import MOST_REFERENCE_BYTES, first, path_of, place_of, utc_of
from drivers._onvif_soap import parse as parse_soap
from drivers._onvif_station import profiles_in, relays_in, services_in
from drivers._osdp_wire import packets, parse, reply_to
from drivers._text_frame import MAX_LINE_BYTES, MAX_LINES
from drivers._text_frame import Framer as TextFramer
from drivers._text_map import load as load_map
from drivers._wiegand_frame import FRAMES, GAP_S, LONGEST, Finder
from drivers._zkteco_orders import results
from gateway.driver import Driver, registry
from gateway.errors import BadInput, Unreachable
from tests.fakes import RecordingLink, link_of
from tests.fuzz.hearing import Pipe
from tests.fuzz.promises import check, promise

Run = Callable[[bytes], object]
SUBSCRIBED = (
    b"<E><Body><R><SubscriptionReference><Address>http://10.0.0.1:80:80/sub</Address><ReferenceParameters><Id>7</Id>"
    b"</ReferenceParameters></SubscriptionReference><CurrentTime>2026-01-02T03:04:05Z</CurrentTime></R></Body></E>"
)
DESCRIBED = (
    b"<E><Body><R><Service><Namespace>http://www.onvif.org/ver10/media/wsdl</Namespace><XAddr>//x/y</XAddr></Service>"
    b'<Profiles token="P"><VideoSourceConfiguration token="C"><SourceToken>V</SourceToken></VideoSourceConfiguration>'
    b'</Profiles><RelayOutputs token="R"/><UTCDateTime><Date><Year>2026</Year></Date></UTCDateTime></R></Body></E>'
)
SEPARATOR = b"\x1e"  # between messages of one input (ASCII: record separator)
ISAPI = {"url": "http://192.0.2.64", "password": "camera-1234"}


@cache
def driver(name: str) -> Driver[Any]:
    """Loaded once."""
    found: Driver[Any] = registry()[name]
    return found


@cache
def configs(name: str) -> tuple[Any, ...]:
    """The devices of a driver's golden frames, each once."""
    found = {json.dumps(example.config, sort_keys=True): example.config for example in driver(name).examples}
    return tuple(made(name, config) for config in found.values())


def made(name: str, config: Mapping[str, Any]) -> Any:
    """A device of this driver."""
    return driver(name).Config.model_validate(
        {"id": "example", "driver": name, "place": "gate", **config}, context={"cards": ()}
    )


def golden(name: str) -> Iterator[bytes]:
    """Its golden frames, each behind the number of its device."""
    devices = configs(name)
    for example in driver(name).examples:
        yield bytes([devices.index(made(name, example.config))]) + example.wire


def decode(name: str, data: bytes) -> None:
    """The first byte picks the device, the rest is the wire. Only BadInput."""
    devices = configs(name)
    try:
        readings = driver(name).decode(devices[data[0] % len(devices)] if data else devices[0], data[1:])
    except BadInput as error:
        promise(error.what.en and error.what.zh, "an error without words")
        error.say("zh").encode("utf-8", "replace")
        return
    check(readings)


def pieces(data: bytes) -> tuple[Sequence[bytes], bytes]:
    """(the rest in pieces of as many bytes as the first byte says, the rest whole)."""
    size, rest = (data[0] or 1, data[1:]) if data else (1, b"")
    return [rest[at : at + size] for at in range(0, len(rest), size)], rest


def gb_frames(data: bytes) -> None:
    """The same frames however it is cut; never more than one frame held."""
    cut, rest = pieces(data)
    framer, whole = Framer(), Framer()
    found = []
    for piece in cut:
        found += list(framer.feed(piece))
        promise(len(framer._buffer) <= MOST_FRAME_BYTES, f"{len(framer._buffer)} bytes held")
    promise(found == list(whole.feed(rest)), "it depends on the pieces")
    while framer.pending:
        list(framer.expire())


def multipart(data: bytes) -> None:
    """The same documents however it is cut; never more than one held."""
    cut, rest = pieces(data)
    parts, whole = Parts("MIME_boundary"), Parts("MIME_boundary")
    found = []
    for piece in cut:
        found += parts.feed(piece)
        promise(parts.held_bytes <= MAX_DOCUMENT_BYTES, "too much held")
    promise(found == whole.feed(rest), "it depends on the pieces")


def push_body(data: bytes) -> None:
    """Every document of a request, as a camera or a terminal says it, comes to readings or to BadInput."""
    body = Body('multipart/form-data; boundary="MIME_boundary"')
    for piece in pieces(data)[0]:
        if not body.feed(piece):
            return
    for document in body.end():
        decode("isapi", b"\x00" + document)


def isapi_answer(data: bytes) -> None:
    """An access controller's memory, and its list of addresses. BadInput, NoMemory, Unreachable."""
    try:
        read_alert("example", data, "HttpHostNotificationList")
        found = page("example", Reply(200, data))
    except (BadInput, NoMemory, Unreachable):
        return
    for entry in found.entries:
        record = of_memory(made("isapi", ISAPI), entry)
        check((*record.told, *record.ends))


def onvif_answer(data: bytes) -> None:
    """What a camera says of itself and of a subscription. Only BadInput; no address leads to another host."""
    try:
        body = parse_soap("example", data)
    except BadInput:
        return
    utc_of(body)
    relays_in(body)
    place = place_of(first(body, "SubscriptionReference"))
    promise(all(len(each) <= MOST_REFERENCE_BYTES for each in place.references), "a large reference parameter")
    paths = [place.path, *map(path_of, services_in(body).values()), *(path_of(p.source) for p in profiles_in(body))]
    promise(all(path[:1] == "/" and path[:2] != "//" for path in paths), "another host's address")


def osdp_packets(data: bytes) -> None:
    """Packets in noise, and the reply to a question of ours."""
    for packet in packets(data):
        parse(packet)
    reply_to(bytes.fromhex("ff530108000460f0b4"), data)


def wiegand_frames(data: bytes) -> None:
    """Every kind of frame, in pieces; no more held than one message."""
    for frame in FRAMES.values():
        finder = Finder(frame, "auto")
        for piece in pieces(data)[0]:
            finder.feed(piece, 0.0)
            promise(len(finder._buffer) <= LONGEST, "too much held")
        finder.feed(b"", GAP_S)


def text_frames(data: bytes) -> None:
    """The same records however it is cut; one record held."""
    cut, rest = pieces(data)
    framer, whole = TextFramer(load_map("gst")), TextFramer(load_map("gst"))
    found = []
    for piece in cut:
        found += framer.feed(piece)
        promise(len(framer._line) <= MAX_LINE_BYTES and len(framer._lines) <= MAX_LINES, "too much held")
    promise(found + framer.idle() == whole.feed(rest) + whole.idle(), "it depends on the pieces")


def modbus_rtu(data: bytes) -> None:
    """The reply to a read or a write in whatever comes back."""
    requests = (bytes.fromhex("010300000002c40b"), bytes.fromhex("0105000aff00ac38"), bytes.fromhex("01020000000879cc"))
    for request in requests:
        sieve = Sieve()
        sieve.asks(request)
        reply = sieve.hears(data)
        promise(reply == b"" or reply in data, "a reply that nobody sent")
        reply_in(request, data)
    try:
        words_of(data, [Block(3, 0, 2), Block(2, 0, 8)])
    except Refused:
        return


async def modbus_tcp(data: bytes) -> None:
    """An answer over TCP: words, or Silent, Refused, OSError; never more than one answer held."""
    client = TcpClient("192.0.2.40", 502)
    pipe = Pipe(client, ("192.0.2.40", 502))
    client.connection_made(pipe)
    block = Block(3, 0, 2)
    asking = asyncio.ensure_future(client.ask(1, reading(block)))
    asyncio.get_running_loop().call_soon(client.data_received, data)
    asyncio.get_running_loop().call_soon(pipe.close)
    try:
        promise(len(block.unpack(checked(reading(block), await asking)[2:])) == 2, "not as many words as asked for")
    except (Silent, Refused, OSError):
        promise(len(client._buffer) <= max(len(data), 260), "too much held")


@cache
def _hubs() -> tuple[tuple[HubConfig, ...], ...]:
    url = {"url": "mqtt://127.0.0.1", "username": "gateway"}
    return tuple(
        (made("mqtt_in", url | {"profile": profile}), _sensor(profile))
        for profile in ("zigbee2mqtt", "frigate", "chirpstack", "tasmota", "shelly")
    )


def _sensor(profile: str) -> Any:
    behind = {"id": "sensor", "driver": "mqtt_in", "hub": "example", "place": "gate", "address": "sensor"}
    return driver("mqtt_in").Config.model_validate(behind, context={"cards": ()})


def mqtt_hub(data: bytes) -> None:
    """First byte: which hub, retained or not; then messages: topic, newline, payload. Nothing is raised."""
    first, messages = (data[0], data[1:].split(SEPARATOR)) if data else (0, [])
    hub = Hub(_hubs()[first % len(_hubs())], link_of(RecordingLink()))
    batch = hub.batch()
    for message in messages:
        topic, _, payload = message.partition(b"\n")
        hub.waits(topic.decode("utf-8", "replace"))
        hub.take(batch, topic.decode("utf-8", "replace"), payload, bool(first & 0x80))
    check((*batch.urgent, *batch.samples))
    hub.directory.finds.text().encode()


def zkteco_results(data: bytes) -> None:
    """What a terminal says became of commands."""
    for number, returned in results(data.decode("utf-8", "replace")):
        promise(number >= 0 and abs(returned) < 10**12, "no number of a terminal")


ALERT = next(golden("isapi"))[1:]
STREAM = b"\x07--MIME_boundary\r\nContent-Type: application/xml\r\n\r\n" + ALERT + b"\r\n--MIME_boundary--\r\n"
MEMORY = (
    b'{"AcsEvent": {"searchID": "1", "responseStatusStrg": "OK", "numOfMatches": 1, "totalMatches": 1, "InfoList": '
    b'[{"major": 5, "minor": 75, "time": "2026-11-23T18:06:19+08:00", "cardNo": "12345", "serialNo": 7, "doorNo": 1}]}}'
)
FRAMING: dict[str, tuple[Run, list[bytes]]] = {
    "frames-gb26875": (gb_frames, [b"\x05" + frame[1:] for frame in golden("gb26875")][:8]),
    "frames-isapi": (
        multipart,
        [STREAM, b"\x40--b\r\nContent-Length: 3\r\nContent-Type: image/jpeg\r\n\r\nabc\r\n--b\r\n"],
    ),
    "isapi-push": (push_body, [STREAM, b"\x09" + ALERT]),
    "onvif-answers": (onvif_answer, [SUBSCRIBED, DESCRIBED]),
    "isapi-answers": (
        isapi_answer,
        [MEMORY, f"<HttpHostNotificationList><id>{HOSTS}</id></HttpHostNotificationList>".encode()],
    ),
    "frames-osdp": (osdp_packets, [frame[1:] for frame in golden("osdp")][:6]),
    "frames-wiegand": (wiegand_frames, [b"\x03" + frame[1:] for frame in golden("wiegand")][:6]),
    "frames-serial_text": (text_frames, [b"\x0b" + frame[1:] for frame in golden("serial_text")][:4]),
    "frames-modbus": (modbus_rtu, [bytes.fromhex("010304000100026a33"), bytes.fromhex("018302c0f1")]),
    "modbus-tcp": (modbus_tcp, [bytes.fromhex("00010000000701030400010002"), bytes.fromhex("000100000003018302")]),
    "mqtt_in-hub": (
        mqtt_hub,
        [b"\x00" + frame[1:] + SEPARATOR + b"zigbee2mqtt/sensor/availability\n{}" for frame in golden("mqtt_in")][:8],
    ),
    "zkteco-results": (zkteco_results, [b"ID=1&Return=0&CMD=CONTROL\nID=2&Return=-14&CMD=CONTROL"]),
}
DECODING: dict[str, tuple[Run, list[bytes]]] = {
    f"decode-{name}": (partial(decode, name), list(golden(name))) for name in registry()
}
