"""The door of the page, as a browser and as an attacker find it: set-up, sign-in, sessions, steps, rights, tokens."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from gateway.errors import StorageError, Text
from gateway.house import House
from gateway.lockout import MOST_WRONG
from gateway.passwords import Passwords
from gateway.rights import RIGHTS, ROLES, Right
from gateway.web import create
from gateway.web.catalogue import sayings
from gateway.web.login import local
from gateway.web.visitor import needs
from tests.brokers import free_port
from tests.census import CHEAP, INSTALLER, PASSWORD
from tests.houses import Puppets, config, living
from tests.visitors import at_the_door, known, signed_in, visiting, word_of

WANG = {"name": "wang", "password": PASSWORD}
OPEN = {"/healthz", "/public", "/public.json", "/static/{name:path}", "/ingest/{device}", "/login", "/setup"}
PINNED: dict[str, Right] = {  # of what would hurt most; every other route declares its right itself
    "/settings/people": "people",
    "/settings/people/{name}/password": "people",
    "/settings/people/{name}/role": "people",
    "/settings/people/{name}/remove": "people",
    "/settings/people/{name}/unlock": "people",
    "/settings/tokens": "people",
    "/settings/tokens/remove": "people",
    "/account": "see",
    "/account/password": "see",
    "/logout": "see",
    "/api/v1/devices/{device}/commands": "doors",
    "/metrics": "metrics",
}
ANY_KNOWN = {"/step-up", "/openapi.json", "/reports/{name}", "/api/v1/reports/{name}"}  # whoever is known


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """With an installer and somebody on duty."""
    async with living(config(tmp_path, {}), Puppets()) as made:
        made.people.passwords = Passwords(CHEAP)
        await made.people.add(INSTALLER, "li", "李工", "installer", PASSWORD)
        await made.people.add(INSTALLER, "wang", "王师傅", "duty", PASSWORD)
        yield made


@pytest.fixture
async def empty(tmp_path: Path) -> AsyncIterator[House]:
    """Nobody has an account."""
    async with living(config(tmp_path, {}), Puppets()) as made:
        made.people.passwords = Passwords(CHEAP)
        made.people.code.show()
        yield made


async def sign_in(client: httpx.AsyncClient, **form: str) -> httpx.Response:
    return await client.post("/login", data=WANG | form)


# --- who may what ----------------------------------------------------------------------------------------------------


def routes(house: House) -> list[tuple[str, str, Right | None]]:
    """(method, path, right) of every route."""
    found: list[tuple[str, str, Right | None]] = []
    for route in create(house).routes:
        path = getattr(route, "path", "")
        calls = [each.call for each in route.dependant.dependencies] if isinstance(route, APIRoute) else []
        rights: list[Right | None] = [call.right for call in calls if isinstance(call, needs)]
        assert len(rights) <= 1, path
        found += [(method, path, (rights or [None])[0]) for method in sorted(getattr(route, "methods", ()) or ())]
    return found


async def test_every_route_says_which_right_it_takes(house: House) -> None:
    told = {path: right for _, path, right in routes(house)}
    silent = {path for path, right in told.items() if right is None} - OPEN - ANY_KNOWN
    assert not silent, "give them dependencies=[needs(…).depends]"
    assert {path: told[path] for path in PINNED if path in told} == {
        path: right for path, right in PINNED.items() if path in told
    }


@pytest.mark.parametrize("role", ROLES)
async def test_the_matrix_of_roles(house: House, role: Any) -> None:
    async with visiting(house, known(role)) as client:
        for method, path, right in routes(house):
            allowed = right is None or right in ROLES[role]
            if path in OPEN or (allowed and "stream" in path):
                continue
            answer = await client.request(method, re.sub(r"{[^}]+}", "x", path))
            assert (answer.status_code == 403) == (not allowed), (method, path, role, answer.text)
            assert answer.status_code != 401


async def test_nobody_gets_in_anywhere(house: House) -> None:
    async with at_the_door(house) as client:
        for method, path, _ in routes(house):
            if path in OPEN:
                continue
            answer = await client.request(method, re.sub(r"{[^}]+}", "x", path), headers={"Accept": "*/*"})
            assert answer.status_code == 401, (method, path)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert method == "HEAD" or set(answer.json()["error"]) == {"where", "what", "do"}


async def test_a_browser_is_shown_the_door_and_finds_its_way_back(house: House) -> None:
    async with at_the_door(house) as client:
        turned = await client.get("/settings/people?lang=zh")
        assert (turned.status_code, turned.headers["Location"]) == (303, "/login?next=/settings/people%3Flang%3Dzh")
        page = await client.get(turned.headers["Location"])
        assert 'value="/settings/people?lang=zh"' in page.text
        back = await sign_in(client, next="/settings/people?lang=zh")
        assert (back.status_code, back.headers["Location"]) == (303, "/settings/people?lang=zh")


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example/",
        "evil",
        "",
        "/\t/evil.example",
        "/a\r\nb",
        "/login?next=/",
    ],
)
def test_the_way_back_leads_nowhere_else(path: str) -> None:
    assert local(path) == "/"


def test_the_way_back_keeps_what_was_asked_for() -> None:
    assert local("/devices?building=3号楼&page=2") == "/devices?building=3号楼&page=2"


# --- signing in ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_what_the_cookie_is_like(house: House, scheme: str) -> None:
    async with at_the_door(house, scheme=scheme) as client:
        flags = (await sign_in(client)).headers["Set-Cookie"].split("; ")
        name = flags[0].partition("=")[0]
        assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(flags)
        assert ("Secure" in flags, name) == ((True, "__Host-session") if scheme == "https" else (False, "session"))
        assert not any(flag.startswith("Domain") for flag in flags)
        assert (await client.get("/account")).status_code == 200


async def test_a_session_that_somebody_else_chose_is_not_taken_on(house: House) -> None:
    async with at_the_door(house) as client:
        client.cookies.set("session", "chosen-by-an-attacker", domain="localhost.local")
        token = re.search("session=([^;]+)", (await sign_in(client)).headers["Set-Cookie"])
        assert token is not None
        assert token[1] != "chosen-by-an-attacker"
        assert house.people.sessions.find("chosen-by-an-attacker") is None
        await sign_in(client)
        assert house.people.sessions.find(token[1]) is None  # the one it had is over
        assert len(house.people.sessions.of("wang")) == 1


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_a_wrong_password_is_told_and_the_name_kept(house: House, language: str) -> None:
    async with at_the_door(house, language=language) as client:
        answer = await sign_in(client, password="x", name="<b>wang")
        assert answer.status_code == 403
        assert ("登录名或密码错误" if language == "zh" else "name or password is wrong") in answer.text
        assert 'value="&lt;b&gt;wang"' in answer.text
        assert "Set-Cookie" not in answer.headers


async def test_too_many_have_to_wait(house: House) -> None:
    async with at_the_door(house, "198.51.100.1") as client:
        for _ in range(MOST_WRONG):
            assert (await sign_in(client, password="x")).status_code == 403
        answer = await sign_in(client)
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "61")
        assert "请 1 分钟后重试" in answer.text


async def test_signing_out_ends_the_session(house: House) -> None:
    async with at_the_door(house) as client:
        await sign_in(client)
        token = client.cookies["session"]
        answer = await client.post("/logout", headers={"X-CSRF-Token": await word_of(client)})
        assert (answer.status_code, answer.headers["HX-Redirect"]) == (204, "/login")
        assert house.people.sessions.find(token) is None
        client.cookies.set("session", token, domain="localhost.local")
        assert (await client.get("/account")).status_code == 303


async def test_who_is_removed_is_out_at_once(house: House) -> None:
    async with at_the_door(house) as client:
        await sign_in(client)
        assert (await client.get("/account")).status_code == 200
        await house.people.remove(INSTALLER, "wang")
        assert (await client.get("/account")).status_code == 303


async def test_a_page_asks_whether_its_reader_is_known(house: House) -> None:
    async with at_the_door(house) as client:
        json = {"Accept": "application/json"}
        assert (await client.get("/login", headers=json)).json() == {"known": False}
        await sign_in(client)
        assert (await client.get("/login", headers=json)).json() == {"known": True}
        page = (await client.get("/login")).text
        assert "当前登录:王师傅" in page
        assert 'value="wang"' in page


# --- steps that nobody asked for -------------------------------------------------------------------------------------

OURS = "http://localhost"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 204),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "https://localhost"}, 403),
        ({"Origin": "http://localhost:81"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 204),
        ({"X-CSRF-Token": ""}, 403),
        ({"X-CSRF-Token": "c" * 43}, 403),
        ({"X-CSRF-Token": "字"}, 403),
        ({"Host": "evil.example"}, 421),
    ],
)
async def test_a_step_from_elsewhere_is_refused(house: House, headers: dict[str, str], status: int) -> None:
    async with at_the_door(house) as client:
        await sign_in(client)
        word = await word_of(client)
        sent = {"X-CSRF-Token": word} | headers
        raw = {name.encode(): value.encode() for name, value in sent.items()}
        answer = await client.post("/logout", headers=raw)
        assert answer.status_code == status
        if status == 403:
            assert "刷新页面" in answer.json()["error"]["do"]["zh"]
            assert (await client.get("/account")).status_code == 200


async def test_the_referer_will_do_and_the_word_may_stand_in_the_form(house: House) -> None:
    async with at_the_door(house) as client:
        await sign_in(client)
        word = await word_of(client)
        del client.headers["Origin"]
        form = {"csrf": word, "password": PASSWORD}
        assert (await client.post("/step-up", data=form)).status_code == 403
        evil = {"Referer": "http://evil.example/?http://localhost/"}
        assert (await client.post("/step-up", data=form, headers=evil)).status_code == 403
        referer = {"Referer": "http://localhost/settings"}
        assert (await client.post("/step-up", data=form, headers=referer)).status_code == 204  # the form is still there
        long = await client.post("/step-up", data=form | {"x": "y" * 70_000}, headers=referer)
        assert long.status_code == 413


@pytest.mark.parametrize("door", ["/login", "/setup"])
async def test_nobody_else_s_page_signs_a_browser_in(house: House, door: str) -> None:
    async with at_the_door(house) as client:
        for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert (await client.post(door, data=WANG, headers=headers)).status_code == 403
        assert (await client.post(door, data=WANG, headers={"Host": "evil.example"})).status_code == 421


# --- the password once more ------------------------------------------------------------------------------------------


async def test_what_is_dangerous_takes_the_password_once_more(house: House) -> None:
    async with at_the_door(house) as client:
        await sign_in(client, name="li")
        word = {"X-CSRF-Token": await word_of(client)}
        (session,) = house.people.sessions.of("li")
        session.fresh_s = float("-inf")
        person = {"name": "chen", "shown": "陈经理", "role": "manager", "password": PASSWORD}
        stale = await client.post("/settings/people", data=person, headers=word)
        assert (stale.status_code, stale.headers["X-Step-Up"]) == (403, "1")
        wrong = await client.post("/step-up", data={"password": "x"}, headers=word)
        assert (wrong.status_code, "X-Step-Up" in wrong.headers) == (403, False)
        assert wrong.json()["error"]["what"]["zh"] == "密码错误"
        assert (await client.post("/step-up", data={"password": PASSWORD}, headers=word)).status_code == 204
        assert (await client.post("/settings/people", data=person, headers=word)).status_code == 204
        assert house.people.get("chen") is not None


# --- machines --------------------------------------------------------------------------------------------------------


async def test_a_machine_may_what_its_token_says(house: House) -> None:
    text = await house.people.tokens.make("city", frozenset({"see"}), "李工", 0.0)
    async with at_the_door(house, "198.51.100.1") as client:
        bearer = {"Authorization": f"Bearer {text}"}
        assert (await client.get("/api/v1/status", headers=bearer)).status_code == 200
        assert (await client.get("/settings/people", headers=bearer)).status_code == 403
        assert (await client.get("/account", headers=bearer)).status_code == 404
        for wrong in (f"Bearer {text}x", "Bearer ", "Bearer 字"):
            headers = {b"Authorization": wrong.encode(), b"Accept": b"*/*"}
            assert (await client.get("/api/v1/status", headers=headers)).status_code == 401
        await house.people.tokens.remove("city")
        assert (await client.get("/api/v1/status", headers=bearer | {"Accept": "*/*"})).status_code == 401


async def test_a_wrong_token_is_not_covered_by_a_cookie(house: House) -> None:
    async with at_the_door(house) as client:
        await sign_in(client)
        headers = {"Authorization": "Bearer x", "Accept": "*/*"}
        assert (await client.get("/api/v1/status", headers=headers)).status_code == 401


# --- while nobody has an account -------------------------------------------------------------------------------------


async def test_this_machine_sees_and_is_told_to_set_up(empty: House) -> None:
    async with at_the_door(empty) as client:
        assert (await client.get("/api/v1/status")).status_code == 200
        assert (await client.get("/settings/people")).status_code == 403
        assert (await client.get("/login")).headers["Location"] == "/setup"
    async with at_the_door(empty, "192.0.2.9") as client:
        assert (await client.get("/")).headers["Location"] == "/login?next=/"
        stranger = await client.get("/api/v1/status", headers={"Accept": "*/*"})
        assert stranger.status_code == 403
        assert "/setup" in stranger.json()["error"]["do"]["zh"]


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_every_view_calls_for_the_set_up(empty: House, language: str) -> None:
    async with at_the_door(empty, language=language) as client:
        page = (await client.get("/no-such-page")).text
        assert sayings("frame")["no_account"].say(language) in page
        assert 'href="/setup"' in page
        assert 'id="ending"' not in page


async def test_what_cannot_be_read_lets_nobody_in(empty: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """That the disk does not answer is no sign that nobody has an account."""

    async def hangs(_work: object) -> None:
        raise StorageError("events.db", Text("the disk does not answer", "磁盘没有响应"))

    async with at_the_door(empty) as client:
        monkeypatch.setattr(empty.people, "_loaded", False)
        for way in ("read", "transact"):
            monkeypatch.setattr(empty.store, way, hangs)
        answer = await client.get("/", headers={"Accept": "*/*"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert (await client.get("/settings/people")).status_code == 503
        assert (await client.get("/readyz")).json().keys() == {"ready"}  # whether the disk answers is what it asks
        monkeypatch.undo()
        assert (await client.get("/")).status_code == 200


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_the_first_person_is_made_with_the_code(empty: House, language: str) -> None:
    async with at_the_door(empty, "192.0.2.9", language=language) as client:
        form = {"code": "ABCD-2345", "name": "li", "shown": "<b>李工", "password": PASSWORD, "again": PASSWORD}
        wrong = await client.post("/setup", data=form)
        assert wrong.status_code == 403
        assert ("设置码错误" if language == "zh" else "set-up code is wrong") in wrong.text
        assert 'value="&lt;b&gt;李工"' in wrong.text
        assert PASSWORD not in wrong.text
        form["code"] = (empty.people.code.kept() or "").lower().replace("-", "")
        for change, status in ({"again": "x"}, 403), ({"password": "short", "again": "short"}, 400):
            assert (await client.post("/setup", data=form | change)).status_code == status
        assert (await client.post("/setup", data=form)).status_code == 303
        assert (await client.get("/settings/people")).status_code == 200
        assert (await client.get("/setup")).headers["Location"] == "/login"
        assert empty.people.code.kept() is None
    async with at_the_door(empty) as client:  # from now on this machine needs one as well
        assert (await client.get("/api/v1/status", headers={"Accept": "*/*"})).status_code == 401


async def test_a_daemon_greets_with_the_code_and_lets_its_people_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    made = config(tmp_path, {}, web={"listen": f"127.0.0.1:{port}"}, language="zh-CN")
    async with living(made, Puppets()) as running:
        code = running.people.code.kept()
        assert code is not None
        assert any(code in record.getMessage() and "/setup" in record.getMessage() for record in caplog.records)
        running.people.passwords = Passwords(CHEAP)
        state = made.gateway.state_dir
        installer = await signed_in(port, "installer", state)
        duty = await signed_in(port, "duty", state)
        for who, status in (installer, 200), (duty, 403):
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", cookies=who.cookies) as client:
                assert (await client.get("/settings/people")).status_code == status


def test_every_right_is_somebody_s_or_a_machine_s() -> None:
    assert set().union(*ROLES.values()) == set(RIGHTS) - {"metrics"}
