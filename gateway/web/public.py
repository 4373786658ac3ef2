"""`/public`, for anybody and without login: what is sensed, kept and shared. No script, prints on A4."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from gateway.errors import StorageError, Text
from gateway.house import House
from gateway.web import words
from gateway.web.frame import environment
from gateway.web.guard import error

RETRY_AFTER_S = 5
SAID: Mapping[str, Text] = {
    "title": Text("What is sensed here, and who is told", "本小区感知与共享公示"),
    "as_of": Text("as of", "截至"),
    "made": Text(
        "Made by the gateway itself from the configuration it runs by and its counts. It names no person and no flat.",
        "由网关根据当前运行的配置和自身计数自动生成,不含任何个人和住户信息。",
    ),
    "sensed": Text("What is sensed", "感知内容"),
    "building": Text("Building", "楼栋"),
    "kind": Text("Kind of device", "设备类型"),
    "count": Text("Number", "数量"),
    "purpose": Text("Purpose", "用途"),
    "nothing_sensed": Text("No device is configured.", "尚未配置设备。"),
    "kept": Text("How long it is kept on this machine", "本机保存期限"),
    "events": Text("events", "事件"),
    "cards": Text("card numbers", "卡号"),
    "disclosure": Text("counts of what was shared", "共享计数"),
    "shared": Text("Who is told", "共享对象"),
    "nobody": Text("Nobody: nothing leaves this machine.", "无:数据不离开本机。"),
    "ended": Text("is not told anything any more", "已停止共享"),
    "profile": Text("profile", "脱敏方案"),
    "types": Text("events", "事件类型"),
    "places": Text("only from", "仅限"),
    "severity": Text("from severity", "最低级别"),
    "fields": Text("fields", "字段"),
    "without": Text("without", "不含"),
    "credentials": Text("cards", "卡片"),
    "operators": Text("those who act", "操作人"),
    "place": Text("place told down to the", "位置精确到"),
    "states": Text("present state of devices", "设备当前状态"),
    "commands": Text("may ask for", "可下发的命令"),
    "keep": Text("may keep it for", "对方可保存"),
    "given": Text("given in the last days", "近期提供的事件数"),
    "type": Text("Event", "事件"),
    "none": Text("not told", "不提供"),
    "keyed": Text("references only, which others cannot join", "仅引用值,其他部门无法关联"),
    "clear": Text("in clear", "明文"),
    "yes": Text("yes", "是"),
    "no": Text("no", "否"),
    "all": Text("all", "全部"),
    "room": Text("room", "房间"),
    "floor": Text("floor", "楼层"),
    "unit": Text("unit", "单元"),
    "last_outage": Text("Last time a platform was out of reach", "最近一次与平台断开"),
    "last_drill": Text("Last drill", "最近一次演练"),
    "raise": Text("began", "开始"),
    "clear_": Text("ended", "结束"),
    "pulse": Text("on", "于"),
    "never": Text("none known", "无记录"),
}
_RULES = ("profile", "types", "places", "severity", "fields", "without", "credentials", "operators", "place", "states",
          "commands", "keep")  # fmt: skip
_AS_WORDS = frozenset({"credentials", "operators", "place"})


def add(app: FastAPI, house: House) -> None:
    """The two routes."""

    @app.get("/public", include_in_schema=False)
    async def page(request: Request) -> Response:
        if "application/json" in request.headers.get("accept", ""):
            return await document()
        language = words.choose(request.headers.get("accept-language", ""), house.language)
        try:
            return HTMLResponse(render(await house.public.document(), language))
        except StorageError as exc:
            return _not_now(exc)

    @app.get("/public.json", summary="What is sensed, kept and shared")
    async def document() -> Response:
        try:
            return JSONResponse(await house.public.document())
        except StorageError as exc:
            return _not_now(exc)


def _not_now(exc: StorageError) -> Response:
    return error(503, exc.where, exc.what, exc.do, headers={"Retry-After": str(RETRY_AFTER_S)})


def render(document: Mapping[str, Any], language: str) -> str:
    """The page, in `zh` or `en`."""
    template = environment().get_template("public.html")
    return template.render(
        document=document,
        language="zh-CN" if language == "zh" else "en",
        word=lambda key: SAID[key].say(language),
        pick=lambda text: text[language],
        moment=_moment,
        span=lambda text: _span(text, language),
        rules=lambda uplink: [(SAID[name].say(language), _said(name, uplink, language)) for name in _RULES
                              if name in uplink],
    )  # fmt: skip


def _said(name: str, uplink: Mapping[str, Any], language: str) -> str:
    value = uplink[name]
    if isinstance(value, bool):
        return SAID["yes" if value else "no"].say(language)
    if isinstance(value, list):
        return ", ".join(SAID["all"].say(language) if item == "*" else str(item) for item in value)
    if name == "keep":
        return _span(value, language)
    return SAID[value].say(language) if name in _AS_WORDS else str(value)


def _span(text: str, language: str) -> str:
    """`30d` as people say it."""
    return f"{text[:-1]} {words.UNITS[text[-1]].say(language)}" if text[-2:] != "ms" else text


def _moment(text: str) -> str:
    """In local time, to the minute."""
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M")
