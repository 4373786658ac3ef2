"""`/public`, for anybody and without login: what is sensed, kept and shared. No script, prints on A4.

`/public/poster` is a sheet for the notice board: three sentences in both languages, and the way to the page.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from gateway.errors import GatewayError, Text
from gateway.event import Severity
from gateway.rulewords import ACTIONS, type_text
from gateway.taxonomy import SEVERITIES
from gateway.web import words
from gateway.web.catalogue import Speaker, sayings
from gateway.web.frame import Frame
from gateway.web.visitor import needs


class NoAddress(GatewayError):
    """Nobody elsewhere can open this gateway's page."""


def add(app: FastAPI, frame: Frame) -> None:
    """The routes."""
    house = frame.house

    @app.get("/public", include_in_schema=False)
    async def page(request: Request) -> Response:
        if "application/json" in request.headers.get("accept", ""):
            return await document()
        language = frame.language(request)
        told = await house.public.document()
        return frame.page(request, "public", "public.html", document=told, rules=lambda of: rules(of, language),
                          span=lambda text: span(text, language), given=lambda row: given(row, language),
                          pick=lambda text: text[language])  # fmt: skip

    @app.get("/public.json", summary="What is sensed, kept and shared")
    async def document() -> Response:
        return JSONResponse(await house.public.document())

    @app.get("/public/poster", include_in_schema=False, dependencies=[needs("see").depends])
    async def poster(request: Request) -> Response:
        address = address_of(frame)
        says = [(tag, Speaker("public", tag[:2])) for tag in ("zh-CN", "en")]
        return frame.page(request, "public", "public_poster.html", address=address, says=says, code=qr(address))


def address_of(frame: Frame) -> str:
    """Where residents open `/public`. NoAddress: there is none."""
    web = frame.house.config.gateway.web
    if web is None or not web.names:
        what = Text("the page has no name that others could open", "网页没有可供他人访问的名称或地址")
        do = Text("write one under gateway.web.names, and restart", "请在 gateway.web.names 中填写名称或地址后重启")
        raise NoAddress("gateway.web.names", what, do)
    port = "" if web.listen[1] == 80 else f":{web.listen[1]}"
    return f"http://{web.names[0]}{port}/public"


def qr(text: str) -> tuple[int, str]:
    """A QR code: how many modules it is wide with its quiet zone, and the path of its dark ones (SVG)."""
    import segno  # when somebody asks for one

    rows = [bytes(row) for row in segno.make(text, micro=False, error="m").matrix_iter(border=4)]
    dark = [(x, y) for y, row in enumerate(rows) for x, module in enumerate(row) if module]
    return len(rows), "".join(f"M{x} {y}h1v1h-1z" for x, y in dark)


def rules(uplink: Mapping[str, Any], language: str) -> list[tuple[str, str]]:
    """What a department gets, each rule by its name; all in words."""
    say = Speaker("public", language)
    return [(say(name), told(uplink[name], say)) for name, told in _RULES.items() if name in uplink]


def given(row: Mapping[str, Any], language: str) -> str:
    """What stood in events of a type."""
    return _fields(row["fields"], Speaker("public", language))


def span(text: str, language: str) -> str:
    """`30d` as people say it."""
    return f"{text[:-1]} {words.UNITS[text[-1]].say(language)}" if text[-1] in words.UNITS else text


def listed(items: Iterable[str], language: str) -> str:
    """With the comma of the language."""
    return ("、" if language == "zh" else ", ").join(items)


def _types(patterns: list[str], say: Speaker) -> str:
    return listed([type_text(pattern).say(say.language) for pattern in patterns], say.language)


def _fields(names: list[str], say: Speaker) -> str:
    known = sayings("public")
    return listed([say(key) if (key := f"field_{name}") in known else name for name in names], say.language)


def _commands(names: list[str], say: Speaker) -> str:
    known = sayings("public")
    said = [say(f"do_{name}") if f"do_{name}" in known else _action(name, say) for name in names]
    return listed(said, say.language)


def _action(name: str, say: Speaker) -> str:
    return ACTIONS[name].say(say.language) if name in ACTIONS else name


def _one(prefix: str) -> Callable[[Any, Speaker], str]:
    return lambda value, say: say(f"{prefix}_{value}")


_RULES: Mapping[str, Callable[[Any, Speaker], str]] = {
    "types": _types,
    "places": lambda places, say: listed(places, say.language),
    "severity": lambda name, say: SEVERITIES[Severity(name)].say(say.language),
    "fields": _fields,
    "without": _fields,
    "credentials": _one("shown"),
    "operators": _one("shown"),
    "place": _one("depth"),
    "states": lambda value, say: say("yes" if value else "no"),
    "commands": _commands,
    "keep": lambda text, say: span(text, say.language),
}
