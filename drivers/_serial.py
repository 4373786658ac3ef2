"""Opening serial ports: always exclusively, and with a sentence a person can act on when it fails.

Shared plumbing (an underscore: no driver). `open_port` is for drivers that read and write the port themselves;
`cannot_open` makes the error of any other way of opening one.
"""

import errno

import serial

from gateway.errors import Text, Unreachable
from gateway.fields import BusConfig

IN_USE = (errno.EBUSY, errno.EWOULDBLOCK, errno.EAGAIN)
REASONS: dict[int, tuple[Text, Text]] = {
    errno.ENOENT: (
        Text("there is no serial port {port}", "没有串口 {port}"),
        Text(
            "plug the adapter in, or correct serial: (ls -l /dev/serial/by-id)",
            "请插好转换器，或改正 serial:（ls -l /dev/serial/by-id）",
        ),
    ),
    errno.EACCES: (
        Text("no permission for the serial port {port}", "没有串口 {port} 的权限"),
        Text("add the gateway's user to the group dialout", "请把网关用户加入 dialout 组"),
    ),
    errno.EBUSY: (
        Text("another program uses the serial port {port}", "串口 {port} 正被其他程序占用"),
        Text("end that program (fuser -v {port})", "请先结束该程序（fuser -v {port}）"),
    ),
    errno.ENOTTY: (
        Text("{port} is no serial port", "{port} 不是串口"),
        Text("correct serial: in the configuration", "请改正配置中的 serial:"),
    ),
}
OTHER = (
    Text("the serial port {port} cannot be opened ({why})", "无法打开串口 {port}（{why}）"),
    Text("check the adapter and its settings", "请检查转换器及其设置"),
)


def open_port(where: str, bus: BusConfig) -> serial.Serial:
    """The bus's serial port, 8 data bits, non-blocking, locked for us. Unreachable says why it cannot be opened."""
    try:
        return serial.Serial(
            bus.serial,
            baudrate=bus.baudrate,
            parity=bus.parity,
            stopbits=bus.stopbits,
            timeout=0,
            write_timeout=0,
            exclusive=True,
        )
    except (OSError, ValueError) as error:  # pyserial: ValueError for a baud rate the port does not have
        raise cannot_open(where, bus.serial or "", error) from error


def cannot_open(where: str, port: str, error: Exception) -> Unreachable:
    """What `where` (the bus) is told when its port did not open."""
    number = getattr(error, "errno", None)
    if number in IN_USE:
        number = errno.EBUSY
    elif number is None and "could not configure port" in str(error).lower():
        number = errno.ENOTTY  # pyserial hides the errno of tcgetattr in its text
    what, do = REASONS.get(number or 0, OTHER)
    return Unreachable(where, _fill(what, port, error), _fill(do, port, error))


def _fill(text: Text, port: str, error: Exception) -> Text:
    return Text(text.en.format(port=port, why=error), text.zh.format(port=port, why=error))
