"""Home Assistant's ONVIF client, which we did not write, against the simulated camera that the driver is tested with.

So the camera's answers are the standard's (the client reads them strictly, by its WSDL), and what the driver says is
what the client says: both wires are compared.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import canonicalize, tostring

import pytest
from defusedxml import ElementTree

from drivers._onvif_library import OPERATIONS, message
from drivers.sim.isapi import picture
from drivers.sim.onvif import MOTION, OnvifCamera, Quirks
from tests.contract.test_onvif import camera_of, running
from tests.fakes import FastClock, RecordingLink
from tests.pcap import Tap, capture, complaints, dissected

onvif: Any = pytest.importorskip("onvif")
zeep: Any = pytest.importorskip("zeep")
BATCH = {"Timeout": timedelta(seconds=5), "MessageLimit": 10}


@asynccontextmanager
async def client(camera: OnvifCamera) -> AsyncIterator[Any]:
    """The client with its services found."""
    logging.getLogger("onvif").setLevel(logging.WARNING)
    port = int(camera.url.rpartition(":")[2])
    peer = onvif.ONVIFCamera("127.0.0.1", port, "admin", "camera-1234", adjust_time=True, nat_override=True)
    try:
        async with asyncio.timeout(20):
            await peer.update_xaddrs()
            yield peer
    finally:
        await peer.close()


@pytest.mark.parametrize("off_s", [0.0, 7200.0])
async def test_the_client_pulls_renews_and_leaves(off_s: float) -> None:
    async with OnvifCamera(quirks=Quirks(clock_off_s=off_s)) as camera, client(camera) as peer:
        manager = await peer.create_pullpoint_manager(timedelta(seconds=120), lambda: None)
        camera.motion(True)
        (told,) = (await manager.get_service().PullMessages(BATCH)).NotificationMessage
        assert told.Topic._value_1 == f"tns1:{MOTION}"
        assert [(each.Name, each.Value) for each in told.Message._value_1.Data.SimpleItem] == [("IsMotion", "true")]
        await manager.set_synchronization_point()
        (again,) = (await manager.get_service().PullMessages(BATCH)).NotificationMessage
        assert again.Message._value_1.PropertyOperation == "Initialized"
        await manager._subscription.Renew("PT60S")
        await manager.shutdown()
        events = camera.events
        assert (events.created, events.renewed, events.unsubscribed, camera.tokens.refused) == (1, 1, 1, 0)


async def test_the_client_sees_its_media_relays_and_picture() -> None:
    async with OnvifCamera() as camera, client(camera) as peer:
        media, device = await peer.create_media_service(), await peer.create_devicemgmt_service()
        profiles = await media.GetProfiles()
        assert [profile.VideoSourceConfiguration.SourceToken for profile in profiles] == ["V0", "V1"]
        uri = await media.GetSnapshotUri({"ProfileToken": profiles[0].token})
        assert uri.Uri.endswith("/snapshot/V0")
        assert [output.token for output in await device.GetRelayOutputs()] == ["R0", "R1"]
        await device.SetRelayOutputState({"RelayOutputToken": "R1", "LogicalState": "active"})
        assert camera.relays == {"R0": False, "R1": True}
        assert await peer.get_snapshot(profiles[0].token) == picture()
        assert (await peer.get_capabilities())["Events"]["WSPullPointSupport"] is True


async def test_a_wrong_password_is_refused_to_the_client_too() -> None:
    async with OnvifCamera(("admin", "another")) as camera:
        with pytest.raises(zeep.exceptions.Fault, match="not Authorized"):
            async with client(camera):
                pass
        assert camera.tokens.refused > 0


def said(camera: OnvifCamera) -> dict[str, str]:
    """The body of the newest request of each kind in canonical form (C14N 2.0), by its name."""
    found = {}
    for wire in camera.requests:
        (body,) = [child for child in ElementTree.fromstring(wire) if str(child.tag).endswith("}Body")]
        name = str(body[0].tag).rpartition("}")[2]
        found[name] = canonicalize(tostring(body[0]), rewrite_prefixes=True, strip_text=True)
    return found


async def test_the_driver_asks_word_for_word_as_the_client_does() -> None:
    async with OnvifCamera() as camera:
        async with client(camera) as peer:
            manager = await peer.create_pullpoint_manager(timedelta(seconds=120), lambda: None)
            camera.motion(True)
            await manager.get_service().PullMessages(BATCH)
            await manager.set_synchronization_point()
            await manager._subscription.Renew("PT120S")
            await manager.shutdown()
            media, device = await peer.create_media_service(), await peer.create_devicemgmt_service()
            await device.GetServices({"IncludeCapability": False})
            await device.GetCapabilities({"Category": "All"})
            await device.SetRelayOutputState({"RelayOutputToken": "R1", "LogicalState": "active"})
            await media.GetSnapshotUri({"ProfileToken": "P-V0"})
        theirs = said(camera)
        values: dict[str, dict[str, Any]] = {
            "CreatePullPointSubscription": {"InitialTerminationTime": "PT120S"},
            "Renew": {"TerminationTime": "PT120S"},
            "PullMessages": BATCH,
            "GetServices": {"IncludeCapability": False},
            "GetCapabilities": {"Category": "All"},
            "SetRelayOutputState": {"RelayOutputToken": "R1", "LogicalState": "active"},
            "GetSnapshotUri": {"ProfileToken": "P-V0"},
        }
        camera.requests.clear()
        camera.requests.extend(message(name, camera.url, None, **values.get(name, {})).body for name in theirs)
        assert said(camera) == theirs
        assert set(OPERATIONS) - set(theirs) == {"GetRelayOutputs", "GetProfiles"}


async def test_tshark_reads_both_ends_as_xml_over_http(tmp_path: Path) -> None:
    """Nothing malformed; each request is a POST of SOAP 1.2 whose action is that of its body."""
    link, file = RecordingLink(clock=FastClock(20)), tmp_path / "line.pcap"
    async with camera_of(link.clock) as camera, Tap(int(camera.url.rpartition(":")[2])) as tap:
        async with running(link, f"http://127.0.0.1:{tap.port}"):
            await camera.until(lambda: camera.events.pulled)
            camera.motion(True)
            await link.until(lambda: link.of("video.motion"))
        await tap.ended()
    file.write_bytes(capture(tap.pieces, 80))
    assert await complaints(file) == []
    rows = await dissected(file, "http.request && xml", ["http.request.method", "http.content_type", "xml.cdata"])
    assert {method for (method,), _, _ in rows} == {"POST"}
    asked = [re.search(r'action="(\S+)"', kind[0]) for _, kind, _ in rows]
    assert all(found and found[1] in texts for found, (_, _, texts) in zip(asked, rows, strict=True))
    assert list(dict.fromkeys(found[1].rpartition("/")[2] for found in asked if found)) == [
        "GetSystemDateAndTime", "GetCapabilities", "GetProfiles", "CreatePullPointSubscriptionRequest",
        "SetSynchronizationPointRequest", "PullMessagesRequest", "UnsubscribeRequest",
    ]  # fmt: skip
    answers = await dissected(file, "http.response && xml", ["http.response.code", "xml.cdata"])
    assert any(f"tns1:{MOTION}" in texts for _, texts in answers)
