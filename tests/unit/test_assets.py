"""The page's files: of a known version, packed, kept by browsers only as long as they are what they were."""

import gzip
import hashlib
import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from gateway.web.assets import assets, url
from tests.houses import Puppets, config, living
from tests.visitors import known, visiting

STATIC = files("gateway.web") / "static"
VENDOR = tomllib.loads((STATIC / "vendor" / "vendor.toml").read_text("utf-8"))


@pytest.mark.parametrize("name", [name for name in VENDOR if "sha256" in VENDOR[name]])
def test_third_parties_files_are_as_they_were_published(name: str) -> None:
    content = (STATIC / "vendor" / name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == VENDOR[name]["sha256"]


def test_every_third_party_is_named_with_its_licence() -> None:
    programs = {each.name for each in (STATIC / "vendor").iterdir() if each.name.endswith((".js", ".css"))}
    assert programs <= VENDOR.keys()
    for name, part in VENDOR.items():
        assert part["licence"], name


def test_an_address_changes_with_what_is_behind_it() -> None:
    asset = assets()["page.css"]
    assert url("page.css") == f"/static/page.css?v={hashlib.sha256(asset.plain).hexdigest()[:12]}"
    assert gzip.decompress(asset.packed) == asset.plain
    with pytest.raises(KeyError):
        url("nothing.css")


def test_every_file_is_used() -> None:
    web = files("gateway.web")
    source = "".join(each.read_text("utf-8") for each in (web / "templates").iterdir())
    source += "".join(each.read_text("utf-8") for each in web.iterdir() if each.name.endswith(".py"))
    signs = {f"sign-{name}.svg" for name in ("fire", "alarm", "unknown", "fault", "disconnected", "shielded", "normal")}
    assert {name for name in assets() if name not in source} <= signs
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", source)


async def test_only_the_address_with_the_version_is_kept_for_good(tmp_path: Path) -> None:
    async with living(config(tmp_path, {}), Puppets()) as house, visiting(house, known("duty")) as me:
        bare, other = "/static/page.css", "/static/page.css?v=0"
        for address, keeps in ((url("page.css"), "immutable"), (bare, "no-cache"), (other, "no-cache")):
            answer = await me.get(address)
            assert keeps in answer.headers["cache-control"]
            assert answer.headers["content-encoding"] == "gzip"
            assert answer.content == assets()["page.css"].plain
        plain = await me.get(bare, headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert plain.content == assets()["page.css"].plain


@pytest.mark.parametrize("name", ["nothing.css", "../api.py", "%2e%2e/api.py", "vendor", "vendor/vendor.toml", ""])
async def test_nothing_else_of_the_package_goes_out(tmp_path: Path, name: str) -> None:
    async with living(config(tmp_path, {}), Puppets()) as house, visiting(house, known("duty")) as me:
        assert (await me.get(f"/static/{name}")).status_code == 404
