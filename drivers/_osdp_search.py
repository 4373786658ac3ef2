"""Searches a line for OSDP readers: addresses and speeds one by one, by osdp_ID and osdp_CAP in clear. (No driver.)

SIA OSDP 2.2 (IEC 60839-11-5), 6.3 and 6.4, with the replies 7.4 and 7.5. No secure channel is set up and no key is
given: nothing else is ever sent. Each question begins a sequence (0), as a panel's first one does.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from drivers import _osdp_wire as wire
from drivers._probe import Probe, keys, setting
from drivers._sweep import longest_s, rounds, sweep
from gateway.driver import Found, Search
from gateway.errors import Text
from gateway.fields import BusConfig

WAIT_S = 0.2  # a reader must begin its answer within 200 ms (SIA OSDP 2.2, 5.7)
FIRST = (0, 1)  # what readers leave the factory with
CMD_ID, PDID = 0x61, 0x45
QUESTION_BYTES = 9
MOST_BUSY = 3  # answers BUSY to one question
INPUTS, OUTPUTS, SECURITY = 1, 2, 9  # SIA OSDP 2.2, annex B: what a reader can


class Identity(NamedTuple):
    """What a reader says it is (7.4): vendor (its OUI), model, version, serial number, firmware."""

    vendor: str
    model: int
    version: int
    serial: int
    firmware: str


class Ability(NamedTuple):
    """One line of what a reader can (7.5): to what degree, and how many."""

    compliance: int
    number: int


def search(buses: Sequence[BusConfig], addresses: Sequence[int], wait_s: float = WAIT_S) -> Search:
    """One line at each of its speeds (`buses`), at each of `addresses` (0 to 126).

    `wait_s`: how long a reader may take to begin its answer.
    """
    plans = list(rounds(buses, addresses, FIRST))
    return Search(
        steps=sum(len(group) for _, group in plans),
        longest_s=longest_s(buses, len(addresses), QUESTION_BYTES, wait_s),
        run=lambda: sweep(plans, partial(_call, wait_s), unsound),
    )


async def _call(wait_s: float, probe: Probe, bus: BusConfig, address: int) -> Found | bool:
    """The reader there; else whether anything came that is no answer."""
    answer, damaged = await _ask(probe, command(address, CMD_ID), wait_s)
    if answer is None:
        return damaged
    told, _ = await _ask(probe, command(address, wire.CMD_CAP), wait_s)
    abilities = capabilities(told)
    device: dict[str, Any] = {"driver": "osdp", "address": address}
    plain = bool(abilities) and not abilities.get(SECURITY, Ability(0, 0)).compliance
    device |= {"insecure": True} if plain else {"key": None}
    return Found(f"{setting(bus)} #{address}", _what(answer, abilities), device, keys(bus))


async def _ask(probe: Probe, question: bytes, wait_s: float) -> tuple[wire.Packet | None, bool]:
    """The answer, and whether anything came that is none; damaged and busy ones are asked again."""
    heard = b""
    for _ in range(MOST_BUSY):
        heard = await probe.ask(question, lambda got: wire.reply_to(question, got), wait_s)
        reply = wire.reply_to(question, heard)
        if reply is not None and wire.parse(reply).code != wire.BUSY:
            return wire.parse(reply), False
        if not heard.replace(question, b""):
            return None, False
    reply = wire.reply_to(question, heard)
    return (wire.parse(reply), False) if reply is not None else (None, True)


def command(address: int, code: int) -> bytes:
    """osdp_ID or osdp_CAP (data 0: the standard reply), sequence 0, with a CRC; a mark byte before it."""
    packet = bytes((wire.SOM, address, QUESTION_BYTES, 0, wire.CRC, code, 0))
    return b"\xff" + packet + wire.crc16(packet).to_bytes(2, "little")


def identity(answer: wire.Packet) -> Identity | None:
    """What osdp_PDID says; None where it is none (a reader that refuses to say)."""
    data = answer.data
    if answer.code != PDID or len(data) < 12:
        return None
    firmware = ".".join(map(str, data[9:12]))
    return Identity(data[:3].hex().upper(), data[3], data[4], int.from_bytes(data[5:9], "little"), firmware)


def capabilities(answer: wire.Packet | None) -> Mapping[int, Ability]:
    """What osdp_PDCAP says, by function code; empty where it is none."""
    if answer is None or answer.code != wire.PDCAP:
        return {}
    data = answer.data
    return {data[at]: Ability(data[at + 1], data[at + 2]) for at in range(0, len(data) - 2, 3)}


def _what(answer: wire.Packet, abilities: Mapping[int, Ability]) -> Text:
    found = identity(answer)
    parts = [REFUSES] if found is None else [_named(found)]
    if abilities:
        count = {name: abilities.get(name, Ability(0, 0)).number for name in (INPUTS, OUTPUTS)}
        parts += [Text(f"inputs {count[INPUTS]}, outputs {count[OUTPUTS]}",
                       f"输入 {count[INPUTS]} 路,输出 {count[OUTPUTS]} 路")]  # fmt: skip
        parts += [SECURE if abilities.get(SECURITY, Ability(0, 0)).compliance else PLAIN]
    return Text("; ".join(part.en for part in parts), ";".join(part.zh for part in parts))


def _named(found: Identity) -> Text:
    return Text(
        f"vendor {found.vendor}, model {found.model} version {found.version}, serial {found.serial}, "
        f"firmware {found.firmware}",
        f"厂商 {found.vendor},型号 {found.model} 版本 {found.version},序列号 {found.serial},固件 {found.firmware}",
    )


REFUSES = Text("a reader that does not say what it is", "读卡器未报型号")
SECURE = Text("it can do the secure channel", "支持安全通道")
PLAIN = Text("no secure channel: cards can be copied from the line", "不支持安全通道:线路上的卡号可被复制")


def unsound(addresses: Sequence[int]) -> Text:
    """Bytes came that are no answer."""
    listed = ", ".join(map(str, addresses[:8])) + (", …" if len(addresses) > 8 else "")
    return Text(
        f"bytes came, but no sound answer (asked: {listed}): another speed, two readers at one address, another "
        "protocol, or A and B swapped",
        f"收到数据但不是有效应答(询问地址:{listed}):波特率不同、地址冲突、其他协议,或 A/B 线接反",
    )
