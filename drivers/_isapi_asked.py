"""What came of a host's ports, and what the installer is told of it. No I/O. (An underscore: no driver.)"""

from collections.abc import Sequence
from dataclasses import dataclass

from yarl import URL

from drivers._isapi_identity import Answer, Identity
from gateway.driver import Found
from gateway.errors import Text


@dataclass(frozen=True)
class Asked:
    """What came of one port."""

    url: URL
    answer: Answer
    fingerprint: str | None  # SHA-256 of its certificate
    told: Identity | None = None
    refused: bool = False  # user and password

    def same(self, other: "Asked") -> bool:
        """Is it the same device at another port, as far as they told?"""
        serials = [asked.told.serial for asked in (self, other) if asked.told is not None]
        if len(serials) == 2 and all(serials):
            return serials[0] == serials[1]
        return self.answer.realm == other.answer.realm != ""


def founds(asked: Sequence[Asked], user: str | None) -> list[Found]:
    """One for each device: its further ports stand with the first."""
    devices: list[list[Asked]] = []
    for each in asked:
        same = next((device for device in devices if device[0].same(each)), None)
        if same is None:
            devices.append([each])
        else:
            same.append(each)
    return [_found(first, [str(other.url.origin()) for other in others], user) for first, *others in devices]


def _found(asked: Asked, others: list[str], user: str | None) -> Found:
    told, what = asked.told, _what(asked)
    if others:
        listed = ", ".join(others)
        what = Text(f"{what.en}; also at {listed}", f"{what.zh};另见 {listed}")
    tls = {"fingerprint": asked.fingerprint} if asked.fingerprint else None
    sure = asked.answer.certain or told is not None
    device = {
        "driver": "isapi",
        "url": str(asked.url.origin()),
        "username": None if asked.refused else user,
        "tls": tls,
        "kind": "door" if told is not None and told.is_door else None,
        "make": "Hikvision" if sure else None,
        "model": told.model if told is not None else None,
    }
    where = f"{asked.url.host_subcomponent}:{asked.url.port}"
    return Found(where, what, {key: value for key, value in device.items() if value})


def _what(asked: Asked) -> Text:
    if asked.told is not None:
        return _identified(asked.told)
    answer = asked.answer
    en, zh = ("Hikvision", "海康威视") if answer.certain else ("perhaps Hikvision or alike", "可能是海康或兼容设备")
    if answer.realm:
        en, zh = f"{en}, {answer.realm}", f"{zh},{answer.realm}"
    if answer.inactive:
        return Text(
            f"{en}; not activated: nobody has given it a password yet, do that first",
            f"{zh};设备未激活:尚未设置密码,请先激活",
        )
    if asked.refused:
        return Text(
            f"{en}; it refuses user and password, which are not tried on it again: too many tries lock the account",
            f"{zh};用户名或密码被拒绝,不再重试:多次错误会锁定账号",
        )
    if "digest" not in answer.logins and "basic" in answer.logins:
        return Text(
            f"{en}; its login is basic only, so the password was not sent: set Web Authentication to digest on it",
            f"{zh};设备仅支持 basic 认证,未发送密码:请在设备上将 WEB 认证改为 digest",
        )
    return Text(f"{en}; it tells model and serial after a login", f"{zh};登录后可读取型号和序列号")


def _identified(told: Identity) -> Text:
    kind = Text("door controller or intercom", "门禁或可视对讲") if told.is_door else Text("camera", "摄像机")
    if told.is_recorder:
        kind = Text("recorder; its cameras are parts, or devices with channel:", "录像机;通道为部件,或用 channel: 单列")
    doors = Text(f", doors: {told.doors}", f",{told.doors} 个门") if told.is_door and told.doors else Text("", "")
    serial = f"serial {told.serial}" if told.serial else ""
    en = ", ".join(filter(None, [told.model, told.type, serial, told.firmware]))
    zh = ",".join(filter(None, [told.model, told.type, told.serial and f"序列号 {told.serial}", told.firmware]))
    return Text(f"{en}: {kind.en}{doors.en}", f"{zh}:{kind.zh}{doors.zh}")
