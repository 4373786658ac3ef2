"""Files that the page needs, out of the package: `/static/{name}`, compressed once, kept by the browser for good.

A page names them with the hash of their content (`Assets.url`), so that a new version is fetched and an old one never
is. Third parties' files stand in `static/vendor` with their versions, licences and hashes (`vendor.toml`).
"""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_FOR_GOOD = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    """One file as it goes out."""

    plain: bytes
    packed: bytes
    type: str
    version: str


@cache
def assets() -> dict[str, Asset]:
    """By name below `static/`."""
    return dict(_found(files("gateway.web") / "static", ""))


def _found(folder: Traversable, before: str) -> list[tuple[str, Asset]]:
    found: list[tuple[str, Asset]] = []
    for entry in folder.iterdir():
        name, ending = f"{before}{entry.name}", entry.name.rpartition(".")[2]
        if entry.is_dir():
            found += _found(entry, f"{name}/")
        elif ending in _TYPES:
            plain = entry.read_bytes()
            packed, version = gzip.compress(plain, 9, mtime=0), hashlib.sha256(plain).hexdigest()[:12]
            found.append((name, Asset(plain, packed, _TYPES[ending], version)))
    return found


def url(name: str) -> str:
    """Where it is fetched. KeyError: there is no such file."""
    return f"/static/{name}?v={assets()[name].version}"


def add(app: FastAPI) -> None:
    """The route."""

    @app.get("/static/{name:path}", include_in_schema=False)
    async def static(request: Request, name: str) -> Response:
        asset = assets().get(name)
        if asset is None:
            raise HTTPException(404)
        kept = request.query_params.get("v") == asset.version
        headers = {"Cache-Control": _FOR_GOOD if kept else "no-cache", "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(asset.packed, media_type=asset.type, headers=headers)
        return Response(asset.plain, media_type=asset.type, headers=headers)
