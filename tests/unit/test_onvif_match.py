"""What devices tell of themselves in WS-Discovery: rubbish, foreign devices, wrong addresses, shared endpoints."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers._onvif_match import MOST_BYTES, MOST_MATCHES, Known, Match, finds, matches, places
from drivers.sim._discovery import Announced
from gateway.driver import Found

SENDER = "192.0.2.17"
GOOD = Announced(("http://192.0.2.17/onvif/device_service",), ("onvif://www.onvif.org/name/cam",))


def told(*xaddrs: str) -> Match:
    return Match("urn:uuid:1", ("NetworkVideoTransmitter",), (), xaddrs)


def found(announced: Announced, sender: str = SENDER) -> list[Found]:
    return list(finds(announced.matches("urn:uuid:2"), sender, Known()))


@given(st.binary(max_size=600))
def test_rubbish_is_passed_over(datagram: bytes) -> None:
    assert matches(datagram) == []


@given(st.data())
def test_damaged_answers_never_raise(data: st.DataObject) -> None:
    whole = bytearray(GOOD.matches("urn:uuid:2"))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place : place + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=8))
    for each in finds(bytes(whole), SENDER, Known()):
        assert each.device["url"].startswith("http")


@settings(max_examples=40)
@given(st.lists(st.text(max_size=40), max_size=5), st.lists(st.text(max_size=40), max_size=5))
def test_any_addresses_and_scopes_come_to_something_that_can_be_written_down(
    xaddrs: list[str], names: list[str]
) -> None:
    scopes = tuple(f"onvif://www.onvif.org/name/{name}" for name in names)
    match = Match("", ("NetworkVideoTransmitter",), scopes, tuple(xaddrs))
    best = places(match, SENDER)[0]
    assert best.url.startswith(("http://", "https://"))
    assert best.host
    assert match.scope("name").isprintable()


def test_too_large_and_too_many() -> None:
    one = GOOD.matches("urn:uuid:2")
    assert len(matches(one)) == 1
    assert matches(one.replace(b"<e:Header>", b"<e:Header>" + b" " * MOST_BYTES)) == []
    begin, end = one.index(b"<d:ProbeMatch>"), one.index(b"</d:ProbeMatches>")
    many = one[:begin] + one[begin:end] * 3 + one[end:]
    assert len(matches(many)) == 3
    small = b"<d:ProbeMatch><d:Types>x:NetworkVideoTransmitter</d:Types></d:ProbeMatch>"
    assert len(matches(one[:begin] + small * 200 + one[end:])) == MOST_MATCHES


def test_entities_are_refused() -> None:
    bomb = b'<!DOCTYPE e [<!ENTITY x "y">]>' + GOOD.matches("urn:uuid:2").partition(b"?>")[2].replace(b"cam", b"&x;")
    assert matches(bomb) == []


@pytest.mark.parametrize(
    ("xaddrs", "url"),
    [
        (("http://192.0.2.17/onvif/device_service",), "http://192.0.2.17"),
        (("http://192.0.2.17:8899/onvif/device_service",), "http://192.0.2.17:8899"),
        (("http://[fe80::1]/x", "http://169.254.7.7/x", "http://192.0.2.17/x"), "http://192.0.2.17"),
        (("http://10.0.0.9/x", "http://192.0.2.17:81/x"), "http://192.0.2.17:81"),  # two networks: ours
        (("http://10.0.0.9/x",), "http://10.0.0.9"),  # it answered through something else
        (("http://169.254.7.7:88/x",), "http://192.0.2.17:88"),  # an old address of its own
        (("http://0.0.0.0:80/x",), "http://192.0.2.17"),
        (("https://[2001:db8::1]:8443/x",), "https://192.0.2.17:8443"),
        (("http://192.0.2.17:80:80/x", "ftp://192.0.2.17/", "nonsense"), "http://192.0.2.17"),
        ((), "http://192.0.2.17"),
    ],
)
def test_the_best_of_its_addresses(xaddrs: tuple[str, ...], url: str) -> None:
    assert places(told(*xaddrs), SENDER)[0].url == url


def test_a_camera_without_an_address_of_the_network() -> None:
    (one,) = found(Announced(("http://169.254.7.7/onvif/device_service",)), "169.254.7.7")
    assert one.device["url"] == "http://169.254.7.7"
    assert "set one first" in one.what.en
    assert "请先设置 IP" in one.what.zh


def test_another_path_than_the_usual() -> None:
    (one,) = found(Announced(("http://192.0.2.17/onvif/services",)))
    assert one.device == {"driver": "onvif", "url": "http://192.0.2.17", "path": "/onvif/services"}


def test_cheap_cameras_that_share_an_endpoint_are_two() -> None:
    known, shared = Known(), "urn:uuid:00000000-0000-0000-0000-000000000000"
    first, second = (Announced((f"http://192.0.2.{n}/onvif/device_service",), endpoint=shared) for n in (17, 18))
    assert len(list(finds(first.matches("x"), "192.0.2.17", known))) == 1
    assert len(list(finds(second.matches("x"), "192.0.2.18", known))) == 1
    assert list(finds(first.matches("x"), "192.0.2.17", known)) == []


def test_one_camera_with_two_addresses_is_one() -> None:
    known = Known()
    both = Announced(("http://192.0.2.17/onvif/device_service", "http://198.51.100.17/onvif/device_service"))
    assert [each.where for each in finds(both.matches("x"), "192.0.2.17", known)] == ["192.0.2.17:80"]
    assert list(finds(both.matches("x"), "198.51.100.17", known)) == []


def test_without_an_endpoint_by_its_address() -> None:
    known, nameless = Known(), Announced(GOOD.xaddrs, endpoint="")
    assert len(list(finds(nameless.matches("x"), SENDER, known))) == 1
    assert list(finds(nameless.matches("x"), SENDER, known)) == []
