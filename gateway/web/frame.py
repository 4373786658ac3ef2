"""What stands around every view: the site in one word, the alarm banner, the way to the other views."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gateway.house import House
from gateway.web import assets, show, words
from gateway.web.banner import banner
from gateway.web.catalogue import Speaker
from gateway.web.glance import Echoes, Glance, look
from gateway.web.visitor import Right, Visitor

LANGUAGE = "lang"  # the cookie, and the parameter, that choose one: zh or en


@dataclass(frozen=True)
class Room:
    """A view in the way around; `right` is what it takes to get in."""

    name: str
    path: str
    icon: str  # in static/icons.svg
    right: Right = "see"


ROOMS = (
    Room("overview", "/", "home"),
    Room("alarms", "/alarms", "bell"),
    Room("devices", "/devices", "building"),
    Room("plans", "/plans", "map"),
    Room("events", "/events", "list"),
    Room("uplink", "/uplink", "upload"),
    Room("notices", "/notices", "inbox"),
    Room("reports", "/reports", "report"),
    Room("settings", "/settings", "settings"),
    Room("help", "/help", "help"),
)


FOREMOST = 3  # of these stand in the bar of a phone, the rest behind 更多
_SCRIPT = ("lost", "ended", "off", "on", "pause", "paused", "waiting", "d", "h", "m", "s")  # what alarm.js says


@cache
def environment() -> Environment:
    """Templates of this package; what is put into them cannot become markup."""
    made = Environment(
        loader=PackageLoader("gateway.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"asset": assets.url, "rooms": ROOMS, "foremost": FOREMOST, "size": show.size}
    return made


class Frame:
    """Makes pages of one house."""

    def __init__(self, house: House) -> None:
        self.house = house

    @cached_property
    def environment(self) -> Environment:
        """Templates of this package."""
        return environment()

    def language(self, request: Request) -> str:
        """`zh` or `en`: as chosen here, else as the browser likes, else as configured."""
        for chosen in (request.query_params.get(LANGUAGE), request.cookies.get(LANGUAGE)):
            if chosen in ("zh", "en"):
                return chosen
        return words.choose(request.headers.get("accept-language", ""), self.house.language)

    def page(
        self, request: Request, room: str, template: str, *, status: int = 200, speaks: str = "", **values: Any
    ) -> HTMLResponse:
        """A whole page: `templates/{template}` extends `frame.html`; `values` are its own.

        `room` is where it stands in ROOMS; `speaks` names the catalogue where that is another.
        """
        language = self.language(request)
        around = self.around(request, room, values.pop("glance", None) or self.glance())
        answer = HTMLResponse(self.render(template, speaks or room, language, **(around | values)))
        answer.status_code = status
        if request.query_params.get(LANGUAGE) == language:
            answer.set_cookie(LANGUAGE, language, max_age=31_536_000, samesite="strict", path="/")
        return answer

    def render(self, template: str, room: str, language: str, /, **values: Any) -> str:
        """A template with what every one of them may use: `say`, `dates`, `sign`, `label`, `hue`, `now`."""
        given = {
            "say": Speaker(room, language),
            "dates": show.Dates(self.zone, language),
            "sign": lambda table, name: show.sign(_TABLES[table], name, language),
            "label": partial(show.label, language=language),
            "hue": show.hue,
            "language": "zh-CN" if language == "zh" else "en",
            "now": self.house.health()["time"],
        }
        return self.environment.get_template(template).render(given | values)

    def around(self, request: Request, room: str, glance: Glance) -> dict[str, Any]:
        """What the frame itself shows."""
        visitor: Visitor | None = getattr(request.state, "visitor", None)
        language = self.language(request)
        say = Speaker("frame", language)
        return {
            "room": room,
            "visitor": visitor,
            "site": self.house.config.site.name,
            "verdict": glance.verdict,
            "path": "/" + request.url.path.lstrip("/\\"),  # of this gateway: two slashes lead elsewhere
            "turned": f"?{request.url.include_query_params(lang='en' if language == 'zh' else 'zh').query}",
            "zone": str(self.zone),
            "state": self.state(glance, language),
            "banner": Markup(self.banner(glance, language, visitor.rights)) if visitor else "",  # noqa: S704  # ours
            "texts": {key: say(f"script_{key}") for key in _SCRIPT},
        }

    # what the stream tells (hub.py)

    @cached_property
    def echoes(self) -> Echoes:
        """Feedback of outputs."""
        return Echoes(self.house)

    def glance(self) -> Glance:
        """One look at the house."""
        return look(self.house, self.echoes)

    def state(self, glance: Glance, language: str) -> dict[str, Any]:
        """The top of the page, as its script needs it too."""
        word = str(glance.verdict["word"])
        sign = show.sign(words.VERDICTS, word, language)
        say = Speaker("frame", language)
        count = glance.tiles["fire"] if word == "fire" else glance.apart["alarm"] if word == "alarm" else 0
        about = " ".join(filter(None, [sign.shape, sign.word, str(count or "")]))
        lost = [name for name, (connected, _) in glance.uplinks.items() if not connected]
        platform = say("platform_lost", names=", ".join(lost)) if lost else say("platform_well")
        return {
            "word": sign.name,
            "shape": sign.shape,
            "say": sign.word,
            "count": count,
            "title": f"{about} · {glance.first_place or self.house.config.site.name}",
            "icon": assets.url(f"sign-{sign.name}.svg"),
            "since": glance.verdict.get("since"),
            "flood": glance.verdict.get("flood", 0),
            "platform": platform if glance.uplinks else say("platform_none"),
            "linked": not lost,
            "backlog": say("backlog", count=sum(waiting for _, waiting in glance.uplinks.values())),
            "tiles": {**glance.tiles, "alarm": glance.apart["alarm"]},
            "sounding": glance.sounding,
            "sounds": dict(glance.sounds),
            "alarms": glance.alarm_mark,
        }

    def banner(self, glance: Glance, language: str, rights: frozenset[Right]) -> str:
        """What calls now."""
        return banner(self, language, rights, glance.alarms)

    def rows(self, events: Iterable[Mapping[str, Any]], language: str, skipped: int = 0) -> str:
        """Live events, the newest first."""
        rows = [show.row(event, self.names) for event in events]
        return self.render("overview_rows.html", "overview", language, rows=rows, skipped=skipped).strip()

    @cached_property
    def names(self) -> dict[str, str]:
        """What people call the devices, by their identities."""
        return {device.id: device.name or device.id for device in self.house.site.devices}

    @property
    def zone(self) -> ZoneInfo:
        """The site's."""
        return ZoneInfo(self.house.config.site.timezone)


_TABLES = {"verdict": words.VERDICTS, "state": words.STATES, "link": words.LINKS}
