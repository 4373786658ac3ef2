"""Where a device pushes to: its list `/ISAPI/Event/notification/httpHosts`, read and set. (An underscore: no driver.)

A device has a few places for such addresses. Ours is the one with our path in it; where there is none yet, an empty one
is taken, never one that somebody else uses. Some firmware forgets it in a restart, so it is looked at again and again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from xml.sax.saxutils import escape

from drivers._alert import read, whole
from drivers._http import Http, ask
from drivers._isapi_orders import DONE, XMLNS, verdict
from gateway.errors import NeedsPerson, Text

PATH = "/ISAPI/Event/notification/httpHosts"
HEARTBEAT_S = 30
_SUBSCRIBE = (
    f"<SubscribeEvent><heartbeat>{HEARTBEAT_S}</heartbeat><eventMode>all</eventMode></SubscribeEvent>",
    "",  # for firmware that does not know it
)


@dataclass(frozen=True)
class Target:
    """An address of ours, as a device is told it."""

    host: str
    port: int
    path: str
    mine: str  # what every path of ours for this device begins with, also those of earlier runs

    def stands_in(self, slot: Mapping[str, Any]) -> bool:
        """Does the device push to it?"""
        host = slot.get("ipAddress") if _literal(self.host) else slot.get("hostName")
        return (slot.get("url"), whole(slot.get("portNo")), host) == (self.path, self.port, self.host)

    def body(self, number: str, subscribe: str) -> bytes:
        """The place as it is to be."""
        kind, field = ("ipaddress", "ipAddress") if _literal(self.host) else ("hostname", "hostName")
        return (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<HttpHostNotification {XMLNS}><id>{escape(number)}</id>'
            f"<url>{self.path}</url><protocolType>HTTP</protocolType><parameterFormatType>JSON</parameterFormatType>"
            f"<addressingFormatType>{kind}</addressingFormatType><{field}>{self.host}</{field}>"
            f"<portNo>{self.port}</portNo><httpAuthenticationMethod>none</httpAuthenticationMethod>{subscribe}"
            "</HttpHostNotification>"
        ).encode()


def _literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _free(slot: Mapping[str, Any]) -> bool:
    hosts = [str(slot.get(name) or "") for name in ("ipAddress", "hostName")]
    return all(host in ("", "0.0.0.0", "::") for host in hosts)  # what an empty place shows


def place(slots: Iterable[Mapping[str, Any]], target: Target) -> str | None:
    """The id of the place to use: the one that was ours, else an empty one; None where all are taken."""
    listed = [slot for slot in slots if slot.get("id")]
    ours = [slot for slot in listed if str(slot.get("url", "")).startswith(target.mine)]
    return next((str(slot["id"]) for slot in (*ours, *filter(_free, listed))), None)


async def ensure(http: Http, target: Target) -> bool:
    """The device pushes to us when this returns; True where it had to be told. NeedsPerson, Unreachable, BadInput."""
    slots = await _slots(http)
    if any(target.stands_in(slot) for slot in slots):
        return False
    number = place(slots, target)
    if number is None:
        raise NeedsPerson(
            http.site.where,
            Text(f"all {len(slots)} alarm hosts of {http.site.url} are taken", f"{http.site.url} 的报警主机已全部占用"),
            Text("free one in its menu (Network, HTTP listening)", "请在设备“网络-HTTP 监听”中清空一个"),
        )
    said = ""
    for subscribe in _SUBSCRIBE:
        reply = await ask(http, "PUT", f"{PATH}/{number}", target.body(number, subscribe))
        code, said = verdict(http.site.where, reply)
        if code == DONE:
            return True
    raise NeedsPerson(
        http.site.where,
        Text(
            f"{http.site.url} does not let itself be told where to push: {said}", f"{http.site.url} 拒绝推送设置:{said}"
        ),
        Text(
            "set it in its menu (Network, HTTP listening) and write path: in gateway.yaml",
            "请在设备“网络-HTTP 监听”中手动设置,并在 gateway.yaml 中写 path:",
        ),
    )


async def _slots(http: Http) -> list[Mapping[str, Any]]:
    reply = await ask(http, "GET", PATH)
    if reply.status != 200:
        _, said = verdict(http.site.where, reply)
        raise NeedsPerson(
            http.site.where,
            Text(f"{http.site.url} has no alarm hosts: {said}", f"{http.site.url} 没有报警主机设置:{said}"),
            Text("leave listen: out: the device is then listened to", "请去掉 listen:,改用报警流方式"),
        )
    listed = read(http.site.where, reply.body, "HttpHostNotificationList").get("HttpHostNotification", [])
    listed = listed if isinstance(listed, list) else [listed]
    return [slot for slot in listed if isinstance(slot, dict)]
