"""Which device an answer to deviceInfo is of: signs of the maker, fields that are missing, rubbish."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from drivers._isapi_asked import Asked, founds
from drivers._isapi_identity import Answer, Identity, identity

NVR = Identity("DS-7616NI-K2", "DS-7616NI-K21620", "V4.22.005", "NVR", None)


def answer(status: int = 401, server: str = "", challenge: str = "", body: bytes = b"") -> Answer:
    return Answer(status, server, (challenge,) if challenge else (), body)


@pytest.mark.parametrize(
    ("server", "challenge", "certain"),
    [
        ("", 'Digest qop="auth", realm="IP Camera(AE424)", nonce="1"', True),
        ("", 'digest realm="DS-2CD2032-I", qop="auth"', True),
        ("", 'Digest realm=iDS-2CD7A, qop="auth"', True),
        ("", 'Basic realm="Embedded Net DVR"', True),
        ("DNVRS-Webs", 'Digest realm="0123456789abcdef", nonce="1"', True),
        ("App-webs/", 'Digest realm="0123456789abcdef", nonce="1"', True),
        ("nginx", 'Digest realm="0123456789abcdef", nonce="1"', False),
        ("GoAhead-Webs", 'Digest realm="login", nonce="1"', False),
        ("App-webs/", "", True),
        ("", 'Bearer realm="IP Camera"', False),
    ],
)
def test_signs(server: str, challenge: str, certain: bool) -> None:
    assert answer(401, server, challenge).certain is certain


def test_a_page_is_no_sign_but_a_status_document_is() -> None:
    assert not answer(200, "App-webs/").possible
    assert answer(503, body=b"<ResponseStatus><statusCode>2</statusCode></ResponseStatus>").certain


@given(st.binary(max_size=400), st.text(max_size=60), st.text(max_size=60), st.sampled_from([200, 401, 403, 500]))
def test_rubbish_is_no_device(body: bytes, server: str, challenge: str, status: int) -> None:
    said = answer(status, server, challenge, body)
    assert identity(body) is None
    assert said.realm.isprintable()
    assert said.possible in (True, False)


@given(
    st.dictionaries(st.sampled_from(["model", "serialNumber", "deviceType", "electroLockNum"]), st.text(max_size=20))
)
def test_any_fields_come_to_one_line(fields: dict[str, str]) -> None:
    inner = "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in fields.items() if "]]>" not in value)
    told = identity(f"<DeviceInfo>{inner}</DeviceInfo>".encode("utf-8", "replace"))
    for found in founds([Asked(URL("http://192.0.2.64"), answer(200), None, told)], None):
        assert found.what.en.isprintable()
        assert found.device["url"] == "http://192.0.2.64"


@pytest.mark.parametrize(
    ("model", "type", "door"),
    [
        ("DS-K1T671", "", True),
        ("DS-K2604", "ACS", True),
        ("DS-KV8113-WME1", "VIS", True),
        ("DS-2CD2042WD-I", "IPCamera", False),
        ("KX-1", "IPCamera", False),
        ("K2", "ACS", True),
    ],
)
def test_doors(model: str, type: str, door: bool) -> None:
    assert Identity(model, "1", "", type, None).is_door is door


def test_json_of_newer_firmware_and_another_alphabet() -> None:
    told = identity(b'{"DeviceInfo": {"model": "DS-K1T342", "serialNumber": "K1", "electroLockNum": 2}}')
    assert told == Identity("DS-K1T342", "K1", "", "", 2)
    named = identity("<DeviceInfo><model>半球 1</model></DeviceInfo>".encode("gb18030"))
    assert named is not None
    assert named.model == "半球 1"


def test_a_recorder_says_where_its_cameras_are() -> None:
    (found,) = founds([Asked(URL("http://192.0.2.65:8000"), answer(), None, NVR)], "events")
    assert found.what.en == "DS-7616NI-K2, NVR, serial DS-7616NI-K21620, V4.22.005: recorder; " + (
        "its cameras are parts, or devices with channel:"
    )
    assert found.what.zh.startswith("DS-7616NI-K2,NVR,序列号 DS-7616NI-K21620,V4.22.005:录像机")
    assert found.device["username"] == "events"


def test_refused_credentials_are_not_proposed() -> None:
    asked = Asked(URL("http://192.0.2.64"), answer(challenge='Digest realm="DS-1"'), None, refused=True)
    (found,) = founds([asked], "events")
    assert "username" not in found.device
