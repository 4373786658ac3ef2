"""Event types that a configuration names, checked when it is read. (An underscore: no driver.)"""

from collections.abc import Collection
from difflib import get_close_matches

from gateway.fields import Wrong
from gateway.taxonomy import TYPES

DEVICE_TYPES = frozenset(name for name in TYPES if not name.startswith(("operator.", "gateway.")))
CONDITIONS = frozenset(name for name in DEVICE_TYPES if TYPES[name].returns == "clear") - {"device.offline"}


def device_type(name: str) -> str:
    """A type that a device can tell of. Wrong: there is none of this name, or it is the gateway's own."""
    if name in TYPES and name not in DEVICE_TYPES:
        raise Wrong(f"{name} is the gateway's to tell, not a device's", f"{name} 由网关产生,设备不能上报")
    return _known(name, DEVICE_TYPES)


def condition_type(name: str) -> str:
    """A type that begins and ends, as a value that is read again and again can show."""
    if name in TYPES and name not in CONDITIONS:
        raise Wrong(
            f"{name} is no condition that begins and ends with the device", f"{name} 不是设备可触发并恢复的状态"
        )
    return _known(name, CONDITIONS)


def _known(name: str, types: Collection[str]) -> str:
    if name in types:
        return name
    near = get_close_matches(name, sorted(types), 1)
    raise Wrong(
        f'there is no event type "{name}"' + (f"; did you mean {near[0]}?" if near else ""),
        f'没有 "{name}" 这样的事件类型' + (f";是否想写 {near[0]}?" if near else ""),
    )
