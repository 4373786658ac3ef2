"""zkteco by others' hands: requests as the vendor's documents print them, curl, odd HTTP, the real daemon killed."""

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from drivers._guard import Limits
from drivers.sim.zkteco import BATCH, Terminal
from gateway.event import Phase
from tests.brokers import Mosquitto, Subscriber, free_port, subscribed
from tests.contract.test_zkteco import SERIAL, link, running
from tests.daemons import SITE, Own
from tests.fakes import RecordingLink

__all__ = ["link"]  # the fixture

SERIAL_OF_DOCUMENT = "3383154200002"
HEAD = """\
Cookie: token=cb386eb5f8219329db63356fb262ddff
Host: 192.168.213.17:8088
User-Agent: iClock Proxy/1.09
Connection: starting
Accept: application/push
Accept-Charset: UTF-8
Accept-Language: zh-CN
Content-Type: application-push; charset=UTF-8
Content-Language: zh-CN
"""


def request(first: str, body: str | bytes = b"", head: str = HEAD, version: str = "HTTP/1.1") -> bytes:
    """A request as the documents print it."""
    data = body.encode() if isinstance(body, str) else body
    length = f"Content-Length: {len(data)}\n" if data or first.startswith("POST") else ""
    return f"{first} {version}\n{head}{length}\n".replace("\n", "\r\n").encode() + data


async def exchange(url: str, *sent: bytes) -> list[tuple[int, str]]:
    """Requests over one connection, one after the other; (status, text) of each answer."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    answers = []
    try:
        for data in sent:
            writer.write(data)
            answers.append(await answer(reader))
    finally:
        writer.close()
    return answers


async def answer(reader: asyncio.StreamReader) -> tuple[int, str]:
    """One answer with a length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
    assert length is not None, head
    return int(head.split(" ")[1]), (await reader.readexactly(int(length[1]))).decode()


async def test_the_dialogue_of_the_security_document(link: RecordingLink) -> None:
    sn = f"SN={SERIAL_OF_DOCUMENT}"
    event = "time=2017-01-10 11:49:32\tpin=0\tcardno=0\teventaddr=1\tevent=27\tinoutstatus=1\tverifytype=0\tindex=21"
    state = "time=2017-01-10 15:42:40\tsensor=00\trelay=00\talarm=0200000000000000"
    user = "user uid=5\tcardno=\tpin=4\tpassword=\tgroup=1\tstarttime=0\tendtime=0\tname=\tprivilege=0\tdisable=0"
    stored = "transaction cardno=0\tpin=0\tverified=200\tdoorid=1\teventtype=100\tinoutstate=2\ttime_second=548003688"
    async with running(link, {"address": SERIAL_OF_DOCUMENT}) as url, asyncio.timeout(5):
        answers = await exchange(
            url,
            request(f"GET /iclock/cdata?{sn}&pushver=3.0.1&options=all"),
            request(f"POST /iclock/registry?{sn}", "DeviceType=acc,~DeviceName=F20/M,FirmVer=Ver 8.0.1.3-20151229"),
            request(f"POST /iclock/push?{sn}"),
            request(f"GET /iclock/ping?{sn}"),
            request(f"POST /iclock/cdata?{sn}&table=rtlog", event),
            request(f"POST /iclock/cdata?{sn}&table=rtstate", state),
            request(f"POST /iclock/cdata?{sn}&table=tabledata&tablename=user&count=1", user),
            request(f"POST /iclock/cdata?{sn}&table=tabledata&tablename=transaction&count=1", stored + "\tindex=92"),
            request(f"GET /iclock/getrequest?{sn}"),
            request(f"POST /iclock/devicecmd?{sn}", "ID=1&Return=0&CMD=DATA UPDATE"),
        )
    assert [status for status, _ in answers] == [200] * 10
    texts = [text for _, text in answers]
    assert texts[0] == "OK"
    assert re.fullmatch(r"RegistryCode=[0-9a-f]{32}", texts[1])
    assert texts[2].startswith("ServerVersion=3.1.2\n")
    assert texts[3:] == ["OK", "OK", "OK", "user=1", "transaction=1", "OK", "OK"]
    assert [(r.type, r.phase, r.reason) for r in link.readings] == [
        ("access.denied", Phase.PULSE, "unknown_credential"),
        ("device.tamper", Phase.RAISE, None),
        ("device.tamper", Phase.RAISE, None),
    ]


async def test_the_dialogue_of_the_attendance_document(link: RecordingLink) -> None:
    sn, head = "SN=0316144680030", "Host: 58.250.50.81:8011\nUser-Agent: iClock Proxy/1.09\nAccept: */*\n"
    stamps = "".join(f"1452\t2015-07-30 15:16:{second}\t0\t1\t0\t0\t0\n" for second in range(28, 37))
    info = "INFO=Ver%202.0.12-20150625,0,0,0,192.168.16.27,10,7,15,0,111"
    photo = b"PIN=20150731103012-123.jpg\nSN=0316144680030\nsize=9512\nCMD=uploadphoto\0\xff\xd8\xff\xe0"
    async with running(link, {"address": "0316144680030"}) as url, asyncio.timeout(5):
        answers = await exchange(
            url,
            request(f"GET /iclock/cdata?{sn}&options=all&pushver=2.2.14&language=83&pushcommkey=4a95", head=head),
            request(f"POST /iclock/cdata?{sn}&table=options", "FingerFunOn=1,FaceFunOn=1", head),
            request(f"GET /iclock/getrequest?{sn}&{info}", head=head),
            request(f"POST /iclock/cdata?{sn}&table=ATTLOG&Stamp=9999", stamps, head),
            request(f"POST /iclock/cdata?{sn}&table=ATTPHOTO&Stamp=9999", photo, head),
            request(f"POST /iclock/fdata?{sn}&table=ATTPHOTO&Stamp=9999", photo, head),
            request(
                f"POST /iclock/cdata?{sn}&table=OPERLOG&Stamp=9999", "OPLOG 4\t14\t2015-07-30 10:22:34\t0\t0\t0", head
            ),
            request(f"POST /iclock/cdata?{sn}&table=OPERLOG&Stamp=9999", "USER PIN=36234\tName=李\tPri=0\n" * 2, head),
            request(f"POST /iclock/devicecmd?{sn}", "ID=info8487&Return=0&CMD=DATA\nID=fp7464&Return=0&CMD=DATA", head),
        )
    assert answers[0][1].startswith("GET OPTION FROM: 0316144680030\nATTLOGStamp=None\n")
    assert [text for _, text in answers[1:]] == ["OK", "OK", "OK:9", "OK", "OK", "OK:1", "OK:2", "OK"]
    assert [r.type for r in link.readings] == ["access.granted"] * 9


EVENT = "time=2026-11-23 18:06:19\tevent=102\teventaddr=1\tindex=1"
ODD = {
    "HTTP/1.0": request(f"POST /iclock/cdata?SN={SERIAL}&table=rtlog", EVENT, "Host: x\n", "HTTP/1.0"),
    "HTTP/1.0 without a Host": request(f"POST /iclock/cdata?SN={SERIAL}&table=rtlog", EVENT, "", "HTTP/1.0"),
    "other letters": request(f"POST /ICLOCK/CDATA?sn={SERIAL}&Table=RTLOG", EVENT),
    "a form's content type": request(
        f"POST /iclock/cdata?SN={SERIAL}&table=rtlog",
        EVENT,
        "Host: x\nContent-Type: application/x-www-form-urlencoded\n",
    ),
    "in chunks": (
        f"POST /iclock/cdata?SN={SERIAL}&table=rtlog HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        f"{len(EVENT):x}\r\n{EVENT}\r\n0\r\n\r\n"
    ).encode(),
    "a body with an odd end": request(f"POST /iclock/cdata?SN={SERIAL}&table=rtlog", EVENT + "\r\n\0"),
}


@pytest.mark.parametrize("sent", ODD.values(), ids=ODD)
async def test_odd_http_is_understood(link: RecordingLink, sent: bytes) -> None:
    async with running(link) as url, asyncio.timeout(5):
        assert await exchange(url, sent) == [(200, "OK")]
    assert [r.type for r in link.readings] == ["door.forced"]


async def test_requests_in_one_piece_are_answered_one_by_one(link: RecordingLink) -> None:
    host_and_port = []
    async with running(link) as url, asyncio.timeout(5):
        host_and_port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host_and_port[0], int(host_and_port[1]))
        writer.write(request(f"POST /iclock/cdata?SN={SERIAL}&table=rtlog", EVENT) + request(f"GET /x?SN={SERIAL}"))
        assert [await answer(reader), await answer(reader)] == [(200, "OK"), (404, "no such path")]
        assert await reader.read() == b""  # and then the door is shut
        writer.close()
    assert len(link.readings) == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",  # the beginning of TLS: HTTPS switched on
        b"GET " + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_and_the_rest_goes_on(
    link: RecordingLink, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(link) as url, asyncio.timeout(5):
        host, port = url.removeprefix("http://").split(":")
        for _ in range(2):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(sent)
            assert b" 400 " in await reader.readline()
            writer.close()
        assert await exchange(url, request(f"GET /iclock/ping?SN={SERIAL}")) == [(200, "OK")]
    assert (link.readings, link.presence) == ([], [("door", "seen")])
    https = ["refused: a device at 127.0.0.1 speaks HTTPS: switch HTTPS off in its menu"] if sent[0] == 0x16 else []
    assert [record.getMessage() for record in caplog.records] == https


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_curl_posts_an_event_and_fetches_a_command(link: RecordingLink) -> None:
    async def curl(*words: str) -> str:
        process = await asyncio.create_subprocess_exec("curl", "-sS", *words, stdout=asyncio.subprocess.PIPE)
        told, _ = await process.communicate()
        return told.decode()

    async with running(link) as url, asyncio.timeout(20):
        assert await curl("--data-binary", EVENT, f"{url}/iclock/cdata?SN={SERIAL}&table=rtlog") == "OK"
        asked = asyncio.ensure_future(link.command("door", "unlock", seconds=3))
        told = await curl(f"{url}/iclock/getrequest?SN={SERIAL}")
        found = re.fullmatch(r"C:(\d+):CONTROL DEVICE 01010103\r\n", told)
        assert found is not None
        result = f"ID={found[1]}&Return=0&CMD=CONTROL DEVICE"
        assert await curl("--data-binary", result, f"{url}/iclock/devicecmd?SN={SERIAL}") == "OK"
        assert (await asked).code == "ok"
    assert [r.type for r in link.readings] == ["door.forced"]


async def test_an_idle_connection_is_closed(link: RecordingLink) -> None:
    async with running(link, limits=Limits(idle_s=0.05)) as url, asyncio.timeout(5):
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request(f"GET /iclock/ping?SN={SERIAL}", head="Host: x\n"))
        assert await answer(reader) == (200, "OK")
        assert await reader.read() == b""
        writer.close()


async def test_a_killed_gateway_loses_no_event_and_repeats_no_more_than_the_upload_it_was_at(tmp_path: Path) -> None:
    port, kills = free_port(), 2
    async with Mosquitto(tmp_path) as broker, subscribed(broker.port, "sc/v1/#") as city, asyncio.timeout(60):
        daemon = Own(tmp_path, sections(broker.port, port))
        async with daemon, Terminal(f"http://127.0.0.1:{port}", poll_s=0.1, retry_s=0.05) as device:
            names: list[str] = []
            for _ in range(kills):
                await daemon.start()
                before = len(device.accepted)
                names += [device.event(27, card=str(number + 1)) for number in range(60)]
                await device.until(lambda before=before: len(device.accepted) > before)  # type: ignore[misc]
                await daemon.kill()
            await daemon.start()
            await device.all_accepted()
            assert device.accepted == names
            await city.until(lambda: set(indexes(city)) == set(range(1, len(names) + 1)))
    assert len(indexes(city)) - len(names) <= kills * BATCH


def sections(broker: int, port: int) -> str:
    """A gateway with one terminal."""
    device = f'{{id: door, driver: zkteco, listen: "127.0.0.1:{port}", address: {SERIAL}, place: gate}}'
    return f'{SITE}uplinks:\n  district: {{url: "mqtt://127.0.0.1:{broker}"}}\ndevices:\n  - {device}\n'


def indexes(city: Subscriber) -> list[int]:
    """The device's own numbers of the events that came, each event once by its id."""
    events = {event["id"]: event for event in city.events() if event["type"] == "access.denied"}
    return [event["data"]["raw"]["index"] for event in events.values()]
