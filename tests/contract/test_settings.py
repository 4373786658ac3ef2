"""The settings views of a living gateway: what they show, to whom, in both languages; restart, reload, the way back."""

import asyncio
import re
from pathlib import Path

import httpx
import pytest

from gateway import chores, renewal
from gateway.audit import lines_of
from gateway.event import Phase, Reading
from gateway.house import House
from gateway.web.visitor import Role
from tests.houses import WAIT_S, Puppets, config, living
from tests.settled import PASSWORD, TOKEN, settled, write
from tests.visitors import EVIL, known, said, visiting

VIEWS = ("", "/devices", "/places", "/machine", "/history", "/backup")
CONFIGURES = ("/history", "/backup")
STEPS = ("/restart", "/reload", "/history/1/run", "/backup", "/backup/fetch")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to hear of a restart before it comes."""
    monkeypatch.setattr(renewal, "GRACE_S", 0.1)
    monkeypatch.setattr(chores, "ENDS_S", 0.1)


async def revisions(folder: Path, *names: str) -> None:
    """One for each name of the camera."""
    for name in names:
        write(folder, name=name)
        async with settled(folder):
            pass


async def audited(house: House, what: str) -> list[str]:
    """Who did it."""
    found = await house.store.read(lambda connection: lines_of(connection, what, 10))
    return [entry["who"] for entry in found]


# --- reading


@pytest.mark.parametrize(("language", "index"), [("zh", 1), ("en", 0)])
async def test_every_view_in_both_languages(tmp_path: Path, language: str, index: int) -> None:
    heads = {
        "": ("Settings", "设置"),
        "/devices": ("Devices and points", "设备与点位"),
        "/places": ("Places", "位置"),
        "/machine": ("This machine", "本机"),
        "/history": ("Configuration history", "配置历史"),
        "/backup": ("Backup and diagnostics", "备份与诊断包"),
    }
    async with settled(tmp_path) as here, visiting(here.house, known("installer"), language=language) as client:
        for view in VIEWS:
            answer = await client.get(f"/settings{view}")
            assert answer.status_code == 200, view
            assert f"<h1>{heads[view][index]}</h1>" in answer.text
            assert not re.search(r" style=| on[a-z]+=|<script>|{{|None", answer.text), view


async def test_hostile_names_stay_text(tmp_path: Path) -> None:
    await revisions(tmp_path, "first", EVIL)
    async with settled(tmp_path) as here, visiting(here.house, known("installer")) as client:
        for view in (*VIEWS, "/history?old=1&new=2"):
            text = (await client.get(f"/settings{view}")).text
            assert EVIL not in text
            if view in ("/devices", "/history?old=1&new=2"):
                assert "&lt;script&gt;alert(1)" in text


@pytest.mark.parametrize(("language", "said"), [("zh", "类型 感烟探测器"), ("en", "kind smoke detector")])
async def test_kinds_of_devices_are_words(tmp_path: Path, language: str, said: str) -> None:
    made = config(tmp_path, {"smoke-1": "smoke"})
    async with living(made, Puppets()) as house, visiting(house, known("duty"), language=language) as client:
        text = (await client.get("/settings/devices")).text
    assert said in text
    assert "smoke</small>" not in text


async def test_places_are_a_tree_in_natural_order_with_their_grids(tmp_path: Path) -> None:
    async with settled(tmp_path) as here, visiting(here.house, known("duty")) as client:
        text = (await client.get("/settings/places")).text
    order = [text.index(f"<b>{label}</b>") for label in ("3号楼", "2单元", "5层", "501室", "10号楼", "大门")]
    assert order == sorted(order)
    assert "00000031010401300202" in text[order[-1] :]
    assert text.count("1 台设备") == 4  # the gate; and building, unit and floor count what stands in them


async def test_a_gateway_without_anything_says_so(tmp_path: Path) -> None:
    made = config(tmp_path, {})
    async with living(made, Puppets()) as house, visiting(house, known("installer"), language="en") as client:
        assert "No device is configured" in (await client.get("/settings/devices")).text
        assert "No driver runs" in (await client.get("/settings/machine")).text
        assert "without a configuration file" in (await client.get("/settings/history?old=1&new=2")).text
        for step in ("/reload", "/history/1/run", "/backup"):
            answer = await client.post(f"/settings{step}")
            assert answer.status_code == 409
            assert "--config" in answer.json()["error"]["do"]["zh"]


async def test_this_machine_with_a_driver_that_does_not_run(tmp_path: Path) -> None:
    puppets = Puppets()
    puppets.trouble["smoke-1"] = [RuntimeError("a bug")] * 3
    async with living(config(tmp_path, {"smoke-1": "smoke"}), puppets) as house:
        await puppets.until(lambda: puppets.starts)
        async with visiting(house, known("duty"), language="en") as client:
            text = (await client.get("/settings/machine")).text
    assert re.search(r"tag fault\"><span aria-hidden=\"true\">!</span> trying again", text)
    assert "this machine only" in text  # without web.https


async def test_an_open_alarm_is_told_where_one_might_restart(tmp_path: Path) -> None:
    async with settled(tmp_path) as here, visiting(here.house, known("installer")) as client:
        for view in ("/machine", "/history", "/backup"):
            assert "当前有未处理的报警" not in (await client.get(f"/settings{view}")).text
        await here.house.pipeline.accept([Reading("smoke-1", "fire.smoke", Phase.RAISE)])
        for view in ("/machine", "/history", "/backup"):
            assert "当前有未处理的报警" in (await client.get(f"/settings{view}")).text


# --- rights


@pytest.mark.parametrize("role", ["duty", "manager", "auditor"])
async def test_who_may_not_configure_sees_no_way_to_it_and_is_refused(tmp_path: Path, role: Role) -> None:
    async with settled(tmp_path) as here, visiting(here.house, known(role)) as client:
        index = (await client.get("/settings")).text
        for view in CONFIGURES:
            assert f'href="/settings{view}"' not in index
            assert (await client.get(f"/settings{view}")).status_code == 403
        assert (await client.get("/settings/download/anything")).status_code == 403
        assert "/settings/restart" not in (await client.get("/settings/machine")).text
        for step in (*STEPS, "/bundle"):
            assert (await client.post(f"/settings{step}")).status_code == 403, step
        assert not here.house.ending.asked.is_set()
        assert ('href="/settings/people"' in index) is (role == "manager")
        assert ('href="/settings/audit"' in index) is (role != "duty")


async def test_what_is_grave_needs_the_password_once_more(tmp_path: Path) -> None:
    async with settled(tmp_path) as here, visiting(here.house, known("installer", fresh=False)) as client:
        for step in STEPS:
            answer = await client.post(f"/settings{step}")
            assert (answer.status_code, answer.headers.get("X-Step-Up")) == (403, "1"), step
        assert not here.house.ending.asked.is_set()


# --- restart, reload, the way back


async def test_a_restart_is_audited_and_happens(tmp_path: Path) -> None:
    async with settled(tmp_path) as here, visiting(here.house, known("installer"), language="en") as client:
        assert "restarts" in said(await client.post("/settings/restart"))
        async with asyncio.timeout(WAIT_S):
            await here.house.ending.asked.wait()
        assert here.house.ending.again
        assert "王师傅" in await audited(here.house, "command.restart")


async def test_a_reload_of_a_wrong_file_changes_nothing_and_says_where(tmp_path: Path) -> None:
    async with settled(tmp_path) as here, visiting(here.house, known("installer")) as client:
        here.file.write_text(here.file.read_text("utf-8").replace("place: gate", "place: nowhere"), "utf-8")
        answer = await client.post("/settings/reload")
        assert answer.status_code == 409
        assert re.search(r"gateway\.yaml:\d+:\d+: .*nowhere", answer.json()["error"]["what"]["zh"])
        assert not here.house.ending.asked.is_set()


async def test_a_reload_of_a_right_file_starts_anew(tmp_path: Path) -> None:
    async with settled(tmp_path) as here, visiting(here.house, known("installer")) as client:
        assert "重新启动" in said(await client.post("/settings/reload"))
        async with asyncio.timeout(WAIT_S):
            await here.house.ending.asked.wait()
        assert await audited(here.house, "reload") == ["王师傅"]


async def test_the_history_says_who_brought_what_and_leads_back(tmp_path: Path) -> None:
    await revisions(tmp_path, "first", "second")
    async with settled(tmp_path) as here:
        async with visiting(here.house, known("installer")) as client:
            text = (await client.get("/settings/history")).text
            assert text.index("版本 2") < text.index("版本 1")
            assert "/settings/history/1/run" in text
            assert "/settings/history/2/run" not in text  # it runs
            assert "在网关上修改文件" in text
            assert "版本 1" in said(await client.post("/settings/history/1/run"))
            async with asyncio.timeout(WAIT_S):
                await here.house.ending.asked.wait()
            text = (await client.get("/settings/history")).text
        assert here.house.renewal is not None
        made = here.house.renewal.history.revisions[-1]
        assert (made.number, made.of, made.who, made.place) == (3, 1, "王师傅", "page")
        assert "与版本 1 相同" in text
        assert "网页" in text


@pytest.mark.parametrize("number", [9, 1])
async def test_what_cannot_run_again_is_refused(tmp_path: Path, number: int) -> None:
    """There is none of that number, or it runs already."""
    async with settled(tmp_path) as here, visiting(here.house, known("installer")) as client:
        answer = await client.post(f"/settings/history/{number}/run")
        assert answer.status_code == 409
        assert str(number) in answer.json()["error"]["what"]["zh"]
        assert (await client.post("/settings/history/one/run")).status_code == 400


# --- what differs


async def difference(client: httpx.AsyncClient, old: int, new: int) -> str:
    return (await client.get(f"/settings/history?old={old}&new={new}")).text


async def test_what_differs_is_shown_without_secrets(tmp_path: Path) -> None:
    await revisions(tmp_path, "first name", "second name")
    write(tmp_path, name="second name", password="another-secret-word")
    async with settled(tmp_path) as here, visiting(here.house, known("installer"), language="en") as client:
        shown = await difference(client, 1, 2)
        assert re.search(r'class="less">-.*first name', shown)
        assert re.search(r'class="more">\+.*second name', shown)
        for secret in (PASSWORD, TOKEN):
            assert secret not in shown
        assert "another-secret-word" not in await difference(client, 2, 3)
        assert "Both say the same" in await difference(client, 2, 2)
        assert "no revision 9" in await difference(client, 1, 9)


async def test_that_only_secrets_differ_is_told(tmp_path: Path) -> None:
    page = 18_080  # the same in both: only the password is another one
    for password in (PASSWORD, "another-secret-word"):
        write(tmp_path, password=password, page=page)
        async with settled(tmp_path) as here:
            pass
    async with settled(tmp_path) as here, visiting(here.house, known("installer"), language="en") as client:
        shown = await difference(client, 1, 2)
    assert "Only passwords or keys differ" in shown
    assert PASSWORD not in shown
