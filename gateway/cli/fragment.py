"""What a search found, as lines for gateway.yaml: ids and buses suggested, a mark wherever a person has to decide.

`gateway check` refuses the lines until each mark is filled: a key without a value, a `!file` that is not there.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from gateway.cli.language import say
from gateway.errors import Text

if TYPE_CHECKING:
    from gateway.driver import Found
    from gateway.fields import DeviceConfig

HEAD = Text(
    "For gateway.yaml. Fill in every place with ←; gateway check refuses it until then. Where buses: or devices: are "
    "there already, these lines go under them.",
    "供粘贴到 gateway.yaml。请填写每处 ←,填完之前 gateway check 不会通过。若已有 buses: 或 devices:,请把各行并入其下。",
)
MARK = Text("← fill in", "← 请填写")
HINTS: Mapping[str, Text] = {
    "place": Text("where it is, e.g. b3/u2/f5", "所在位置,例如 b3/u2/f5"),
    "profile": Text(
        "as its label says; try it with gateway profile test", "按铭牌选择,并用 gateway profile test 试读"
    ),
    "key": Text(
        "put the reader's 32 hexadecimal digits there; for a new one in its install mode write install: true instead",
        "文件内写入读卡器的 32 位十六进制密钥;新读卡器处于安装模式时,改写 install: true",
    ),
    "password": Text("put it there", "文件内写入密码"),
}  # fmt: skip
PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./+-]*")  # needs no quotes
WORDS = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"}  # which YAML takes for something else


def clean(text: str) -> str:
    """In one line, and without anything that moves a terminal's cursor: devices choose their names themselves."""
    return "".join(letter if letter.isprintable() else " " for letter in " ".join(text.split()))


def fragment(found: "Sequence[Found]", models: "Mapping[str, type[DeviceConfig]]") -> str:
    """The lines for what was found (`models`: of the devices, by driver); empty where nothing is a device."""
    from gateway.fields import DeviceConfig

    devices = [each for each in found if each.device]
    if not devices:
        return ""
    buses: dict[str, Mapping[str, Any]] = {}
    ids: set[str] = set()
    listed = [
        line for each in devices for line in _device(each, models.get(each.device["driver"], DeviceConfig), buses, ids)
    ]
    named = [
        f"  {name}: {{{', '.join(f'{key}: {_value(v)}' for key, v in bus.items())}}}" for name, bus in buses.items()
    ]
    return "\n".join([f"# {say(HEAD)}", *(["buses:", *named] if named else []), "devices:", *listed])  # fmt: skip


def _device(
    found: "Found", model: "type[DeviceConfig]", buses: dict[str, Mapping[str, Any]], ids: set[str]
) -> Iterator[str]:
    keys = dict(found.device)
    driver, id = keys.pop("driver"), _free(_id(found), ids)
    yield f"  # {clean(found.where)}: {clean(say(found.what))}"
    yield f"  - id: {id}"
    yield f"    driver: {_value(driver)}"
    if found.bus is not None:
        yield f"    bus: {_bus(found.bus, buses)}"
    for key, value in keys.items():
        if value is not None and key != "id":
            yield f"    {key}: {_value(value)}"
    given = {"id", "driver", "bus", *(key for key, value in keys.items() if value is not None)}
    for key, info in model.model_fields.items():
        asked = info.is_required() or key in keys or (key == "password" and "username" in keys)
        if asked and key not in given:
            yield f"    {key}: {_blank(key, id, info.annotation)}"


def _id(found: "Found") -> str:
    device = found.device
    tail = device.get("id") or f"{device['driver']}-{device.get('address', found.where)}"
    return re.sub(r"[^a-z0-9]+", "-", str(tail).lower()).strip("-")[:56] or "device"


def _free(id: str, ids: set[str]) -> str:
    numbered = (id if number == 1 else f"{id}-{number}" for number in range(1, len(ids) + 2))
    free = next(name for name in numbered if name not in ids)
    ids.add(free)
    return free


def _bus(bus: Mapping[str, Any], buses: dict[str, Mapping[str, Any]]) -> str:
    known = next((name for name, each in buses.items() if each == bus), None)
    name = known or f"line-{len(buses) + 1}"
    buses[name] = bus
    return name


def _blank(key: str, id: str, annotation: Any) -> str:
    from pydantic import SecretStr

    hint = say(HINTS[key]) if key in HINTS else ""
    said = f"# {say(MARK)}{':' if hint else ''} {hint}".rstrip()
    return f"!file secrets/{id}.{key} {said}" if SecretStr in (annotation, *get_args(annotation)) else said


def _value(value: Any) -> str:
    if isinstance(value, str) and PLAIN.fullmatch(value) and value.lower() not in WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
