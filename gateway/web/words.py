"""States, units and refusals in English and Chinese; what rooms say stands in their catalogues."""

from collections.abc import Mapping

from gateway.errors import Text

# The site in one word, worst first: word, shape (ui.md's fixed order). Unknown is never green.
VERDICTS: Mapping[str, tuple[str, Text]] = {
    "fire": ("▲", Text("Fire alarm", "火警")),
    "alarm": ("◆", Text("Alarm", "报警")),
    "unknown": ("?", Text("State unknown", "状态未知")),
    "fault": ("!", Text("Fault", "故障")),
    "disconnected": ("⇅", Text("Platform not reachable", "与平台断开")),
    "shielded": ("▨", Text("Something is shielded", "有屏蔽")),
    "normal": ("✓", Text("Normal", "正常")),
}
STATES: Mapping[str, tuple[str, Text]] = {
    "fire": ("▲", Text("fire alarm", "火警")),
    "alarm": ("◆", Text("alarm", "报警")),
    "fault": ("!", Text("fault", "故障")),
    "offline": ("⊘", Text("offline", "离线")),
    "unknown": ("?", Text("unknown", "未知")),
    "shielded": ("▨", Text("shielded", "屏蔽")),
    "test": ("◇", Text("under test", "测试")),
    "normal": ("✓", Text("normal", "正常")),
    "note": ("※", Text("note", "提示")),  # of no device: something is to be done, and all is well
}
LINKS: Mapping[str, tuple[str, Text]] = {  # of an uplink; a name that is neither would be a mistake of ours
    "connected": ("✓", Text("connected", "已连接")),
    "disconnected": ("⇅", Text("not connected", "未连接")),
    "unknown": ("?", Text("unknown", "未知")),
}
UNITS: Mapping[str, Text] = {
    "d": Text("d", "天"),
    "h": Text("h", "小时"),
    "m": Text("min", "分"),
    "s": Text("s", "秒"),
}

NOT_LOCAL = Text("nobody has an account yet: only this machine may look", "尚未创建账号,目前仅限本机查看")
NOT_LOCAL_DO = Text(
    "set the gateway up at /setup, with the code on its label or in its log",
    "请在 /setup 完成首次设置,设置码见设备标签或日志",
)
NOT_KNOWN = Text("sign in first, or send a token", "请先登录,或提供访问令牌")
NOT_KNOWN_DO = Text(
    "people: /login; machines: Authorization: Bearer, with a token of /settings/tokens",
    "人员请访问 /login;程序请用 Authorization: Bearer 加 /settings/tokens 中创建的令牌",
)
NOT_OUR_PAGE = Text("this was not asked for by a page of this gateway", "该操作不是从本网关的页面发出的")
NOT_OUR_PAGE_DO = Text("load the page anew and try again", "请刷新页面后重试")
NOT_OUR_NAME = Text("the gateway is not known by this name", "网关没有此主机名")
NOT_OUR_NAME_DO = Text("use its IP address, localhost or a configured name", "请使用 IP 地址、localhost 或已配置的名称")
FAILED_DO = Text("try again; the gateway's log says what it was", "请重试;原因见网关日志")
_REFUSALS: Mapping[int, Text] = {
    400: Text("the request cannot be understood", "无法理解该请求"),
    401: Text("wrong or missing token for this device", "该设备的令牌缺失或错误"),
    404: Text("there is nothing of this name", "没有此名称的资源或设备"),
    405: Text("this address does not take that method", "此地址不支持该请求方法"),
    408: Text("the request took too long", "请求超时"),
    413: Text("the request is too large", "请求内容过大"),
    500: Text("the gateway failed at this", "网关处理出错"),
}


def refusal(status: int) -> Text:
    """What an HTTP status means here."""
    return _REFUSALS.get(status, _REFUSALS[400])


def choose(accept_language: str, configured: str) -> str:
    """`zh` or `en`: the better liked of the two in Accept-Language (RFC 9110, 12.5.4), else the configured one."""
    liked: list[tuple[float, str]] = []
    for item in accept_language.split(","):
        tag, _, weight = item.strip().lower().partition(";")
        primary = tag.strip().partition("-")[0]
        if primary in ("zh", "en"):
            liked.append((_weight(weight), primary))
    best = max((quality for quality, _ in liked), default=0.0)
    wanted = next((language for quality, language in liked if quality == best and best > 0), configured)
    return "zh" if wanted.startswith("zh") else "en"


def _weight(text: str) -> float:
    name, _, number = text.strip().partition("=")
    try:
        return float(number) if name == "q" else 1.0
    except ValueError:
        return 0.0
