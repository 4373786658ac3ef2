"""What is said to whoever shall come: what, where, since when, who leads, what is asked. Pure; Chinese or English.

No card, no face and no person's name is in it (contract, section 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from gateway import taxonomy
from gateway.alarms import Alarm
from gateway.alarmview import moment
from gateway.charge import Charge
from gateway.errors import Text
from gateway.notify import Message
from gateway.site import Site

MOST_NAMED = 3  # devices in a sentence
MOST_LISTED = 50  # alarms in the facts


@dataclass(frozen=True)
class Voice:
    """In whose name it is said, in which language, and where its page is ("": not told)."""

    site: Site
    language: str
    link: str = ""

    def plea(self, alarms: Sequence[Alarm], charge: Charge | None, now_ms: int) -> Message:
        """One message for alarms of one type in one building; the first is the oldest."""
        first, count = alarms[0], len(alarms)
        label, where = taxonomy.TYPES[first.type].label, self._where(alarms)
        head = Text("[DRILL, no alarm]", "【演练】报警演练") if first.test else Text("[ALARM]", "【报警】")
        many = f" ×{count}" if count > 1 else ""
        title = Text(f"{head.en} {label.en}{many}, {where}", f"{head.zh}{label.zh}{many} {where}")
        asked = Text(f"Go and see, then acknowledge it. {self.link}", f"请立即到现场核实,并确认报警。{self.link}")
        drill = Text("This is a drill: nothing has happened.", "此为演练,并非真实报警。")
        lines = [
            self._since(alarms, now_ms),
            *([] if charge is None else [_leads(charge)]),
            drill if first.test else asked,
        ]
        facts = {
            "site": self.site.config.site.name,
            "gateway": self.site.config.gateway.id,
            "type": first.type,
            "severity": first.severity.value,
            "test": first.test,
            "count": count,
            "since": moment(first.first_ms),
            "place": where,
            "alarms": [alarm.id for alarm in alarms[:MOST_LISTED]],
        }
        if charge is not None:
            facts |= {"lead": charge.lead, "assist": list(charge.assist)}
        return Message(title.say(self.language), tuple(line.say(self.language).strip() for line in lines), facts)

    def trial(self) -> Message:
        """Only tries the way."""
        name = self.site.config.site.name
        title = Text(f"[TEST] alarm messages of {name}", f"【测试】{name} 报警通知测试")
        line = Text("This only tries the way: nothing has happened.", "仅用于测试通知渠道,并非真实报警。")
        return Message(title.say(self.language), (line.say(self.language),), {"test": True, "site": name})

    def word(self, text: str) -> Message:
        """What a linkage rule says."""
        name = self.site.config.site.name
        title = Text(f"[LINKAGE] {name}", f"【联动】{name} 报警联动").say(self.language)
        return Message(title, (text,), {"site": name, "gateway": self.site.config.gateway.id})

    def building(self, alarm: Alarm) -> str:
        """The first level of its place; "" of the gateway itself, and of what is configured no more."""
        return self.path(alarm).partition("/")[0]

    def path(self, alarm: Alarm) -> str:
        """Of its device's place; "" as above."""
        return next((device.place for device in self.site.devices if device.id == alarm.device), "")

    def _where(self, alarms: Sequence[Alarm]) -> str:
        """The place of one, the building of many."""
        path = self.path(alarms[0]) if len(alarms) == 1 else self.building(alarms[0])
        return self.site.place(path).label if path else self.site.config.site.name

    def _since(self, alarms: Sequence[Alarm], now_ms: int) -> Text:
        begun = min(alarm.first_ms for alarm in alarms)
        at = datetime.fromtimestamp(begun / 1000, ZoneInfo(self.site.config.site.timezone))
        minutes = max(0, now_ms - begun) // 60_000
        named = [self._name(alarm) for alarm in alarms[:MOST_NAMED]]
        more = Text(", …", "等") if len(alarms) > MOST_NAMED else Text("", "")
        over = Text(" (its cause is gone)", "(现已恢复)") if not any(a.active for a in alarms) else Text("", "")
        waits = Text(f"{minutes} min without anybody", f"已 {minutes} 分钟无人确认")
        waits = waits if minutes else Text("nobody has acknowledged it yet", "尚无人确认")
        return Text(
            f"{', '.join(named)}{more.en}: since {at:%d %b %H:%M}, {waits.en}{over.en}.",
            f"{'、'.join(named)}{more.zh}:{at.month}月{at.day}日 {at:%H:%M} 起,{waits.zh}{over.zh}。",
        )

    def _name(self, alarm: Alarm) -> str:
        name = next((device.name for device in self.site.devices if device.id == alarm.device), None) or alarm.device
        return f"{name}/{alarm.part}" if alarm.part else name


def _leads(charge: Charge) -> Text:
    assist = Text(f"; {', '.join(charge.assist)} assists", f";配合:{'、'.join(charge.assist)}")
    helps = assist if charge.assist else Text("", "")
    return Text(f"{charge.lead} leads{helps.en}.", f"牵头:{charge.lead}{helps.zh}。")
