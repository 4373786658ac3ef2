"""ISAPI's wire without sockets: pictures passed over, hostile documents, requests of commands, places to push to."""

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers._alert import parse, read
from drivers._http import Reply
from drivers._isapi_config import Config
from drivers._isapi_hosts import Target, place
from drivers._isapi_orders import order, verdict
from drivers._isapi_push import MAX_DOCUMENTS, MAX_REQUEST_BYTES, Body
from drivers._multipart import MAX_DOCUMENT_BYTES, Document, Dropped, Parts
from drivers.isapi import decode
from drivers.sim.isapi import picture
from gateway.errors import BadInput

XML = b"<EventNotificationAlert><eventType>VMD</eventType></EventNotificationAlert>"
JSON = b'{"eventType": "VMD"}'
FACE = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 2000 + b"\r\n--x\r\n{<"


def config(**more: Any) -> Config:
    base = {"id": "cam", "driver": "isapi", "place": "gate", "url": "http://192.0.2.10", "password": "secret"}
    return Config.model_validate(base | more)


# --- pictures


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Type: image/jpeg",
        b'Content-Disposition: form-data; name="Picture"; filename="face.JPG"',
        b'Content-Disposition: form-data; name="Picture"',
        b"Content-Type: application/json",  # it lies
        b"X-Nothing: at all",
    ],
)
@pytest.mark.parametrize("step", [1000, 700_000])
def test_a_face_is_passed_over_whatever_its_header_says_and_never_held(header: bytes, step: int) -> None:
    stream = b"--b\r\n" + header + b"\r\n\r\n" + FACE + b"\r\n--b\r\n\r\n" + JSON + b"\r\n--b--\r\n"
    parts, found, most = Parts("b"), [], 0
    for begin in range(0, len(stream), step):
        found += parts.feed(stream[begin : begin + step])
        most = max(most, parts.held_bytes)
    assert found == [Dropped("picture"), Document(JSON)]
    assert most < 1024


def test_a_picture_by_its_name_is_none_that_looks_like_a_document() -> None:
    stream = b'--b\r\nContent-Disposition: form-data; name="x"; filename="face.jpg"\r\n\r\n' + XML + b"\r\n"
    assert Parts("b").feed(stream + b"--b\r\n\r\n" + JSON) == [Dropped("picture"), Document(JSON)]


# --- hostile documents


@pytest.mark.parametrize(
    "inner",
    [
        b"<a/>" * 250_000,
        b"<relationEvent>x</relationEvent>" * 7_000,
        b"<a>" * 80_000,
        b"&" * 250_000,
        b"<!---->" * 30_000,
        b"<a " + b"b='c' " * 40_000 + b"/>",
    ],
)
def test_a_document_that_wants_much_work_gets_little(inner: bytes) -> None:
    """What grows with the square of it takes minutes; the first is four times as large as the largest that is read."""
    wire = b"<EventNotificationAlert><eventType>duration</eventType>" + inner + b"</EventNotificationAlert>"
    began_s = time.process_time()
    with suppress(BadInput):
        assert len(decode(config(), wire)) <= 8
    assert time.process_time() - began_s < 5


@pytest.mark.parametrize(
    "prolog",
    [
        b'<!DOCTYPE a [<!ENTITY b "c">]>',
        b'<!DOCTYPE a SYSTEM "http://192.0.2.1/x">',
        b'<!DOCTYPE a [<!ENTITY % b SYSTEM "file:///etc/passwd"> %b;]>',
    ],
)
@pytest.mark.parametrize("root", ["EventNotificationAlert", "ResponseStatus", "AcsEvent"])
def test_no_document_type_and_no_entity(prolog: bytes, root: str) -> None:
    with pytest.raises(BadInput):
        read("cam", prolog + f"<{root}><a>1</a></{root}>".encode(), root)


def test_a_wrapper_holds_a_few_types_of_a_bounded_length() -> None:
    many = {"eventType": "duration", "DurationList": [{"relationEvent": f"type-{n}" * 99} for n in range(99)]}
    types = parse("cam", json.dumps(many).encode()).types
    assert (len(types), max(map(len, types))) == (8, 64)


def test_what_is_repeated_is_a_list() -> None:
    tree = read("cam", b"<L><a>1</a><b>x</b><a>2</a><a><c>3</c></a></L>", "L")
    assert tree == {"a": ["1", "2", {"c": "3"}], "b": "x"}


# --- requests that are pushed


def body(content_type: str, wire: bytes, step: int = 4096) -> list[bytes] | None:
    found = Body(content_type)
    for begin in range(0, len(wire), step):
        if not found.feed(wire[begin : begin + step]):
            return None
    return found.end()


def form(*parts: tuple[bytes, bytes]) -> bytes:
    return b"".join(b"--b\r\n" + head + b"\r\n\r\n" + inner + b"\r\n" for head, inner in parts) + b"--b--\r\n"


EVENT = (b'Content-Disposition: form-data; name="event_log"', JSON)
SHOT = (b'Content-Disposition: form-data; name="Picture"; filename="a.jpg"\r\nContent-Type: image/jpeg', picture())


@pytest.mark.parametrize(
    ("content_type", "wire", "documents"),
    [
        ("application/json", JSON, [JSON]),
        ("application/xml", XML, [XML]),
        ("", b"\xef\xbb\xbf\r\n" + XML, [b"\xef\xbb\xbf\r\n" + XML]),
        ("multipart/form-data; boundary=b", form(EVENT, SHOT), [JSON]),
        ("multipart/form-data; boundary=b", form(SHOT, EVENT), [JSON]),
        ("multipart/form-data", form(EVENT, SHOT), [JSON]),
        ("application/json", form(EVENT), [JSON]),
        ("", b"", []),
        ("", b"   ", []),
        ("image/jpeg", picture(), []),
    ],
)
@pytest.mark.parametrize("step", [1, 4096])
def test_bodies(content_type: str, wire: bytes, documents: list[bytes], step: int) -> None:
    assert body(content_type, wire, step) == documents


@pytest.mark.parametrize(
    "wire",
    [
        b"{" * (MAX_DOCUMENT_BYTES + 1),
        b" " * (MAX_DOCUMENT_BYTES + 1),
        form(*[EVENT] * (MAX_DOCUMENTS + 1)),
    ],
    ids=["one large", "nothing", "many"],
)
def test_more_than_a_device_has_to_say(wire: bytes) -> None:
    assert body("", wire) is None


def test_a_picture_without_end_is_cut_off_and_not_held() -> None:
    found, chunk = Body("multipart/form-data; boundary=b"), bytes(1024 * 1024)
    assert found.feed(form(SHOT)[:-20])
    sent = 0
    while found.feed(chunk):
        sent += len(chunk)
    assert sent <= MAX_REQUEST_BYTES


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(1, 50), st.sampled_from(["", "multipart/form-data; boundary=b", "x"]))
def test_any_body_is_read_the_same_however_it_is_cut(wire: bytes, step: int, content_type: str) -> None:
    assert body(content_type, wire, step) == body(content_type, wire)


# --- commands


@pytest.mark.parametrize(
    ("action", "args", "path", "word"),
    [
        ("unlock", {}, "/ISAPI/AccessControl/RemoteControl/door/2", b"<cmd>open</cmd>"),
        ("lock", {}, "/ISAPI/AccessControl/RemoteControl/door/2", b"<cmd>close</cmd>"),
        ("release", {}, "/ISAPI/AccessControl/RemoteControl/door/2", b"<cmd>alwaysOpen</cmd>"),
        ("lockdown", {}, "/ISAPI/AccessControl/RemoteControl/door/2", b"<cmd>alwaysClose</cmd>"),
        ("output", {"number": 1, "state": True}, "/ISAPI/System/IO/outputs/1/trigger", b">high<"),
        ("output", {"number": 101, "state": "off"}, "/ISAPI/System/IO/outputs/101/trigger", b">low<"),
    ],
)
def test_orders(action: str, args: dict[str, Any], path: str, word: bytes) -> None:
    made = order(action, args, 2)
    assert made.path == path
    assert word in made.body
    assert read("x", made.body, "any")


@pytest.mark.parametrize(
    ("action", "args", "why"),
    [
        ("unlock", {"seconds": 5}, "device's own settings"),
        ("lock", {"x": 1}, "takes no x"),
        ("output", {"number": 0, "state": True}, "1 to"),
        ("output", {"number": True, "state": True}, "1 to"),
        ("output", {"state": True}, "1 to"),
        ("output", {"number": 1, "state": "maybe"}, "true, false"),
        ("output", {"number": 1, "state": True, "seconds": 3}, "delay of its own"),
        ("output", {"number": 1, "state": True, "more": 3}, "1 to"),
    ],
)
def test_orders_that_are_none(action: str, args: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        order(action, args, 1)


@pytest.mark.parametrize(
    ("reply", "code", "said"),
    [
        (Reply(200, b"<R><statusCode>1</statusCode><statusString>OK</statusString></R>"), 1, "OK"),
        (Reply(200, b'{"statusCode": 1, "statusString": "OK"}'), 1, "OK"),
        (Reply(200, b'{"ResponseStatus": {"statusCode": 4, "subStatusCode": "notSupport"}}'), 4, "notSupport"),
        (Reply(403, b'{"statusCode": 4, "statusString": "Invalid Operation"}'), 4, "Invalid Operation"),
        (Reply(200, b""), 1, "HTTP 200"),
        (Reply(500, b"<html>oh</html>"), 0, "HTTP 500"),
        (Reply(503, b"\xff\xd8"), 0, "HTTP 503"),
    ],
)  # fmt: skip
def test_what_a_device_answers(reply: Reply, code: int, said: str) -> None:
    assert verdict("cam", reply) == (code, said)


# --- where it pushes to

TARGET = Target("192.0.2.1", 8082, "/isapi/door/abc", "/isapi/door/")
OURS = {"id": "2", "url": "/isapi/door/abc", "ipAddress": "192.0.2.1", "portNo": "8082"}
EMPTY = {"id": "3", "url": "", "ipAddress": "0.0.0.0", "portNo": "0"}
OTHER = {"id": "1", "url": "/hook", "ipAddress": "192.0.2.99", "portNo": "80"}


def test_our_place_is_known_again() -> None:
    assert TARGET.stands_in(OURS)
    assert TARGET.stands_in(OURS | {"portNo": 8082})
    assert not any(
        TARGET.stands_in(OURS | change) for change in ({"url": "/x"}, {"ipAddress": "192.0.2.2"}, {"portNo": "1"})
    )


@pytest.mark.parametrize(
    ("slots", "number"),
    [
        ([OTHER, EMPTY], "3"),
        ([EMPTY, OURS | {"url": "/isapi/door/of-an-earlier-run"}], "2"),
        ([OTHER], None),
        ([OTHER | {"hostName": "", "id": "7"}, EMPTY | {"id": ""}], None),
        ([{"id": "4", "addressingFormatType": "hostname", "hostName": "hub.example", "url": "/"}], None),
        ([], None),
    ],
)
def test_no_place_of_anybody_else_is_taken(slots: list[dict[str, Any]], number: str | None) -> None:
    assert place(slots, TARGET) == number


@pytest.mark.parametrize(("host", "field"), [("192.0.2.1", "ipAddress"), ("gw.example", "hostName")])
def test_a_place_as_it_is_set_is_known_again(host: str, field: str) -> None:
    target = Target(host, 8082, "/isapi/door/abc", "/isapi/door/")
    slot = read("x", target.body("2", ""), "any")
    assert slot[field] == host
    assert target.stands_in(slot)


# --- configuration


@pytest.mark.parametrize(
    ("more", "peer", "allowed"),
    [
        ({}, "192.0.2.10", True),
        ({}, "::ffff:192.0.2.10", True),
        ({}, "192.0.2.11", False),
        ({}, "nonsense", False),
        ({"allow": ["192.0.2.0/24"]}, "192.0.2.77", True),
        ({"allow": ["192.0.2.0/24"]}, "198.51.100.1", False),
        ({"url": "http://cam.example"}, "198.51.100.1", True),
        ({"url": "http://[2001:db8::1]"}, "2001:db8::1", True),
    ],
)
def test_who_may_push(more: dict[str, Any], peer: str, allowed: bool) -> None:
    made = config(listen="127.0.0.1:8082", **more)
    assert made.allows(peer) is allowed
    assert bool(made.advice()) is (more == {"url": "http://cam.example"})


@pytest.mark.parametrize(
    "more",
    [
        {"path": "/long-enough-and-random"},
        {"callback": "192.0.2.1:80"},
        {"allow": ["192.0.2.1"]},
        {"listen": "127.0.0.1:8082", "path": "/short"},
        {"listen": "127.0.0.1:8082", "path": "no-slash-but-long-enough"},
        {"listen": "127.0.0.1:8082", "allow": ["x"]},
        {"door": 0},
    ],
)
def test_what_cannot_work_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        config(**more)
