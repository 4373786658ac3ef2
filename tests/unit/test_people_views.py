"""People, tokens and one's own account as pages: in both languages, for whom they are, with hostile names."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.house import House
from gateway.lockout import MOST_WRONG
from gateway.passwords import Passwords
from gateway.web.catalogue import sayings
from tests.census import CHEAP, INSTALLER, PASSWORD
from tests.houses import Puppets, config, living
from tests.visitors import EVIL, at_the_door, known, said, visiting, why, word_of

OTHER = "another long one"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """With one of each who matters."""
    async with living(config(tmp_path, {}), Puppets()) as made:
        made.people.passwords = Passwords(CHEAP)
        await made.people.add(INSTALLER, "li", "李工", "installer", PASSWORD)
        await made.people.add(INSTALLER, "wang", EVIL, "duty", PASSWORD)
        yield made


def refused(answer: httpx.Response, status: int) -> str:
    """What it says."""
    assert answer.status_code == status, answer.text
    return why(answer)


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_the_list_of_people(house: House, language: str) -> None:
    async with visiting(house, known("installer"), language=language) as client:
        page = (await client.get("/settings/people")).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    for key in ("people", "add_person", "role", "may_manager"):
        assert sayings("people")[key].say(language) in page
    rows = re.findall(r'<th scope="row" class="name">\s*([^<]+?)\s*</th>', page)
    assert rows == ["李工", "&lt;script&gt;alert(1)&lt;/script&gt;"]
    assert re.findall(r"style=| on[a-z]+=", page) == []


async def test_a_manager_neither_makes_nor_changes_an_installer(house: House) -> None:
    async with visiting(house, known("manager")) as client:
        page = (await client.get("/settings/people")).text
        assert 'value="installer"' not in page
        assert "/settings/people/li/" not in page
        assert "/settings/people/wang/" in page
        person = {"name": "x", "shown": "x", "role": "installer", "password": PASSWORD}
        assert "不能授予" in refused(await client.post("/settings/people", data=person), 403)
        for step, form in ("password", {"password": OTHER}), ("role", {"role": "duty"}), ("remove", {}), ("unlock", {}):
            assert "不能授予" in refused(await client.post(f"/settings/people/li/{step}", data=form), 403)
        assert "不能授予" in refused(await client.post("/settings/people/wang/role", data={"role": "installer"}), 403)
        assert said(await client.post("/settings/people", data=person | {"role": "auditor"})) == "已添加 x,现在可以登录"


async def test_what_is_done_to_a_person(house: House) -> None:
    async with visiting(house, known("installer")) as client:
        wang = "/settings/people/wang"
        assert "新密码" in said(await client.post(f"{wang}/password", data={"password": OTHER}))
        async with house.people.passwords.looking() as fits:
            person = house.people.get("wang")
            assert person is not None
            assert await fits(OTHER, person.password)
        assert said(await client.post(f"{wang}/role", data={"role": "manager"})).endswith("已改为物业经理")
        assert "已删除" in said(await client.post(f"{wang}/remove"))
        assert refused(await client.post(f"{wang}/remove"), 404) == "没有这个人员"
        lines = [line for line in await _audit(house) if line["who"] == "王师傅"]
        assert [line["what"] for line in lines] == ["person.password", "person.role", "person.remove"]


async def _audit(house: House) -> list[dict[str, str]]:
    from gateway.audit import lines

    return [entry for _, entry in await house.store.read(lambda connection: lines(connection, 0, 1000))]


@pytest.mark.parametrize(
    ("form", "zh"),
    [
        ({}, "请选择角色"),
        ({"role": "king"}, "请选择角色"),
        ({"role": "duty"}, "登录名"),
        ({"role": "duty", "name": "li", "password": PASSWORD}, "已被使用"),
        ({"role": "duty", "name": "x", "password": "short"}, "至少 10"),
    ],
)
async def test_a_wrong_form_gets_a_clear_answer(house: House, form: dict[str, str], zh: str) -> None:
    async with visiting(house, known("installer")) as client:
        assert zh in refused(await client.post("/settings/people", data=form), 409)


async def test_what_is_no_form_is_refused(house: House) -> None:
    async with visiting(house, known("installer")) as client:
        for content, status in (b"\xff\xfe=", 400), (b"&".join([b"a=b"] * 300), 400), (b"a=" + b"x" * 70_000, 413):
            answer = await client.post("/settings/people", content=content)
            assert answer.status_code == status
            assert answer.json()["error"]["what"]["zh"]


async def test_a_locked_account_is_shown_and_opened(house: House) -> None:
    async with at_the_door(house, "198.51.100.1") as stranger:
        for _ in range(MOST_WRONG):
            await stranger.post("/login", data={"name": "wang", "password": "x"})
    async with visiting(house, known("manager")) as client:
        assert "已锁定" in (await client.get("/settings/people")).text
        assert "已解锁" in said(await client.post("/settings/people/wang/unlock"))
        assert "已锁定" not in (await client.get("/settings/people")).text


# --- tokens ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_a_token_is_shown_once(house: House, language: str) -> None:
    async with visiting(house, known("installer"), language=language) as client:
        assert sayings("people")["no_tokens"].say(language) in (await client.get("/settings/tokens")).text
        form = {"name": EVIL, "see": "on", "metrics": "on", "lasting": "30"}
        made = await client.post("/settings/tokens", data=form)
        (text,) = re.findall(r"<code>(gw_[\w-]{43})</code>", made.text)
        found = house.people.tokens.find(text)
        assert found is not None
        assert found.rights == {"see", "metrics"}
        assert found.until_ms - found.made_ms == 30 * 86_400_000
        page = (await client.get("/settings/tokens")).text
        assert text not in page
        assert "<script>alert" not in page
        assert sayings("people")["right_metrics"].say(language) in page
        await client.post("/settings/tokens/remove", data={"name": EVIL})
        assert house.people.tokens.list() == []
        assert [line["what"] for line in (await _audit(house))[-2:]] == ["token.make", "token.remove"]


async def test_which_tokens_are_refused(house: House) -> None:
    async with visiting(house, known("manager")) as client:
        good = {"name": "city", "see": "on", "lasting": ""}
        assert "不能授予" in refused(await client.post("/settings/tokens", data=good | {"configure": "on"}), 403)
        assert "权限" in refused(await client.post("/settings/tokens", data={"name": "city", "lasting": ""}), 409)
        assert "有效期" in refused(await client.post("/settings/tokens", data=good | {"lasting": "9"}), 409)
        assert refused(await client.post("/settings/tokens/remove", data={"name": "none"}), 404) == "没有这个令牌"
        await house.people.tokens.make("box", frozenset({"configure"}), "李工", 0.0)
        assert "不能授予" in refused(await client.post("/settings/tokens/remove", data={"name": "box"}), 403)
        assert "删除 box" not in (await client.get("/settings/tokens")).text


# --- one's own account -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_one_s_own_account(house: House, language: str) -> None:
    async with (
        at_the_door(house, "192.0.2.7", language=language) as here,
        at_the_door(house, "192.0.2.8", language=language) as there,
    ):
        for client in (here, there):
            await client.post("/login", data={"name": "wang", "password": PASSWORD})
        page = (await here.get("/account")).text
        assert "<script>alert" not in page
        assert {"192.0.2.7", "192.0.2.8"} <= set(text_of(page).split())
        assert sayings("people")["this_one"].say(language) in page
        (key,) = re.findall(r"/account/sessions/(\w+)/end", page)
        word = {"X-CSRF-Token": await word_of(here)}
        assert said(await here.post(f"/account/sessions/{key}/end", headers=word))
        assert (await there.get("/account")).status_code == 303
        assert (await here.post(f"/account/sessions/{key}/end", headers=word)).status_code == 404


async def test_nobody_ends_a_session_of_somebody_else(house: House) -> None:
    async with at_the_door(house) as wang, at_the_door(house) as li:
        await wang.post("/login", data={"name": "wang", "password": PASSWORD})
        await li.post("/login", data={"name": "li", "password": PASSWORD})
        (session,) = house.people.sessions.of("li")
        word = {"X-CSRF-Token": await word_of(wang)}
        assert (await wang.post(f"/account/sessions/{session.key}/end", headers=word)).status_code == 404
        assert (await li.get("/account")).status_code == 200


async def test_another_password_of_one_s_own(house: House) -> None:
    async with at_the_door(house, "192.0.2.7") as here, at_the_door(house, "192.0.2.8") as there:
        for client in (here, there):
            await client.post("/login", data={"name": "wang", "password": PASSWORD})
        word, old = {"X-CSRF-Token": await word_of(here)}, here.cookies["session"]
        form = {"old": PASSWORD, "password": OTHER, "again": OTHER}
        assert (
            refused(await here.post("/account/password", data=form | {"old": "x"}, headers=word), 403)
            == "密码错误 请重新输入"
        )
        assert "不一致" in refused(await here.post("/account/password", data=form | {"again": "x"}, headers=word), 409)
        short = {"old": PASSWORD, "password": "short", "again": "short"}
        assert "至少 10" in refused(await here.post("/account/password", data=short, headers=word), 409)
        assert "密码已修改" in said(await here.post("/account/password", data=form, headers=word))
        assert here.cookies["session"] != old
        assert (await here.get("/account")).status_code == 200
        assert (await there.get("/account")).status_code == 303


# --- what every view has of it ---------------------------------------------------------------------------------------


async def test_the_frame_leads_to_the_set_up_and_tells_when_a_sign_in_ends(house: House, tmp_path: Path) -> None:
    async with at_the_door(house) as client:
        await client.post("/login", data={"name": "wang", "password": PASSWORD})
        page = (await client.get("/account")).text
        assert re.search(r'id="ending" data-ends="\d{4}-\d\d-\d\dT[^"]+Z" hidden', page)
        assert 'href="/login?next=/account"' in page
        assert '<dialog id="step-up"' in page
    async with living(config(tmp_path / "empty", {}), Puppets()) as nobody, at_the_door(nobody) as client:
        page = (await client.get("/setup")).text
        assert 'action="/setup"' in page
        assert "<dialog" not in page


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_a_browser_is_told_in_the_frame_and_a_program_in_json(house: House, language: str) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml"}
    async with visiting(house, known("duty"), language=language) as client:
        for path, status in ("/settings/people", 403), ("/no-such-page", 404):
            page = await client.get(path, headers=browser)
            assert page.status_code == status
            assert sayings("login")["problem"].say(language) in page.text
            assert 'class="problem"' in page.text
            for headers in ({}, browser | {"HX-Request": "true"}):
                assert (await client.get(path, headers=headers)).json()["error"]["what"][language]
        assert (await client.get("/api/v1/none", headers=browser)).json()["error"]
        assert '"//' not in (await client.get("/%2Fevil.example/x", headers=browser)).text  # no link leads elsewhere
    async with visiting(house, None) as client:
        assert (await client.get("/no-such-page", headers=browser)).status_code == 303


@pytest.mark.parametrize("room", ["login", "people"])
def test_every_sentence_stands_in_both_languages(room: str) -> None:
    for key, text in sayings(room).items():
        assert re.search(r"[一-鿿]", text.zh), key
        assert not re.search(r"[一-鿿]", text.en), key
        assert re.findall(r"{\w+}", text.en) == re.findall(r"{\w+}", text.zh), key
