"""A reader's session from key to key: which key it has, whether the session stands, when to try again."""

import hashlib
import secrets
from typing import NamedTuple

from drivers._osdp_config import KEY_BYTES, Config
from drivers._osdp_panel import Panel
from gateway.driver import Link
from gateway.errors import Text

TRIES = 3  # a command is asked so often before the reader counts as silent
RETRY_S = (0.25, 0.5, 1.0, 2.0, 4.0)  # between questions to a silent reader: each costs the line 200 ms
REFUSED_RETRY_S = (0.0, 0.25, 1.0, 5.0, 20.0)  # between sessions that do not come up
BUSY_TIMES = 150  # at a poll's distance about 8 s
POLL_S = 0.052  # the library polls when more than 50 of its milliseconds have gone since the last answer

WHY = {
    "no-secure-channel": Text(
        "the reader answers without a secure channel and is not used: switch its secure channel on, or replace it",
        "读卡器不支持或未开启安全通道，不予使用：请开启其安全通道或更换读卡器",
    ),
    "wrong-key": Text(
        "the reader has another key: set the right key:, or put it into install mode and set install: to a new word",
        "读卡器的密钥不同：请设置正确的 key:，或让读卡器进入安装模式并把 install: 改为一个新词",
    ),
    "key-refused": Text(
        "the reader does not take the key: put it into install mode", "读卡器拒绝写入密钥：请让其进入安装模式"
    ),
    "protocol": Text(
        "the reader's answers make no sense: check its address and the wiring", "读卡器应答异常：请检查地址和接线"
    ),
    "no-key": Text(
        "there is no key for the reader: set key:, or install: true to make one and give it to the reader",
        "没有读卡器密钥：请设置 key:，或用 install: true 生成密钥并写入读卡器",
    ),
    "output-refused": Text(
        "the reader refused to switch its output: check door: {output: …}",
        "读卡器拒绝切换输出：请检查 door: {output: …}",
    ),
}


class Terms(NamedTuple):
    """How to talk to the reader. A key that is not enforced: install mode. No key: in clear."""

    key: bytes | None
    enforce: bool

    @property
    def install(self) -> bool:
        """The key may still have to be given to the reader."""
        return self.key is not None and not self.enforce


def terms(config: Config, link: Link) -> Terms | None:
    """The key of the config, or the one kept; in install mode made and kept here, before it is used. None: no key."""
    if config.insecure:
        return Terms(None, enforce=False)
    key = bytes.fromhex(config.key.get_secret_value()) if config.key else link.kept(f"osdp-{config.id}")
    if key is None and config.install:
        key = secrets.token_bytes(KEY_BYTES)
        link.keep(f"osdp-{config.id}", key)
    if key is None:
        return None
    return Terms(key, enforce=not config.install or link.kept(f"osdp-{config.id}-set") == _mark(config, key))


def proved(config: Config, link: Link, key: bytes) -> None:
    """The reader holds the key: install mode is over from now on, whatever the config says."""
    link.keep(f"osdp-{config.id}-set", _mark(config, key))


def _mark(config: Config, key: bytes) -> bytes:
    return hashlib.sha256(key + str(config.install).encode()).hexdigest().encode()


class Session:
    """The session with one reader, up or not: what to send next, and how long to wait before."""

    def __init__(self, address: int, terms: Terms) -> None:
        self._address = address
        self.terms = terms
        self.panel = Panel(address, terms.key, terms.enforce)
        self.up = False
        self.wait_s = 0.0  # before the next question
        self._misses = 0
        self._busy = 0
        self._failures = 0

    def _renew(self) -> None:
        self.panel = Panel(self._address, self.terms.key, self.terms.enforce)
        self.up = False

    def heard(self, reply: bytes) -> bool:
        """An answer came. True where the session has just come up as it must be."""
        self.panel.answer(reply)
        self._misses = self._busy = 0
        fit = self.panel.online and (self.terms.key is None or self.panel.secure)
        risen = fit and not self.up
        self.up = fit
        self.wait_s = POLL_S if fit else 0.0
        if risen:
            self._failures = 0
        return risen

    def pause_s(self, orders: bool) -> float:
        """How long to wait now; orders wait for no poll, but for a reader that is busy."""
        return 0.0 if orders and self.up and not self._busy else self.wait_s

    def over(self) -> bool:
        """The library gave up, or went on in clear where a key is set: only a new panel helps."""
        return not self.up and (self.panel.online or not self.panel.next())

    def missed(self) -> bool:
        """No answer came. True once the reader counts as silent."""
        self._misses += 1
        if self._misses < TRIES:
            self.wait_s = 0.0
            return False
        self.wait_s = RETRY_S[min(self._misses - TRIES, len(RETRY_S) - 1)]
        if self._misses == TRIES:
            self._renew()
        return True

    def busy(self) -> bool:
        """The reader asks for patience. True where it has had enough of it."""
        self._busy += 1
        self.wait_s = POLL_S
        return self._busy > BUSY_TIMES

    def refused(self) -> str | None:
        """The session is over; another is tried later. Why, as a word, once it has failed twice in a row."""
        why = self.panel.why()
        self._renew()
        self._busy = 0
        self._failures += 1
        self.wait_s = REFUSED_RETRY_S[min(self._failures, len(REFUSED_RETRY_S)) - 1]
        return why if self._failures > 1 else None
