"""The zkteco driver on real sockets, against simulated terminals of both dialects, and against peers that misbehave."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import pytest

from drivers._guard import Limits
from drivers._zkteco_desk import BURST
from drivers._zkteco_records import encode_seconds
from drivers.sim.zkteco import Quirks, Terminal
from drivers.zkteco import DRIVER, Config, serve
from gateway.clock import SystemClock, TimeQuality
from gateway.driver import Line
from gateway.errors import Unreachable
from gateway.event import Credential, Phase, Reading
from tests.fakes import EPOCH, FastClock, ManualClock, RecordingLink

SERIAL = "CKJ1234567"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def config(port: int, **more: Any) -> Config:
    base = {"id": "door", "driver": "zkteco", "place": "gate", "listen": f"127.0.0.1:{port}", "address": SERIAL}
    return Config.model_validate(base | more)


@asynccontextmanager
async def running(link: RecordingLink, *devices: dict[str, Any], limits: Limits | None = None) -> AsyncIterator[str]:
    """The driver with these devices (one with nothing special by default); gives its address."""
    port = free_port()
    configs = tuple(config(port, **device) for device in devices or ({},))
    line = Line(str(configs[0].listen), None, configs)
    task = asyncio.ensure_future(serve(line, link, limits) if limits else DRIVER.run(line, link))
    try:
        await link.until(lambda: task.done() or link.handlers)
        await connected(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def connected(port: int) -> None:
    """Until somebody listens there."""
    async with asyncio.timeout(5):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                continue
            writer.close()
            await writer.wait_closed()
            return


def terminal(url: str, serial: str = SERIAL, **more: Any) -> Terminal:
    return Terminal(url, serial, poll_s=0.02, retry_s=0.02, clock=lambda: EPOCH, **more)


@pytest.fixture
def link() -> RecordingLink:
    return RecordingLink(clock=SystemClock())


def brief(link: RecordingLink) -> list[tuple[str, str]]:
    return [(r.type, r.phase.value) for r in link.readings]


QUIRKS = {
    "as in the document": Quirks(),
    "a doubled path, .aspx": Quirks(prefix="/iclock/iclock", suffix=".aspx"),
    "fields in another order, GBK": Quirks(shuffled=True, encoding="gbk"),
}


@pytest.mark.parametrize("quirks", QUIRKS.values(), ids=QUIRKS.keys())
async def test_an_access_controller_registers_and_tells_its_events(link: RecordingLink, quirks: Quirks) -> None:
    async with running(link, {"doors": 4}) as url, terminal(url, quirks=quirks, doors=4) as device, asyncio.timeout(5):
        device.event(0, card="123456789", door=2, verify="4")
        device.sensor(2, True)
        device.event(28, door=2)
        device.sensor(2, False)
        await device.all_accepted()
        assert device.config["Realtime"] == "1"
        assert device.config["TransTables"] == "Transaction"
    assert brief(link) == [
        ("access.granted", "pulse"),
        ("door.open", "raise"),
        ("door.held", "raise"),
        ("door.held", "clear"),
        ("door.open", "clear"),
    ]
    assert link.readings[0].credential == Credential("zkteco-card", 0, 123456789)
    assert link.readings[0].part == {"address": "door-2", "point": 2}
    assert link.presence == [("door", "seen")]


async def test_an_attendance_terminal_shakes_hands_and_tells_who_came(link: RecordingLink) -> None:
    async with running(link) as url, terminal(url, dialect="attendance") as device, asyncio.timeout(5):
        device.stamp("1452", status=1)
        device.operation(3, 55)
        device.operation(4)
        await device.all_accepted()
        assert device.config["TransFlag"] == "1100000000"
        assert device.config["TimeZone"] == "8"
    assert brief(link) == [("access.granted", "pulse"), ("device.tamper", "raise")]
    assert link.readings[0].reason == "egress"


async def test_an_acknowledgement_comes_after_the_commit(link: RecordingLink) -> None:
    commit, reached = asyncio.Event(), asyncio.Event()

    async def slow_disk(_: tuple[Reading, ...]) -> None:
        reached.set()
        await commit.wait()

    link.before_emit = slow_disk
    async with running(link) as url, terminal(url) as device, asyncio.timeout(5):
        device.event(102)
        await reached.wait()
        assert device.accepted == []
        commit.set()
        await device.all_accepted()
        assert device.accepted == ["1"]


async def test_what_the_disk_refuses_is_not_acknowledged_and_arrives_once(link: RecordingLink) -> None:
    async with running(link) as url, terminal(url) as device, asyncio.timeout(5):
        await device.until(lambda: device.polls)
        link.failing = 3
        names = [device.event(27, card=str(number)) for number in range(25)]
        await device.all_accepted()
        assert device.accepted == names
        assert [status for status, _ in device.refused] == [503] * 3
    assert [r.raw["index"] for r in link.of("access.denied")] == list(range(1, 26))


async def test_a_record_whose_acknowledgement_got_lost_is_told_once_also_after_a_restart(link: RecordingLink) -> None:
    line = "time=2026-11-23 18:06:19\tpin=0\tcardno=9\teventaddr=1\tevent=27\tindex=7\tverifytype=4"
    for _ in range(2):
        async with running(link) as url:
            for _ in range(2):
                assert await post(url, "cdata?table=rtlog", line) == (200, "OK")
    assert len(link.readings) == 1


async def test_the_same_record_out_of_the_memory_is_the_same(link: RecordingLink) -> None:
    async with running(link) as url, terminal(url) as device, asyncio.timeout(5):
        device.event(102)
        device.stored(102, 1, encode_seconds(EPOCH))
        device.stored(200, 2, encode_seconds(EPOCH + timedelta(seconds=5)))
        await device.all_accepted()
    assert brief(link) == [("door.forced", "raise"), ("door.open", "raise")]


async def test_photos_and_people_are_acknowledged_and_nothing_of_them_is_kept(link: RecordingLink) -> None:
    async with running(link) as url, terminal(url) as device, asyncio.timeout(10):
        device.photo(700_000)
        device.people(300)
        device.event(102)
        await device.all_accepted()
        assert device.accepted == ["photo", "people", "1"]
    assert brief(link) == [("door.forced", "raise")]


@pytest.mark.parametrize(
    ("action", "args", "text"),
    [
        ("unlock", {"seconds": 7}, "CONTROL DEVICE 01010107"),
        ("unlock", {}, "CONTROL DEVICE 01010105"),
        ("output", {"number": 1, "state": True, "seconds": 3}, "CONTROL DEVICE 01010203"),
    ],
)
async def test_a_command_reaches_the_device_and_its_result_comes_back(
    link: RecordingLink, action: str, args: dict[str, Any], text: str
) -> None:
    async with running(link) as url, terminal(url) as device, asyncio.timeout(5):
        await device.until(lambda: device.polls)
        outcome = await link.command("door", action, **args)
        assert outcome.code == "ok"
        assert [order.text for order in device.orders] == [text]


async def test_release_lockdown_and_lock_are_told_as_states(link: RecordingLink) -> None:
    async with running(link) as url, terminal(url) as device, asyncio.timeout(5):
        await device.until(lambda: device.polls)
        for action in ("release", "lock", "lockdown", "lock"):
            assert (await link.command("door", action)).code == "ok"
        texts = [order.text.removeprefix("CONTROL DEVICE ") for order in device.orders]
    assert texts == ["010101FF", "01010100", "06010100", "06010000"]
    assert brief(link) == [
        ("door.released", "raise"),
        ("door.released", "clear"),
        ("door.lockdown", "raise"),
        ("door.lockdown", "clear"),
    ]


async def test_a_door_of_a_controller_takes_its_own_commands(link: RecordingLink) -> None:
    devices = {"doors": 2}, {"id": "door-b3", "part": "door-2"}
    async with running(link, *devices) as url, terminal(url, doors=2) as device, asyncio.timeout(5):
        await device.until(lambda: device.polls)
        assert (await link.command("door", "unlock")).code == "bad-arguments"
        assert (await link.command("door-b3", "unlock")).code == "ok"
        device.event(102, door=2)
        await device.all_accepted()
        assert [order.text for order in device.orders] == ["CONTROL DEVICE 01020105"]
    assert [(r.device, r.type) for r in link.readings] == [("door-b3", "door.forced")]
    assert {device for device, _ in link.presence} == {"door", "door-b3"}


async def test_an_attendance_terminal_opens_and_refuses_the_rest(link: RecordingLink) -> None:
    async with running(link) as url, terminal(url, dialect="attendance") as device, asyncio.timeout(5):
        await device.until(lambda: device.polls)
        assert (await link.command("door", "unlock")).code == "ok"
        assert (await link.command("door", "release")).code == "bad-arguments"
        assert [order.text for order in device.orders] == ["AC_UNLOCK"]


async def test_a_device_that_does_not_know_a_command_says_so(link: RecordingLink) -> None:
    async with running(link) as url, asyncio.timeout(5):
        asked = asyncio.ensure_future(link.command("door", "unlock"))
        assert await post(url, "devicecmd", f"ID={await fetched(url)}&Return=-13&CMD=CONTROL DEVICE") == (200, "OK")
        outcome = await asked
    assert (outcome.code, outcome.message) == ("device-refused", "it does not know this command")


async def fetched(url: str) -> str:
    """Polls until a command comes; gives its number."""
    while True:
        _, text = await get(url, "getrequest")
        if text.startswith("C:"):
            return text.split(":")[1]


async def test_a_command_that_nobody_answers_times_out_and_is_not_handed_out_again() -> None:
    link = RecordingLink(clock=FastClock(20))
    async with running(link, {"command_timeout": "5s"}) as url, terminal(url) as device, asyncio.timeout(10):
        device.obeys = False
        await device.until(lambda: device.polls)
        outcome = await link.command("door", "unlock")
        polls = device.polls
        await device.until(lambda: device.polls > polls + 3)
        assert len(device.orders) == 1
    assert (outcome.code, "has fetched it" in outcome.message) == ("timeout", True)


async def test_commands_in_the_form_for_main_controllers(link: RecordingLink) -> None:
    async with running(link) as url, terminal(url, quirks=Quirks(described=True)) as device, asyncio.timeout(5):
        await device.until(lambda: device.polls)
        assert (await link.command("door", "unlock")).code == "ok"


async def test_a_restarted_gateway_knows_a_device_that_only_polls(link: RecordingLink) -> None:
    async with running(link) as url, terminal(url, dialect="attendance") as device, asyncio.timeout(5):
        await device.until(lambda: device.polls)
    async with running(link) as url, asyncio.timeout(5):
        asked = asyncio.ensure_future(link.command("door", "unlock"))
        while (answer := await get(url, "getrequest"))[1] == "OK":
            continue
        assert answer[1].endswith(":AC_UNLOCK\r\n")
        asked.cancel()


async def test_a_registered_device_gets_its_settings_at_once(link: RecordingLink) -> None:
    async with running(link) as url, asyncio.timeout(5):
        first = await get(url, "cdata?options=all&pushver=3.1.2&DeviceType=acc")
        assert first == (200, "OK")
        _, code = await post(url, "registry", "DeviceType=acc")
        _, told = await get(url, "cdata?options=all&pushver=3.1.2&DeviceType=acc")
    assert told.startswith(f"registry=ok\n{code}\n")
    assert len(code.removeprefix("RegistryCode=")) <= 32


async def test_two_devices_on_one_port_are_told_apart_by_their_serial_number(link: RecordingLink) -> None:
    devices = {"id": "door-a"}, {"id": "door-b", "address": "CKJ7654321"}
    async with running(link, *devices) as url, terminal(url) as one, terminal(url, "CKJ7654321") as other:
        async with asyncio.timeout(5):
            one.event(102)
            other.event(100)
            await one.all_accepted()
            await other.all_accepted()
    assert {(r.device, r.type) for r in link.readings} == {("door-a", "door.forced"), ("door-b", "device.tamper")}


async def test_a_silent_device_is_lost_and_back() -> None:
    link = RecordingLink(clock=FastClock(50))
    async with running(link, {"offline_after": "10s"}) as url, asyncio.timeout(10):
        async with terminal(url) as device:
            await device.until(lambda: device.polls)
        await link.until(lambda: link.offline == {"door": "silent"})
        async with terminal(url) as device:
            await link.until(lambda: link.offline == {})
    assert link.presence == [("door", "seen"), ("door", "silent"), ("door", "seen")]


async def test_a_device_that_never_came_is_lost() -> None:
    link = RecordingLink(clock=FastClock(50))
    async with running(link, {"offline_after": "5s"}):
        await link.until(lambda: link.offline == {"door": "silent"})


# --- who may come


async def get(url: str, word: str, serial: str = SERIAL) -> tuple[int, str]:
    async with aiohttp.ClientSession() as http, http.get(f"{url}/iclock/{_with(word, serial)}") as answer:
        return answer.status, await answer.text()


async def post(url: str, word: str, body: str | bytes, serial: str = SERIAL) -> tuple[int, str]:
    address = f"{url}/iclock/{_with(word, serial)}"
    async with aiohttp.ClientSession() as http, http.post(address, data=body) as answer:
        return answer.status, await answer.text()


def _with(word: str, serial: str) -> str:
    path, _, more = word.partition("?")
    return f"{path}?SN={serial}&{more}"


async def test_a_stranger_is_refused_and_named_once(link: RecordingLink, caplog: pytest.LogCaptureFixture) -> None:
    async with running(link) as url:
        for _ in range(3):
            assert (await get(url, "getrequest", "EVIL"))[0] == 403
            assert (await post(url, "cdata?table=rtlog", "event=102\ttime=x", "EVIL"))[0] == 403
    assert [r.getMessage() for r in caplog.records if "refused" in r.getMessage()] == [
        "refused: a device at 127.0.0.1 says it is 'EVIL', which is not in the configuration"
    ]
    assert (link.readings, link.presence) == ([], [])


async def test_the_right_number_from_the_wrong_address_is_refused(
    link: RecordingLink, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(link, {"allow": ["192.0.2.0/24"]}) as url:
        with pytest.raises(aiohttp.ClientConnectionError):  # before a byte of it was read
            await get(url, "getrequest")
    assert "refused: 127.0.0.1 is in no list of those that may connect (zkteco door)" in caplog.text
    assert link.presence == []


@pytest.mark.parametrize(
    ("method", "word", "body", "status"),
    [
        ("GET", "nothing", "", 404),
        ("POST", "exchange?type=publickey", "PublicKey=x", 404),
        ("POST", "cdata?table=rtlog", "x" * 300_000, 413),
        ("POST", "cdata?table=rtlog", "x\n" * 3000, 413),
        ("POST", "cdata?table=BIODATA", "x" * 9_000_000, 413),
        ("POST", "cdata?table=newthing", "whatever", 200),
        ("POST", "cdata?AuthType=device", "pin=1", 200),
        ("GET", "cdata?table=RemoteAtt&PIN=7", "", 200),
        ("POST", "querydata?type=tabledata&tablename=user&count=3", "user uid=1", 200),
        ("POST", "cdata?table=options", "FirmVer=1,LockCount=4", 200),
        ("GET", "ping", "", 200),
    ],
)
async def test_every_request_gets_an_answer(
    link: RecordingLink, method: str, word: str, body: str, status: int
) -> None:
    async with running(link) as url:
        answer = await (get(url, word) if method == "GET" else post(url, word, body))
        assert answer[0] == status
        assert (await get(url, "ping")) == (200, "OK")
    assert link.readings == []


async def test_tables_are_acknowledged_by_name_and_count(link: RecordingLink) -> None:
    async with running(link) as url:
        assert (await post(url, "cdata?table=tabledata&tablename=biophoto&count=2", "x"))[1] == "biophoto=2"
        assert (await post(url, "querydata?tablename=user&count=3", "x"))[1] == "user=3"
        assert (await post(url, "cdata?table=ATTLOG", "1\t2026-11-23 18:06:19\t0\t1\nx"))[1] == "OK:2"


async def test_what_an_installer_must_change_is_said_once(
    link: RecordingLink, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(link) as url:
        for _ in range(2):
            await post(url, "exchange?type=publickey", "x")
            await post(url, "cdata?AuthType=device", "x")
            await post(url, "registry", "DeviceType=acc,~DeviceName=C3-400,FirmVer=8.0,LockCount=4")
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("door: ")]
    assert len(said) == 3
    assert "switch encryption off" in said[0]
    assert "background verification" in said[1]
    assert said[2] == "door: it has 4 doors: write doors: 4"


# --- the time


async def dated(url: str, word: str) -> tuple[int, str, str | None]:
    async with aiohttp.ClientSession() as http, http.get(f"{url}/iclock/{_with(word, SERIAL)}") as answer:
        return answer.status, await answer.text(), answer.headers.get("Date")


async def test_devices_get_the_gateways_time() -> None:
    link = RecordingLink(clock=ManualClock())
    async with running(link) as url:
        status, text, date = await dated(url, "rtdata?type=time")
    assert date == "Mon, 23 Nov 2026 10:06:19 GMT"
    assert (status, text) == (200, f"DateTime={encode_seconds(EPOCH)},ServerTZ=+0800")


async def test_a_gateway_that_does_not_know_the_time_sets_no_clock() -> None:
    link = RecordingLink(clock=ManualClock(datetime.fromisoformat("1970-01-01T00:00:00Z"), TimeQuality.UNSYNCED))
    async with running(link) as url:
        assert (await dated(url, "rtdata?type=time"))[0] == 503
        assert await dated(url, "getrequest") == (200, "OK", None)


# --- peers that misbehave


async def held_open(url: str, sent: bytes) -> bytes:
    """What comes until the other end closes."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


POST = f"POST /iclock/cdata?SN={SERIAL}&table=rtlog HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n".encode()


@pytest.mark.parametrize("sent", [b"", b"GET /iclo", b"GET / HTTP/1.1\r\nHost: x\r\nX-", POST + b"time="])
async def test_half_a_request_is_hung_up_on_without_a_word(
    link: RecordingLink, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(link, limits=Limits(request_s=0.1)) as url, asyncio.timeout(5):
        assert await held_open(url, sent) == b""
        assert await get(url, "ping") == (200, "OK")
    assert (link.readings, caplog.records) == ([], [])


async def test_a_slow_disk_of_ours_hangs_up_on_nobody(link: RecordingLink) -> None:
    commit = asyncio.Event()

    async def slow_disk(_: tuple[Reading, ...]) -> None:
        await commit.wait()

    link.before_emit = slow_disk
    async with running(link, limits=Limits(request_s=0.1)) as url, asyncio.timeout(5):
        asked = asyncio.ensure_future(post(url, "cdata?table=rtlog", "time=2026-11-23 18:06:19\tevent=102"))
        done, _ = await asyncio.wait({asked}, timeout=0.3)
        assert not done
        commit.set()
        assert await asked == (200, "OK")


async def test_one_peer_takes_no_more_than_its_share_of_connections(link: RecordingLink) -> None:
    async with running(link, limits=Limits(per_peer=3)) as url, asyncio.timeout(5):
        host, port = url.removeprefix("http://").split(":")
        idle = [await asyncio.open_connection(host, int(port)) for _ in range(3)]
        assert await held_open(url, POST) == b""
        idle[0][1].close()
        await idle[0][1].wait_closed()
        while True:
            try:
                assert await get(url, "ping") == (200, "OK")
                break
            except aiohttp.ClientError:
                continue
        for _, writer in idle:
            writer.close()


async def test_a_flood_from_one_leaves_the_other_its_answers(link: RecordingLink) -> None:
    devices = {"id": "door-a"}, {"id": "door-b", "address": "CKJ7654321"}
    async with (
        running(link, *devices, limits=Limits(per_peer=100)) as url,
        terminal(url, "CKJ7654321") as other,
        asyncio.timeout(20),
    ):
        flood = [asyncio.ensure_future(get(url, "ping")) for _ in range(int(BURST) + 20)]
        other.event(102)
        await other.all_accepted()
        assert not all(asked.done() for asked in flood)  # those beyond its share still wait
        assert set(await asyncio.gather(*flood)) == {(200, "OK")}
    assert [r.device for r in link.readings] == ["door-b"]


async def test_a_port_that_is_taken_is_told_with_what_to_do(link: RecordingLink) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        line = Line("x", None, (config(taken.getsockname()[1]),))
        with pytest.raises(Unreachable, match=r"cannot listen on 127\.0\.0\.1:\d+: another program") as told:
            await DRIVER.run(line, link)
    assert "listen:" in told.value.say("zh-CN")


async def test_the_end_of_the_driver_frees_its_port(link: RecordingLink) -> None:
    port = free_port()
    for _ in range(2):
        task = asyncio.ensure_future(DRIVER.run(Line("x", None, (config(port),)), link))
        await connected(port)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not task.done() or task.cancelled()
    assert link.handlers == {}
    assert link.of("*", Phase.RAISE) == []
