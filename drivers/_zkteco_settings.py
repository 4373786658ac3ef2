"""What a ZKTeco device is told when it shakes hands: how often to poll, what to upload, in which zone. Pure.

Only events are wanted: no users, no photos, no templates. (An underscore: no driver.)
"""

import hashlib
from collections.abc import Mapping

from drivers._zkteco_config import Config
from drivers._zone import zone_of

TRANSFER = "1100000000"  # attendance records and operations: no photos, no people, no templates (4.0, 6)


def registry_code(config: Config) -> str:
    """What a registered device has (security PUSH 4.8, 7.4)."""
    return _code(config, "registry")


def attendance_settings(config: Config) -> str:
    """Attendance PUSH 4.0, 6. Stamps are not used by firmware that keeps what was not acknowledged."""
    return _joined({
        f"GET OPTION FROM: {config.address}": None,
        "ATTLOGStamp": "None",
        "OPERLOGStamp": "9999",
        "ATTPHOTOStamp": "None",
        "ErrorDelay": "30",
        "Delay": "5",
        "TransTimes": "00:00;14:05",
        "TransInterval": "1",
        "TransFlag": TRANSFER,
        "TimeZone": _time_zone(config),
        "Realtime": "1",
        "Encrypt": "None",
        "ServerVer": "2.4.1",
        "PushProtVer": "2.4.1",
    })  # fmt: skip


def _time_zone(config: Config) -> str:
    """Whole hours; else minutes."""
    offset = zone_of(config.zone).utcoffset(None)
    minutes = round(offset.total_seconds() / 60)
    return str(minutes // 60 if minutes % 60 == 0 else minutes)


def access_settings(config: Config, *, registered: bool) -> str:
    """Security PUSH 4.8, 7.1 and 7.5. Only events are to be uploaded, no users."""
    known = {"registry": "ok", "RegistryCode": registry_code(config)} if registered else {}
    return _joined({
        **known,
        "ServerVersion": "3.1.2",
        "ServerName": "community-gateway",
        "PushVersion": "3.1.2",
        "PushProtVer": "3.1.2",
        "ErrorDelay": "30",
        "RequestDelay": "2",
        "TransTimes": "00:00;14:00",
        "TransInterval": "1",
        "TransTables": "Transaction",
        "Realtime": "1",
        "SessionID": _code(config, "session"),
        "TimeoutSec": "10",
        "BioPhotoFun": "0",
        "BioDataFun": "0",
    })  # fmt: skip


def _joined(values: Mapping[str, str | None]) -> str:
    return "".join(f"{name}\n" if value is None else f"{name}={value}\n" for name, value in values.items())


def _code(config: Config, what: str) -> str:
    """The same in every run, so that a device need not register anew when the gateway restarts; no secret."""
    return hashlib.sha256(f"community-gateway:{what}:{config.address}".encode()).hexdigest()[:32]
