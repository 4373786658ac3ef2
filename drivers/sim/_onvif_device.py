"""What a simulated ONVIF device says of itself; everywhere an address of its own that nobody can reach."""

from collections.abc import Iterable
from datetime import datetime


def time(now: datetime, *, told: bool) -> str:
    """GetSystemDateAndTime."""
    utc = (
        f"<tt:Time><tt:Hour>{now.hour}</tt:Hour><tt:Minute>{now.minute}</tt:Minute><tt:Second>{now.second}"
        f"</tt:Second></tt:Time><tt:Date><tt:Year>{now.year}</tt:Year><tt:Month>{now.month}</tt:Month>"
        f"<tt:Day>{now.day}</tt:Day></tt:Date>"
    )
    clock = f"<tt:UTCDateTime>{utc}</tt:UTCDateTime>" if told else ""
    return (
        "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType>"
        f"<tt:DaylightSavings>false</tt:DaylightSavings>{clock}</tds:SystemDateAndTime>"
        "</tds:GetSystemDateAndTimeResponse>"
    )


def capabilities() -> str:
    """GetCapabilities."""
    return (
        "<tds:GetCapabilitiesResponse><tds:Capabilities>"
        "<tt:Device><tt:XAddr>http://10.0.0.1/onvif/device_service</tt:XAddr></tt:Device>"
        "<tt:Events><tt:XAddr>http://10.0.0.1/onvif/events</tt:XAddr>"
        "<tt:WSSubscriptionPolicySupport>false</tt:WSSubscriptionPolicySupport>"
        "<tt:WSPullPointSupport>true</tt:WSPullPointSupport><tt:WSPausableSubscriptionManagerInterfaceSupport>false"
        "</tt:WSPausableSubscriptionManagerInterfaceSupport></tt:Events>"
        "<tt:Media><tt:XAddr>http://10.0.0.1/onvif/media</tt:XAddr><tt:StreamingCapabilities/></tt:Media>"
        "</tds:Capabilities></tds:GetCapabilitiesResponse>"
    )


def services() -> str:
    """GetServices."""
    listed = "".join(
        f"<tds:Service><tds:Namespace>http://www.onvif.org/ver10/{name}/wsdl</tds:Namespace>"
        f"<tds:XAddr>http://10.0.0.1/onvif/{name}</tds:XAddr>"
        "<tds:Version><tt:Major>2</tt:Major><tt:Minor>60</tt:Minor></tds:Version></tds:Service>"
        for name in ("device", "events", "media")
    )
    return f"<tds:GetServicesResponse>{listed}</tds:GetServicesResponse>"


def profiles(sources: Iterable[str]) -> str:
    """GetProfiles: one of each source."""
    listed = "".join(
        f'<trt:Profiles token="P-{source}" fixed="true"><tt:Name>{source}</tt:Name>'
        f'<tt:VideoSourceConfiguration token="{source}-configuration"><tt:Name>{source}</tt:Name>'
        f"<tt:UseCount>1</tt:UseCount><tt:SourceToken>{source}</tt:SourceToken>"
        '<tt:Bounds x="0" y="0" width="16" height="16"/></tt:VideoSourceConfiguration></trt:Profiles>'
        for source in sources
    )
    return f"<trt:GetProfilesResponse>{listed}</trt:GetProfilesResponse>"


def outputs(tokens: Iterable[str]) -> str:
    """GetRelayOutputs."""
    listed = "".join(
        f'<tds:RelayOutputs token="{token}"><tt:Properties><tt:Mode>Bistable</tt:Mode><tt:DelayTime>PT0S'
        "</tt:DelayTime><tt:IdleState>open</tt:IdleState></tt:Properties></tds:RelayOutputs>"
        for token in tokens
    )
    return f"<tds:GetRelayOutputsResponse>{listed}</tds:GetRelayOutputsResponse>"


def snapshot_uri(port: int, source: str) -> str:
    """GetSnapshotUri."""
    return (
        f"<trt:GetSnapshotUriResponse><trt:MediaUri><tt:Uri>http://10.0.0.1:{port}/snapshot/{source}</tt:Uri>"
        "<tt:InvalidAfterConnect>false</tt:InvalidAfterConnect><tt:InvalidAfterReboot>false</tt:InvalidAfterReboot>"
        "<tt:Timeout>PT0S</tt:Timeout></trt:MediaUri></trt:GetSnapshotUriResponse>"
    )
