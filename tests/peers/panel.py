"""A control panel of OSDP by others (the package `osdp`), run in an environment of its own: `panel.py PORT [MASTER]`.

PORT is a pty, or host:port. With MASTER (a hexadecimal key) it insists on the secure channel and on a key derived from
MASTER. Says what it does and hears, one JSON list a line, until its input ends.
"""

import json
import sys
from typing import Any

import osdp  # type: ignore[import-untyped]  # not libosdp, which has the same name

ADDRESS = 1
BAUD = 115200  # the package waits for 1600 bit times after each answer


class Panel(osdp.ControlPanel):  # type: ignore[misc]
    """Tells what reader 1 reports."""

    def on_raw_card_data_reply_received(self, address: int, raw_card_data: Any) -> None:
        say("card", address, raw_card_data.bit_count, raw_card_data.data.hex())

    def on_keypad_data_reply_received(self, address: int, keypad_data: Any) -> None:
        say("keys", address, keypad_data.data.hex())

    def on_local_status_report_reply_received(self, address: int, local_status: Any) -> None:
        say("local", address, local_status.tamper, local_status.power_failure)

    def on_nak_reply_received(self, address: int, nak: Any) -> None:
        say("nak", address, nak.error_code.name)


class Quick(osdp.TcpClientOsdpConnection):  # type: ignore[misc]
    """A serial server at BAUD."""

    baud_rate = BAUD


def say(*words: object) -> None:
    """A line for the test."""
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def connection(port: str) -> Any:
    """To a pty, or to host:port."""
    host, colon, number = port.rpartition(":")
    return Quick(host, int(number)) if colon else osdp.SerialPortOsdpConnection(port, BAUD)


def ask(panel: Panel, bus: Any) -> None:
    """Who are you, what can you do; then a command of each kind. The answers are told."""
    identity = panel.id_report(bus, ADDRESS)
    say("id", identity.vendor_code.hex(), identity.model_number, identity.version, identity.serial_number)
    has = panel.device_capabilities(bus, ADDRESS).capabilities
    say("has", {item.function.name: [item.compliance, item.number_of] for item in has})
    code = osdp.OutputControlCode.TemporaryStateOnResumePermanentState
    say("output", panel.output_control(bus, ADDRESS, osdp.OutputControls([osdp.OutputControl(0, code, 30)])))
    led = osdp.ReaderLedControl(
        0,
        0,
        osdp.TemporaryReaderControlCode.SetTemporaryAndStartTimer,
        1,
        2,
        osdp.LedColor.Green,
        osdp.LedColor.Black,
        50,
        osdp.PermanentReaderControlCode.Nop,
        0,
        0,
        osdp.LedColor.Black,
        osdp.LedColor.Black,
    )
    say("led", panel.reader_led_control(bus, ADDRESS, osdp.ReaderLedControls([led])))
    tone = osdp.ReaderBuzzerControl(0, osdp.ToneCode.DefaultTone, 2, 1, 3)
    answer = panel.send_command(bus, osdp.ReaderBuzzerControlCommand(ADDRESS, tone))
    say("buzzer", answer.type == osdp.ReplyType.Ack)


def main(port: str, master: str = "") -> None:
    """See the module."""
    panel = Panel(bytes.fromhex(master) or None)
    bus = panel.start_connection(connection(port))
    try:
        panel.add_device(bus, ADDRESS, use_crc=True, use_secure_channel=bool(master))
        ask(panel, bus)
        say("ready")
        sys.stdin.read()
    finally:
        panel.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
