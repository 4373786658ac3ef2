"""Who can be told beyond the page and the uplinks (`contacts:`): group robots, web hooks, e-mail."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from gateway.fields import File, HostPort, Model, Secret, Wrong

PAGE, SOUND = "page", "sound"
ALWAYS_THERE = (PAGE, SOUND)  # need no contact, and no network


def _web_address(url: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(url.get_secret_value())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise Wrong(
            "the whole address is needed, e.g. https://host/path?key=…", "需要完整地址,例如 https://主机/路径?key=…"
        )
    return url


Address = Annotated[Secret, AfterValidator(_web_address)]
MailBox = Annotated[str, StringConstraints(pattern=r"^[^@\s<>,;]+@[^@\s<>,;]+$")]


class SmtpConfig(Model):
    """The mail server that takes what goes out."""

    server: HostPort = Field(description='"host:port", e.g. "smtp.example:587"')
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="587: starttls, 465: tls; none only to a server on the own LAN"
    )
    username: str | None = None
    password: Secret | None = Field(default=None, description="best by !file")
    sender: MailBox = Field(description="its own address")

    @model_validator(mode="after")
    def _guarded(self) -> "SmtpConfig":
        if (self.username is None) != (self.password is None):
            raise Wrong("username: and password: go together", "username: 和 password: 必须同时提供")
        if self.password is not None and self.security == "none":
            raise Wrong("a password needs security: starttls or tls", "使用密码时,security: 必须是 starttls 或 tls")
        return self


class Contact(Model):
    """Exactly one way to tell somebody."""

    wecom: Address | None = Field(default=None, description="address of a WeCom (企业微信) group robot; best by !file")
    dingtalk: Address | None = Field(default=None, description="address of a DingTalk (钉钉) robot; best by !file")
    sign: Secret | None = Field(default=None, description="of a DingTalk robot: its 加签 secret (SEC…)")
    webhook: Address | None = Field(default=None, description="takes JSON by POST")
    key: Secret | None = Field(default=None, description="of a webhook: signs the body (X-Signature-256: HMAC-SHA256)")
    mail: tuple[MailBox, ...] = Field(default=(), description="addresses")
    smtp: SmtpConfig | None = Field(default=None, description="with mail:")
    ca: File | None = Field(default=None, description="authority of the server's certificate; without, the system's")
    drills: bool = Field(default=False, description="is told of tests and drills, too, marked 【演练】")

    @model_validator(mode="after")
    def _one_way(self) -> "Contact":
        if sum((self.wecom is not None, self.dingtalk is not None, self.webhook is not None, bool(self.mail))) != 1:
            raise Wrong(
                "one of wecom:, dingtalk:, webhook: or mail: is needed, and only one",
                "wecom:、dingtalk:、webhook:、mail: 必须且只能写一个",
            )
        for name, owner in (("sign", self.dingtalk), ("key", self.webhook), ("smtp", self.mail or None)):
            if getattr(self, name) is not None and owner is None:
                mine = {"sign": "dingtalk", "key": "webhook", "smtp": "mail"}[name]
                raise Wrong(f"{name}: goes with {mine}:", f"{name}: 只能与 {mine}: 一起使用")
        if self.mail and self.smtp is None:
            raise Wrong("mail: needs smtp:", "有 mail: 时必须写 smtp:")
        return self
