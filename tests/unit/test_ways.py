"""Who may reach the page by which way: a table of peers, listeners and requests."""

from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from gateway.web.ways import Gate, Ways, elsewhere

HTML = {"Accept": "text/html,*/*;q=0.8"}
BOTH, CLEAR, OPENED = Ways(8443), Ways(), Ways(8443, plain=True)


async def passed(request: Any) -> PlainTextResponse:
    return PlainTextResponse("passed")


async def answer(ways: Ways, peer: str, url: str, method: str = "GET", **more: Any) -> httpx.Response:
    app = Starlette(routes=[Route("/{path:path}", passed, methods=["GET", "POST", "HEAD"])])
    way = httpx.ASGITransport(app=Gate(app, ways), client=(peer, 50000))
    async with httpx.AsyncClient(transport=way) as client:
        return await client.request(method, url, **more)


@pytest.mark.parametrize(
    ("ways", "peer", "url", "status"),
    [
        (BOTH, "127.0.0.1", "http://localhost/alarms", 200),
        (BOTH, "::1", "http://localhost/alarms", 200),
        (BOTH, "::ffff:127.0.0.1", "http://localhost/alarms", 200),
        (BOTH, "192.0.2.9", "https://192.0.2.1/alarms", 200),
        (BOTH, "192.0.2.9", "http://192.0.2.1/alarms", 308),
        (CLEAR, "192.0.2.9", "http://192.0.2.1/alarms", 403),
        (OPENED, "192.0.2.9", "http://192.0.2.1/alarms", 200),
        (CLEAR, "2001:db8::9", "http://192.0.2.1/", 403),
        (CLEAR, "", "http://192.0.2.1/", 403),
        (CLEAR, "192.0.2.9", "http://192.0.2.1/ingest/cam-1", 200),
        (CLEAR, "192.0.2.9", "http://192.0.2.1/public", 200),
        (CLEAR, "192.0.2.9", "http://192.0.2.1/public.json", 200),
        (CLEAR, "192.0.2.9", "http://192.0.2.1/static/page.css", 200),
        (CLEAR, "192.0.2.9", "http://192.0.2.1/healthz", 200),
        (CLEAR, "192.0.2.9", "http://192.0.2.1/publicity", 403),
        (CLEAR, "192.0.2.9", "http://192.0.2.1/readyz", 403),
        (CLEAR, "192.0.2.9", "http://192.0.2.1/login", 403),
    ],
)
async def test_who_may(ways: Ways, peer: str, url: str, status: int) -> None:
    assert (await answer(ways, peer, url, headers=HTML)).status_code == status


@pytest.mark.parametrize(
    ("host", "where"),
    [
        ("192.0.2.1:8080", "https://192.0.2.1:8443/a?b=%E9%97%A8"),
        ("[2001:db8::1]:8080", "https://[2001:db8::1]:8443/a?b=%E9%97%A8"),
        ("gateway.local", "https://gateway.local:8443/a?b=%E9%97%A8"),
    ],
)
async def test_who_reads_is_sent_to_https_under_the_same_name(host: str, where: str) -> None:
    found = await answer(BOTH, "192.0.2.9", "http://192.0.2.1/a?b=门", headers=HTML | {"Host": host})
    assert (found.status_code, found.headers["location"]) == (308, where)
    assert found.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("host", ["evil.example/@192.0.2.1", "a b", "", "user@evil.example", "x:1:2"])
async def test_a_name_that_is_none_leads_nowhere(host: str) -> None:
    found = await answer(BOTH, "192.0.2.9", "http://192.0.2.1/", headers=HTML | {"Host": host})
    assert found.status_code == 403
    assert "location" not in found.headers


@pytest.mark.parametrize(("method", "headers"), [("POST", HTML), ("GET", {"Accept": "application/json"})])
async def test_what_carries_something_or_is_no_reader_is_told_instead(method: str, headers: dict[str, str]) -> None:
    """A password that was sent in the clear is not to be sent on as if nothing were wrong."""
    for ways, hint in ((BOTH, "8443"), (CLEAR, "web.https")):
        found = await answer(ways, "192.0.2.9", "http://192.0.2.1/login", method, headers=headers)
        error = found.json()["error"]
        assert found.status_code == 403
        assert hint in error["do"]["en"]
        assert hint in error["do"]["zh"]
        assert "default-src 'none'" in found.headers["content-security-policy"]


def test_a_connection_without_a_peer_comes_from_elsewhere() -> None:
    assert elsewhere({"type": "http", "client": None})
    assert elsewhere({"type": "http", "client": ("unix", 0)})
    assert not elsewhere({"type": "http", "client": ("127.8.9.1", 1)})
