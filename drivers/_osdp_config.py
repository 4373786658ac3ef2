"""What a door reader has in gateway.yaml: its address and key on the line, the door it opens, how cards are read."""

from itertools import pairwise
from typing import Literal

from pydantic import Field, field_validator, model_validator

from drivers._wiegand import Format
from gateway.fields import DeviceConfig, Duration, Id, Model, Secret, Wrong

KEY_BYTES = 16  # AES-128
FEWEST_DISTINCT = 8  # 16 random bytes have fewer distinct values once in 10^9


class Door(Model):
    """The door behind the reader."""

    output: int = Field(default=0, ge=0, le=255, description="the reader's output that holds the lock open")
    seconds: float = Field(default=5.0, ge=0.1, le=3600, description="how long a grant opens it")
    led: int = Field(default=0, ge=0, le=255, description="the reader's LED that shows the answer")
    contact: int | None = Field(
        default=None, ge=0, le=63, description="the reader's input where the door contact is wired"
    )
    contact_open: Literal["active", "inactive"] = Field(
        default="active", description="what that input reads while it is open"
    )
    exit: int | None = Field(
        default=None, ge=0, le=63, description="the reader's input of the exit button: opens, no alarm"
    )
    held_after: Duration = Field(default=30.0, description="open longer than this is door.held")


class Config(DeviceConfig):
    """A reader on a line (OSDP over RS-485)."""

    bus: Id = Field(description="the line it is on, one of buses:")
    address: int = Field(ge=0, le=126, description="its address on the line (127 is broadcast)")
    key: Secret | None = Field(default=None, description="its secure channel key, 32 hexadecimal digits; best !file")
    install: bool | str = Field(
        default=False,
        description="give the reader its key (on the bench, in its install mode); ends by itself. A new word, e.g. "
        "'second', runs it once more, say for a reader that was replaced",
    )
    insecure: bool = Field(
        default=False, description="talk in clear with a reader that cannot do better; told at each start"
    )
    format: Format = Field(default="auto", description="card layout, where the number of bits leaves it open")
    door: Door = Field(default_factory=Door)
    ignore_repeats: Duration = Field(
        default=1.0, description="the same card again within this time is the same reading"
    )
    pin_timeout: Duration = Field(default=10.0, description="keys older than this are forgotten")
    offline_after: Duration = Field(default=3.0, description="silent for this long is offline")

    def opening(self) -> tuple[float, bool | None]:
        """As its door is configured."""
        return self.door.seconds, self.door.contact is not None

    @field_validator("key")
    @classmethod
    def _strong(cls, key: Secret | None) -> Secret | None:
        if key is not None:
            check_key(key.get_secret_value())
        return key

    @model_validator(mode="after")
    def _one_way(self) -> "Config":
        if self.insecure and (self.key is not None or self.install):
            raise Wrong(
                "insecure: true talks in clear: it goes neither with key: nor with install:",
                "insecure: true 是明文通信，不能与 key: 或 install: 同时使用",
            )
        return self


def check_key(text: str) -> bytes:
    """32 hexadecimal digits → the key. Wrong: not a key, the public default key, or one that can be guessed."""
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise Wrong(
            "a key is 32 hexadecimal digits, e.g. from: openssl rand -hex 16",
            "密钥为 32 位十六进制数字，可用 openssl rand -hex 16 生成",
        )
    steps = {(b - a) % 256 for a, b in pairwise(key)}  # one: it counts, as the public SCBK-D 30 31 32 … does
    if len(steps) == 1 or len(set(key)) < FEWEST_DISTINCT or key[:8] == key[8:]:
        raise Wrong(
            "this key is public or a pattern: make a random one, e.g. openssl rand -hex 16",
            "该密钥是公开的或有规律：请用随机密钥，例如 openssl rand -hex 16",
        )
    return key
