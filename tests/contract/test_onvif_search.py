"""The search for ONVIF devices against devices that answer WS-Discovery, on real multicast on loopback."""

import os

import pytest

from drivers._onvif_search import search
from drivers.sim._discovery import Announced, Beacon
from gateway.driver import registry
from gateway.errors import Unreachable
from tests.brokers import free_port
from tests.finds import until, validated, whole

LOOPBACK = "127.0.0.1"
SCOPES = (
    "onvif://www.onvif.org/type/video_encoder",
    "onvif://www.onvif.org/name/HIKVISION%20DS-2CD2042WD-I",
    "onvif://www.onvif.org/hardware/DS-2CD2042WD-I",
    "onvif://www.onvif.org/location/city/%E4%B8%8A%E6%B5%B7",
)
CAMERA = Announced(("http://127.0.0.1:8000/onvif/device_service",), SCOPES)
SHY = Announced(("http://127.0.0.1:8001/onvif/device_service",), SCOPES[:1], types=("tds:Device",))
PRINTER = Announced(("http://127.0.0.1:5357/4a9c",), types=("wsdp:Device", "wprt:PrintDeviceType"))
COMPUTER = Announced((), types=("wsdp:Device", "pub:Computer"))


@pytest.fixture
def group() -> tuple[str, int]:
    """A group of this test's own: others may search at the same time."""
    return "239.255.255.250", free_port()


async def test_cameras_are_found_with_name_model_and_place(group: tuple[str, int]) -> None:
    async with Beacon([CAMERA], group):
        (found,) = await until(search(10.0, LOOPBACK, group), 1)
    assert found.where == "127.0.0.1:8000"
    assert found.what.en == "ONVIF, HIKVISION DS-2CD2042WD-I, model DS-2CD2042WD-I, location city/上海"
    assert found.what.zh == "ONVIF,HIKVISION DS-2CD2042WD-I,型号 DS-2CD2042WD-I,位置 city/上海"
    assert found.device == {"driver": "onvif", "url": "http://127.0.0.1:8000", "model": "DS-2CD2042WD-I"}


async def test_each_is_told_once_and_what_is_no_camera_not_at_all(group: tuple[str, int]) -> None:
    chatty = Announced(CAMERA.xaddrs, SCOPES, endpoint=CAMERA.endpoint, times=3)
    async with Beacon([chatty, PRINTER, COMPUTER, SHY], group) as beacon:
        found = await whole(search(1.0, LOOPBACK, group))
    assert sorted(each.where for each in found) == ["127.0.0.1:8000", "127.0.0.1:8001"]
    assert set(beacon.probes) == {"dn:NetworkVideoTransmitter", ""}
    assert len(beacon.probes) > 2  # UDP loses some: each is asked again


async def test_it_takes_as_long_as_it_says_where_nobody_answers(group: tuple[str, int]) -> None:
    silent = search(0.3, LOOPBACK, group)
    assert (silent.steps, silent.longest_s) == (1, 0.3)
    assert await whole(silent) == []
    assert search(4.5, None).steps == 5


async def test_a_search_that_is_left_leaves_nothing_open(group: tuple[str, int]) -> None:
    async with Beacon([CAMERA], group):
        before = len(os.listdir("/proc/self/fd"))
        await until(search(10.0, LOOPBACK, group), 1)
        assert len(os.listdir("/proc/self/fd")) == before


async def test_an_interface_by_its_name(group: tuple[str, int]) -> None:
    async with Beacon([CAMERA], group):
        assert len(await until(search(10.0, "lo", group), 1)) == 1


@pytest.mark.parametrize("interface", ["no-such0", "192.0.2.77"])
async def test_an_interface_that_is_not_there(interface: str, group: tuple[str, int]) -> None:
    with pytest.raises(Unreachable, match="name an interface that is up") as caught:
        await whole(search(1.0, interface, group))
    assert caught.value.where == interface
    assert "网络接口" in caught.value.say("zh")


@pytest.mark.skipif("onvif" not in registry(), reason="this tree has no driver for it")
async def test_what_is_found_is_a_device_of_the_driver(group: tuple[str, int]) -> None:
    odd = Announced(("http://127.0.0.1:8002/onvif/service?x=1",), SCOPES)
    async with Beacon([CAMERA, SHY, odd], group):
        for found in await until(search(10.0, LOOPBACK, group), 3):
            assert validated(found, password="camera-1234").driver == "onvif"
