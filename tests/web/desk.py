"""Somebody at the page: signed in by the real set-up and login, in a window of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, Page, expect

from gateway.rights import Role
from tests.browsers import DESKTOP, Screen, window
from tests.estates import Estate
from tests.houses import ask
from tests.visitors import SHOWN, signed_in

VIEWS = {  # every one, by the name of its picture; {alarm} is an open one
    "overview": "/",
    "alarms": "/alarms",
    "alarm": "/alarms/{alarm}",
    "alarm-missing": "/alarms/nothing",
    "alarms-past": "/alarms?tab=past",
    "devices": "/devices",
    "device": "/devices/smoke-1",
    "device-values": "/devices/climate-1",
    "plans": "/plans",
    "events": "/events",
    "uplink": "/uplink",
    "notices": "/notices",
    "reports": "/reports",
    "settings": "/settings",
    "people": "/settings/people",
    "tokens": "/settings/tokens",
    "history": "/settings/history",
    "audit": "/settings/audit",
    "settings-devices": "/settings/devices",
    "settings-places": "/settings/places",
    "machine": "/settings/machine",
    "backup": "/settings/backup",
    "account": "/account",
    "help": "/help",
    "public": "/public",
    "login": "/login",
}


@asynccontextmanager
async def at_desk(
    browser: Browser,
    here: Estate,
    role: str = "duty",
    *,
    screen: Screen = DESKTOP,
    language: str = "zh-CN",
    **more: Any,
) -> AsyncIterator[Page]:
    """A window of a person of this role; "" is nobody."""
    cookies = here.people[role] if role else ()
    async with window(browser, here.daemon.url, screen, language, cookies=cookies, **more) as page:
        yield page


async def settle_in(here: Estate) -> None:
    """One of each role, by the box's set-up code and the real door."""
    for role in SHOWN:
        here.people[role] = await entered(here, role)


async def entered(here: Estate, role: Role) -> list[dict[str, str]]:
    """The cookies of one who has just given their password."""
    port = int(here.daemon.url.rpartition(":")[2])
    signed = await signed_in(port, role, here.daemon.state)
    return [{"name": name, "value": value} for name, value in signed.cookies.items()]


async def begin_duty(page: Page) -> None:
    """The one tap that lets the page make a sound."""
    await page.locator("#duty").click()
    await expect(page.locator("body")).to_have_attribute("data-duty", "on")


async def calm(here: Estate) -> None:
    """Whatever a test has left: its causes end, somebody says what it was, and all is well."""
    alarms = await ask(here.daemon.state, "alarms")
    for alarm in alarms:  # first what it was: then each is over with its cause
        await ask(here.daemon.state, "ack", alarm=alarm["alarm"], who="王师傅", outcome="test")
    here.smoke(False)
    here.detectors.slaves[6].plug()
    for alarm in alarms:
        if alarm["flags"]["active"] and alarm["device"] in here.posters and alarm["type"] != "device.shielded":
            await here.post(alarm["device"], alarm["type"], "clear")
    for device in {alarm["device"] for alarm in alarms} - {"gw-0001"}:
        await here.until("normal", device)
