"""What stands around every view: the site in one word, the alarm banner, the way to the other views."""

from dataclasses import dataclass
from functools import cached_property, partial
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


class Frame:
    """Makes pages of one house."""

    def __init__(self, house: House) -> None:
        self.house = house

    @cached_property
    def environment(self) -> Environment:
        """Templates of this package; what is put into them cannot become markup."""
        made = Environment(
            loader=PackageLoader("gateway.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        made.globals |= {"asset": assets.url, "rooms": ROOMS, "size": show.size}
        return made

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
        answer = HTMLResponse(self.render(template, speaks or room, language, **self.around(request, room), **values))
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

    def around(self, request: Request, room: str) -> dict[str, Any]:
        """What the frame itself shows."""
        visitor: Visitor | None = getattr(request.state, "visitor", None)
        calls = banner(self, self.language(request), visitor.rights, self.house.alarms()) if visitor else ""
        return {
            "room": room,
            "visitor": visitor,
            "site": self.house.config.site.name,
            "verdict": self.house.verdict(),
            "path": request.url.path,
            "banner": Markup(calls),  # noqa: S704  # a template of ours made it
        }

    @property
    def zone(self) -> ZoneInfo:
        """The site's."""
        return ZoneInfo(self.house.config.site.timezone)


_TABLES = {"verdict": words.VERDICTS, "state": words.STATES, "link": words.LINKS}
