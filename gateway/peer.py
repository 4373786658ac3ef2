"""The other end of an uplink: where and how to connect, and what connecting can fail with, as our own errors."""

import errno
import socket
import ssl
from dataclasses import dataclass

from paho.mqtt.reasoncodes import ReasonCode

from gateway.errors import LinkError, LinkRefused, ProtocolRefused, Text

_UNSUPPORTED_PROTOCOL = 0x84  # MQTT 5.0, table 3-1
_TAKEN_OVER = 0x8E  # MQTT 5.0, 3.14.2.1
_NOT_AUTHORIZED = 0x87  # the same
_REFUSED = {0x85, 0x86, 0x87, 0x8A, 0x8C}  # client id, user name or password, not authorized, banned, method
_REASONS = {  # MQTT 5.0, table 3-1, as people say it; 3.1.1's are told with the same numbers
    0x84: Text("it does not speak this version of the protocol", "不支持此协议版本"),
    0x85: Text("this client_id is not valid there", "client_id 无效"),
    0x86: Text("wrong user name or password", "用户名或密码错误"),
    0x87: Text("not authorized", "没有权限"),
    0x88: Text("the server is unavailable", "服务器不可用"),
    0x89: Text("the server is busy", "服务器忙"),
    0x8A: Text("banned there", "已被禁止"),
    0x97: Text("quota exceeded", "超出配额"),
    0x9F: Text("connections come too fast", "连接过于频繁"),
}
_CERTIFICATE = {  # X509_V_ERR_… of OpenSSL, which says them in English only
    9: "尚未生效",
    10: "已过期",
    18: "为自签名证书,本机不信任",
    19: "签发机构不受本机信任",
    20: "签发机构不受本机信任",
    62: "与主机名不符",
    64: "与 IP 地址不符",
}
_NO_WAY = {  # of connecting; errno(3)
    errno.ECONNREFUSED: Text("connection refused, nothing answers at that port", "该端口没有服务"),
    errno.EHOSTUNREACH: Text("the machine is not reached", "对方主机不可达"),
    errno.ENETUNREACH: Text("the network is not reached", "网络不可达"),
    errno.ENETDOWN: Text("the network is down", "网络已断开"),
}
_TWINS = Text(
    "check that no other gateway has this gateway.id, and that the old box is switched off after a restore",
    "请检查是否有另一台网关使用相同的 gateway.id;恢复到新设备后,旧设备应断电停用",
)


@dataclass(frozen=True)
class Will:
    """What the broker says for us when we are gone: retained, QoS 1."""

    topic: str
    payload: str


@dataclass(frozen=True)
class Target:
    """Where and how to connect."""

    host: str
    port: int
    client_id: str
    protocol: str = "5"  # "5" or "3.1.1"
    websocket: bool = False
    path: str = "/mqtt"
    tls: ssl.SSLContext | None = None
    username: str | None = None
    password: str | None = None
    keepalive_s: int = 7  # paho notices a dead link after twice this
    session_expiry_s: int = 0  # how long the broker keeps our subscriptions; 0: not at all
    will: Will | None = None
    subscribe: tuple[str, ...] = ()  # topic filters
    retained_again: bool = False  # hear all that is retained with each connection, not with the first alone
    unanswered_messages: int = 20  # what a broker hands us before it has heard of the first (our Receive Maximum)
    largest_bytes: int | None = None  # the largest packet we take; None: any

    @property
    def name(self) -> str:
        """`host:port`, for messages."""
        return f"{self.host}:{self.port}"


def link_error(target: Target, error: Exception) -> LinkError:
    """What connecting failed with, as our own error: where, why, what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        raw = error.verify_message or str(error)
        told = _CERTIFICATE.get(error.verify_code or 0, raw)
        return LinkRefused(
            target.name,
            Text(f"the broker's certificate is not accepted: {raw}", f"不接受服务器证书:{told}"),
            Text("check tls.ca, the host name and the clock", "请检查 tls.ca、主机名和本机时间"),
        )
    if isinstance(error, ssl.SSLError):
        return LinkRefused(
            target.name,
            Text(f"no TLS connection: {error}", f"无法建立 TLS 连接:{error}"),
            Text(
                "check that the port speaks TLS, and tls.cert and tls.key",
                "请检查端口是否为 TLS,以及 tls.cert 和 tls.key",
            ),
        )
    if isinstance(error, socket.gaierror):
        return LinkError(
            target.name,
            Text("the host name is not known", "无法解析主机名"),
            Text("check url and the DNS server", "请检查 url 和 DNS 服务器"),
        )
    if isinstance(error, TimeoutError):
        return LinkError(
            target.name,
            Text("no answer", "没有应答"),
            Text("check the address, the network and the firewall", "请检查地址、网络和防火墙"),
        )
    if isinstance(error, ConnectionResetError):
        return LinkError(
            target.name,
            Text("the connection was closed before an answer came", "对方未应答就关闭了连接"),
            Text("check the port: one with TLS needs mqtts:// or wss://", "请检查端口:TLS 端口须用 mqtts:// 或 wss://")
            if target.tls is None
            else Text("check that the port is right and speaks TLS", "请检查端口是否正确、是否使用 TLS"),
        )
    why = _NO_WAY.get(getattr(error, "errno", None) or 0, Text(str(error), str(error)))
    return LinkError(
        target.name,
        Text(f"no connection: {why.en}", f"无法连接:{why.zh}"),
        Text("check that the broker runs there and the port is right", "请检查服务器是否运行、端口是否正确"),
    )


def refusal(target: Target, reason: ReasonCode) -> LinkError:
    """What the broker answered to CONNECT, as our own error."""
    why = _REASONS.get(reason.value, Text(str(reason), str(reason)))
    what = Text(f"the broker refuses: {why.en}", f"服务器拒绝:{why.zh}")
    if reason.value == _UNSUPPORTED_PROTOCOL:
        return ProtocolRefused(target.name, what, Text('set protocol: "3.1.1"', '请设置 protocol: "3.1.1"'))
    if reason.value in _REFUSED:
        return LinkRefused(
            target.name, what, Text("check username, password and client_id", "请检查 username、password 和 client_id")
        )
    return LinkError(target.name, what, Text("it is tried again", "将自动重试"))


def ended(target: Target, reason: int | None, why: Text, often: bool) -> LinkError:
    """What ended a connection (MQTT 5.0, 3.14.2.1; 0x80 and None: no reason was given), as our own error.

    LinkRefused: it would end again, so a person is needed, and it is tried slowly. `often`: it keeps on ending.
    """
    if reason == _TAKEN_OVER:
        return LinkRefused(
            target.name,
            Text(
                f"the broker closed the connection: another client has come with the same client_id {target.client_id}",
                f"服务器关闭了连接:另一个客户端使用了相同的 client_id {target.client_id}",
            ),
            _TWINS,
        )
    if reason == _NOT_AUTHORIZED:
        return LinkRefused(
            target.name, why, Text("check this gateway's rights on the broker", "请检查本网关在服务器上的权限")
        )
    do = Text("it is tried again", "将自动重连")
    if often:  # most brokers throw out the older of two without a word, with 3.1.1 all of them
        do = Text(f"{do.en}; it keeps on ending: {_TWINS.en}", f"{do.zh};连接反复中断:{_TWINS.zh}")
    return LinkError(target.name, why, do)


def no_commands(target: Target, reason: str) -> LinkError:
    """The broker refuses our subscription to commands; events go out all the same."""
    why, topics = _named(reason), ", ".join(target.subscribe)
    return LinkError(
        target.name,
        Text(
            f"the broker refuses us commands ({why.en}): events go out, no command is heard",
            f"服务器拒绝下发命令({why.zh}):事件照常上报,但收不到平台命令",
        ),
        Text(f"check this gateway's rights to read {topics}", f"请检查本网关对 {topics} 的读(订阅)权限"),
    )


def _named(reason: str) -> Text:
    """What the library calls a reason code, in words."""
    return _REASONS[_NOT_AUTHORIZED] if reason == "Not authorized" else Text(reason, reason)
