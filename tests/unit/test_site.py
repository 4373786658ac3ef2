"""Places, topics and the dossier; and the canonical form its digests are made over."""

import hashlib
import json
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical import canonical
from gateway.config import load
from gateway.documents import Dossier
from gateway.site import Place, Site, dossier, duration_text
from tests.unit.configs import DRIVERS, VALID, write

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
GRIDS = (
    ("gate: {label: 大门}", 'gate: {label: 大门, grid: "00000031010401300299"}'),
    ("u2: {label: 2单元,", 'u2: {label: 2单元, grid: "00000031010401300222",'),
    ("  places:\n", '  grid: "00000031010401300201"\n  places:\n'),
)


def site_of(folder: Path, text: str = VALID) -> Site:
    return Site(load(write(folder, text), DRIVERS).config, {"osdp": "reader"})


@pytest.fixture
def site(tmp_path: Path) -> Site:
    text = VALID
    for old, new in GRIDS:
        assert old in text
        text = text.replace(old, new, 1)
    return site_of(tmp_path, text)


def test_a_place_has_the_labels_of_its_levels_joined_and_the_nearest_grid(site: Site) -> None:
    assert site.place("b3") == Place("b3", "3号楼", "00000031010401300201")
    assert site.place("b3/u2/f5") == Place("b3/u2/f5", "3号楼2单元5层", "00000031010401300222")
    assert site.place("gate").grid == "00000031010401300299"
    assert [place.path for place in site.places] == ["b3", "b3/u2", "b3/u2/f5", "b3/u2/f5/501", "gate"]


def test_what_is_not_there_is_a_key_error(site: Site) -> None:
    with pytest.raises(KeyError):
        site.place("b9")
    with pytest.raises(KeyError):
        site.device("nope")


def test_place_data_leaves_out_what_has_no_value(site: Site, tmp_path: Path) -> None:
    assert site.place_data("hook-1") == {"path": "gate", "label": "大门", "grid": "00000031010401300299"}
    assert site_of(tmp_path).place_data("hook-1") == {"path": "gate", "label": "大门"}


def test_topics_and_source_have_the_area_and_the_gateway(site: Site) -> None:
    assert site.source == "/310104/013/002/gw-0001"
    assert site.base("sc/v1") == "sc/v1/310104/013/002/gw-0001"


def test_devices_of_one_building_are_siblings(site: Site) -> None:
    assert site.same_building("smoke-1") == ("door-1", "panel-1")
    assert site.same_building("hook-1") == ()


def test_a_device_is_what_it_says_else_what_its_driver_says(site: Site) -> None:
    assert [site.kind(device.id) for device in site.devices] == ["smoke", "reader", "device", "device"]


def dossier_of(site: Site, uplink: str = "district", revision: int = 1, time: datetime = NOON) -> dict[str, Any]:
    return dossier(site, revision, time, {"door-1": ["unlock"]}, uplink)


def test_the_dossier_is_as_its_model_says_and_without_empty_fields(site: Site) -> None:
    made = dossier_of(site)
    Dossier.model_validate(made)
    assert made["time"] == "2026-11-23T12:00:00.000Z"
    assert made["area"] == {"district": "310104", "street": "013", "community": "002", "name": "阳光花园"}
    assert made["devices"][0] == {
        "id": "smoke-1",
        "driver": "modbus",
        "kind": "smoke",
        "place": "b3/u2/f5",
        "installed": "2026-05-01",
        "capabilities": [],
    }
    assert made["devices"][1]["capabilities"] == ["unlock"]
    assert made["retention"] == {"events": "30d", "buffer_bytes": 64 * 2**20}
    assert len(made["places"]) == 5


def test_an_uplink_sees_its_own_entry_of_sharing_only(site: Site) -> None:
    assert dossier_of(site)["sharing"] == [
        {"uplink": "district", "types": ["fire.*", "device.fault"], "redact": "keyed"}
    ]
    assert dossier_of(site, "fire")["sharing"] == [{"uplink": "fire", "types": ["*"], "redact": "keyed"}]


def test_the_digest_is_of_the_content_alone_and_can_be_recomputed(site: Site, tmp_path: Path) -> None:
    made = dossier_of(site)
    content = {name: value for name, value in made.items() if name not in ("revision", "sha256", "time")}
    assert made["sha256"] == hashlib.sha256(canonical(content)).hexdigest()
    assert dossier_of(site, revision=7, time=datetime(2027, 1, 1, tzinfo=UTC))["sha256"] == made["sha256"]
    assert dossier_of(site_of(tmp_path))["sha256"] != made["sha256"]


def test_the_responsibility_list_is_told_as_a_digest_where_there_is_one(site: Site, tmp_path: Path) -> None:
    entry = {"lead": "消控室", "assist": ["物业经理"], "escalate": ["district"], "respond": 60}
    section = {"fire.*": entry, "*": {"lead": "物业经理"}}
    assert dossier_of(site)["responsibility_sha256"] == hashlib.sha256(canonical(section)).hexdigest()
    without = site_of(tmp_path, VALID.partition("responsibility:")[0])
    assert "responsibility_sha256" not in dossier_of(without)


@pytest.mark.parametrize(
    ("seconds", "text"), [(2592000.0, "30d"), (7200.0, "2h"), (90.0, "90s"), (0.5, "0.5s"), (1234567.0, "1234567s")]
)
def test_durations_are_written_as_in_the_configuration(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


# RFC 8785


def test_the_sample_of_rfc_8785_section_3_2_2() -> None:
    value = json.loads(
        r"""{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}"""
    )
    assert canonical(value).decode() == (
        r'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        r'"string":"€$\u000f\nA' + "'" + r'B\"\\\\\"/"}'
    )


def test_the_order_of_keys_of_rfc_8785_section_3_2_3() -> None:
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    ordered = list(json.loads(canonical(dict.fromkeys(keys))))
    assert ordered == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("c340000000000000", "-9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555556", "333333333.3333334"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_the_numbers_of_rfc_8785_appendix_b(bits: str, text: str) -> None:
    assert canonical(struct.unpack(">d", bytes.fromhex(bits))[0]).decode() == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, "\ud800", b"x", {1, 2}])
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        canonical(value)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)


def as_double(digits: str) -> int | float:
    """How a reader takes whole numbers beyond 2**53."""
    return int(digits) if abs(int(digits)) < 2**53 else float(digits)


@given(JSON)
def test_the_canonical_form_means_the_same_and_is_its_own_form(value: Any) -> None:
    once = canonical(value)
    read = json.loads(once, parse_int=as_double)
    assert read == value
    assert canonical(read) == once
