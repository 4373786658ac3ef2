"""A report as tables in Chinese or English: for the command line, the printed page, and a spreadsheet (CSV)."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from gateway.errors import Text
from gateway.feedback import STEPS
from gateway.taxonomy import TYPES

SIGNATURE = Text("signed:", "签名:")
BOM = "\ufeff"  # without it Excel takes UTF-8 for the machine's own code page
# How a cell begins that a spreadsheet would carry out (OWASP, CSV injection), also behind what is dropped on the way.
_FORMULA = re.compile(r"[\x00-\x20\ud800-\udfff\ufeff\ufffe\uffff]*[-=+@＝＋－＠]|[\t\r\n]")
_UNITS = ((86400, Text("d", "天")), (3600, Text("h", "小时")), (60, Text("min", "分")), (1, Text("s", "秒")))
_KINDS = {
    "shift": Text("Shift report", "班次报表"),
    "day": Text("Day report", "日报"),
    "month": Text("Month report", "月报"),
    "handover": Text("Shift handover", "交接班记录"),
}
_OUTCOMES = {
    "real": Text("real", "真实"),
    "false": Text("false alarm", "误报"),
    "test": Text("test", "测试"),
    "drill": Text("drill", "演练"),
    "other": Text("other", "其他"),
}
_COVERS = {
    "operator.shelve": Text("shelved", "暂缓"),
    "device.shielded": Text("shielded", "屏蔽"),
    "gateway.suppressed": Text("suppressed", "联锁抑制"),
    "operator.drill": Text("in drill", "演练中"),
}
_DEVICE, _TYPE, _COUNT, _TESTS = (
    Text("device", "设备"),
    Text("type", "类型"),
    Text("count", "次数"),
    Text("tests", "测试/演练"),
)
_SHIFTS = {  # the usual ones, which are Chinese in a configuration that names none
    "早班": Text("morning shift", "早班"),
    "中班": Text("afternoon shift", "中班"),
    "夜班": Text("night shift", "夜班"),
}
_ZONES = {"Asia/Shanghai": Text("Asia/Shanghai", "北京时间")}
_LANES = {
    "alarm": Text("alarms", "报警"),
    "event": Text("events", "事件"),
    "telemetry": Text("measured values", "测量值"),
}
_MACHINES = {  # words of ours in a reason that no person wrote
    "line": Text("line", "线路"),
    "bus": Text("bus", "总线"),
    "expired": Text("its time was over", "到期"),
}
_HOURS, _TIMES, _STILL = Text("hours", "时长(小时)"), Text("times", "次数"), Text("at the end", "期末状态")
_UPLINK, _SINCE = Text("uplink", "上行链路"), Text("since", "开始时间")
_WHO, _TIME, _NOTE = Text("who", "人员"), Text("time", "时间"), Text("note", "备注")


@dataclass(frozen=True)
class Table:
    """One table; without rows `none` is what there is to say."""

    title: str
    heads: list[str]
    rows: list[list[str]]
    none: str


class View:
    """In `zh` or `en`; times are those of the site."""

    def __init__(self, document: Mapping[str, Any], language: str) -> None:
        self._of = document
        self._language = "zh" if language.startswith("zh") else "en"
        self._zone = ZoneInfo(document["timezone"])

    def say(self, text: Text) -> str:
        """In the view's language."""
        return text.say(self._language)

    @property
    def title(self) -> str:
        """`阳光花园 日报 2026-11-23`."""
        kind = "handover" if "signed" in self._of else self._of["kind"]
        return f"{self._of['site']} {self.say(_KINDS[kind])} {shift_name(self._of['name'], self._language)}"

    def head(self) -> list[str]:
        """What period, how far it can be relied on, by whom it is signed: one line each."""
        of = self._of
        zone = of["timezone"]
        named = self.say(_ZONES.get(zone, Text(zone, zone)))
        lines = [f"{self.time(of['from'])} – {self.time(of['to'])} ({named}) · {of['gateway']}"]
        made = self.time(of["made"])
        if of["running"]:
            lines.append(self.say(Text(f"not over yet: as of {made}", f"本期尚未结束,截至 {made}")))
        if not of["complete"]:
            kept = self.time(of["kept_from"])
            said = Text(f"not complete: events before {kept} are not kept any more",
                        f"不完整:{kept} 之前的事件已超出保存期限")  # fmt: skip
            lines.append(self.say(said))
        clock = of["clock"]
        if clock["hours"] or clock["times"]:
            hours = f"{clock['hours']:.2f}"
            lines.append(self.say(Text(f"the clock was not right for {hours} h", f"时钟不准 {hours} 小时")))
        if clock["unsure_events"]:
            events = clock["unsure_events"]
            lines.append(self.say(Text(f"events with an uncertain time: {events}", f"{events} 条事件的时间不可靠")))
        if "signed" in of:
            who, when = of["signed"]["who"], self.time(of["signed"]["time"])
            lines.append(self.say(Text(f"handed over by {who}, {when}", f"交班人:{who},{when}")))
            if of["signed"].get("note"):
                lines.append(f"{self.say(_NOTE)}: {of['signed']['note']}")
        return lines

    def tables(self) -> list[Table]:
        """All of them; what the next shift must know comes first."""
        of = self._of
        return [
            *self._handed(),
            self._table(Text("Open alarms", "未结束报警"), (_DEVICE, _TYPE, _SINCE, Text("alarm", "编号")),
                        [(a["label"], self.kind(a.get("type", "")), self.time(a["since"]), a["alarm"])
                         for a in of["open"]]),
            self._table(Text("Shelved, shielded, in drill", "暂缓、屏蔽、演练"),
                        (_DEVICE, Text("state", "状态"), Text("reason", "原因"), Text("until", "截止"), _WHO),
                        map(self._cover, of["covers"])),
            self._table(Text("Figures", "指标"), (Text("figure", "指标"), Text("value", "数值")), self._figures()),
            self._table(Text("Alarms by type", "按类型统计"), (_TYPE, _COUNT, _TESTS),
                        [(self.kind(r["type"]), r["count"], r["tests"]) for r in of["alarms"]["by_type"]]),
            self._table(Text("Alarms by building", "按楼栋统计"), (Text("building", "楼栋"), _COUNT, _TESTS),
                        [(r["label"] or of["gateway"], r["count"], r["tests"]) for r in of["alarms"]["by_building"]]),
            self._table(Text("Noisiest points", "报警最多的点位"), (_DEVICE, Text("part", "部位"), _COUNT),
                        [(r["label"], r.get("part", ""), r["count"]) for r in of["noisiest"]]),
            self._table(Text("Devices offline", "设备离线"), (_DEVICE, _HOURS, _TIMES, _STILL),
                        [(r["label"], *self._lasted(r)) for r in of["offline"]]),
            self._table(Text("Platform not reachable", "与平台断开"), (_UPLINK, _HOURS, _TIMES, _STILL),
                        [(r["uplink"], *self._lasted(r)) for r in of["uplinks"]]),
            self._table(Text("Data lost", "数据丢弃"), (Text("stream", "数据流"), Text("events", "事件数")),
                        [(self.say(_stream(r["stream"])), r["events"]) for r in of["lost"]]),
            self._notes(),
        ]  # fmt: skip

    def _table(self, title: Text, heads: Sequence[Text], rows: Iterable[Sequence[Any]]) -> Table:
        cells = [[str(cell) for cell in row] for row in rows]
        return Table(self.say(title), [self.say(head) for head in heads], cells, self.say(Text("none", "无")))

    def _handed(self) -> list[Table]:
        of = self._of
        if "signed" not in of:
            return []
        links = (Text("connected", "已连接"), Text("not connected", "未连接"))
        return [
            self._table(Text("Platform has not confirmed", "平台尚未确认"),
                        (_UPLINK, Text("link", "连接"), Text("alarms", "报警"), Text("events", "事件")),
                        [(u["uplink"], self.say(links[not u["connected"]]), u["backlog"].get("alarm", 0),
                          u["backlog"].get("event", 0)) for u in of["unconfirmed"]]),
            self._table(Text("Incidents", "待处置案卷"),
                        (Text("incident", "案卷"), Text("step", "环节"), Text("owner", "责任人"), Text("due", "期限")),
                        [(i.get("incident", ""), self.say(_standing(i)), i.get("owner", ""),
                          self.time(i["due"]) if "due" in i else "") for i in of["incidents"]]),
        ]  # fmt: skip

    def _cover(self, cover: Mapping[str, Any]) -> tuple[str, ...]:
        state = self.say(_COVERS[cover["cover"]])
        condition = cover.get("condition", "")
        named = f"{state} {self.kind(condition.partition(' ')[0])}".rstrip() if condition in TYPES else state
        until = self.time(cover["until"]) if "until" in cover else ""
        return cover["label"], named, self.say(_reason(cover.get("reason", ""))), until, cover.get("who", "")

    def _figures(self) -> list[tuple[str, str]]:
        of, touches = self._of, self._of["touches"]
        rows = [(Text("alarms (without tests)", "报警数(不含测试)"), str(of["alarms"]["count"])),
                (Text("tests and drills", "测试与演练"), str(of["alarms"]["tests"]))]  # fmt: skip
        for step, name in (("acknowledged", Text("acknowledged", "确认")), ("disposed", Text("disposed", "处置"))):
            rows += self._steps(of[step], name)
        for outcome, name in _OUTCOMES.items():
            rows.append((Text(f"disposed: {name.en}", f"处置结论:{name.zh}"), str(of["disposed"]["outcomes"][outcome])))
        if "false_share" in of["disposed"]:
            rows.append((Text("false alarms of those disposed", "误报率"), f"{of['disposed']['false_share']:.1%}"))
        if "per_100_alarms" in touches:
            per = f"{touches['per_100_alarms']:g}"
            rows.append((Text("human touches per 100 alarms", "每百次报警人工操作数"), per))
        return [(self.say(name), value) for name, value in rows]

    def _steps(self, step: Mapping[str, Any], name: Text) -> list[tuple[Text, str]]:
        rows = [(Text(f"{name.en}", f"{name.zh}数"), str(step["count"]))]
        if "worst" in step:
            worst = step["worst"]
            about = f"{worst['label']} {self.kind(worst.get('type', ''))}".rstrip()
            longest = f"{self.span(worst['seconds'])} ({about})"
            rows += [
                (Text(f"{name.en} within, median", f"{name.zh}用时中位数"), self.span(step["median_s"])),
                (Text(f"{name.en} within, 90 %", f"{name.zh}用时 90 分位"), self.span(step["p90_s"])),
                (Text(f"{name.en} within, longest", f"{name.zh}最长用时"), longest),
            ]
        if step["unmeasured"]:
            unmeasured = Text(f"{name.en}, not measured (clock)", f"{name.zh}用时无法计量(时钟)")
            rows.append((unmeasured, str(step["unmeasured"])))
        return rows

    def _lasted(self, row: Mapping[str, Any]) -> tuple[str, str, str]:
        state = Text("still", "未恢复") if row["still"] else Text("back", "已恢复")
        return f"{row['hours']:.2f}", str(row["times"]), self.say(state)

    def _notes(self) -> Table:
        told = [(self.time(n["time"]), n.get("who", ""), n["label"], n["note"]) for n in self._of["notes"]]
        rows = list(dict.fromkeys(told))  # an outcome acknowledges, with the same note
        handed = self.say(_KINDS["handover"])
        for h in self._of["handovers"]:
            about = f"{handed} {shift_name(h.get('shift', ''), self._language)}".rstrip()
            rows.append((self.time(h["time"]), h.get("who", ""), about, h.get("note", "")))
        left_out = self._of["notes_left_out"]
        if left_out:
            rows.append(("", "", "", self.say(Text(f"and {left_out} more", f"另有 {left_out} 条未列出"))))
        return self._table(Text("Notes", "备注"), (_TIME, _WHO, Text("about", "对象"), _NOTE), rows)

    def kind(self, kind: str) -> str:
        """An event type's label."""
        return self.say(TYPES[kind].label) if kind in TYPES else kind

    def time(self, text: str) -> str:
        """RFC 3339 as the site's clock showed it, to the minute."""
        return datetime.fromisoformat(text).astimezone(self._zone).strftime("%Y-%m-%d %H:%M")

    def span(self, seconds: float) -> str:
        """`3 分 20 秒`: the two largest units."""
        left, parts = round(seconds), list[str]()
        for size, unit in _UNITS:
            count, left = divmod(left, size)
            if count or (size == 1 and not parts):
                parts.append(f"{count} {self.say(unit)}")
        return " ".join(parts[:2])


@dataclass(frozen=True)
class Headline:
    """One of the figures that are read first; `before` is that of the period before, where it was asked for."""

    name: str
    value: str
    before: str | None


def headlines(view: View, document: Mapping[str, Any], before: Mapping[str, Any] | None) -> list[Headline]:
    """Alarms, how soon people came, how many were false, how long devices were away."""
    return [
        Headline(view.say(name), said(document, view), None if before is None else said(before, view))
        for name, said in _HEADLINES
    ]


def _median(step: str) -> Callable[[Mapping[str, Any], View], str]:
    return lambda of, view: view.span(of[step]["median_s"]) if "median_s" in of[step] else "–"


def _false_share(of: Mapping[str, Any], _view: View) -> str:
    return f"{of['disposed']['false_share']:.1%}" if "false_share" in of["disposed"] else "–"


def _hours_offline(of: Mapping[str, Any], view: View) -> str:
    hours = sum(row["hours"] for row in of["offline"])
    return view.say(Text(f"{hours:.1f} h", f"{hours:.1f} 小时"))


_HEADLINES: Sequence[tuple[Text, Callable[[Mapping[str, Any], View], str]]] = (
    (Text("alarms", "报警"), lambda of, _: str(of["alarms"]["count"])),
    (Text("acknowledged within (median)", "确认用时(中位)"), _median("acknowledged")),
    (Text("disposed within (median)", "处置用时(中位)"), _median("disposed")),
    (Text("false alarms", "误报率"), _false_share),
    (Text("devices offline, together", "设备离线合计"), _hours_offline),
    (Text("open at the end", "期末未结束"), lambda of, _: str(len(of["open"]))),
)  # fmt: skip


def shift_name(name: str, language: str) -> str:
    """What a shift is called; the usual ones in either language."""
    return _SHIFTS.get(name, Text(name, name)).say(language)


def _stream(name: str) -> Text:
    """`district.alarm` → district's alarms."""
    uplink, _, lane = name.rpartition(".")
    word = _LANES.get(lane, Text(lane, lane))
    return Text(f"{uplink}: {word.en}", f"{uplink} {word.zh}")


def _reason(text: str) -> Text:
    """As a person wrote it; where the gateway did, its words are put into language."""
    first, *more = text.split(" ") if text else [""]
    ours = (first in _MACHINES and len(more) <= 1) or any(word in TYPES for word in more)
    if not ours:
        return Text(text, text)
    said = [TYPES[word].label if word in TYPES else _MACHINES.get(word, Text(word, word)) for word in (first, *more)]
    return Text(" ".join(one.en for one in said), " ".join(one.zh for one in said))


def _standing(incident: Mapping[str, Any]) -> Text:
    """Where an incident stands; what is overdue says so."""
    word = incident.get("step", "")
    step = STEPS[word] if word in STEPS else Text(word, word)
    return Text(f"{step.en}, overdue", f"{step.zh},已逾期") if incident.get("overdue") else step


def to_csv(view: View) -> str:
    """All tables under each other, as Excel opens it: a BOM, CRLF (RFC 4180), no cell that is carried out."""
    out = io.StringIO()
    out.write(BOM)
    writer = csv.writer(out)
    rows: list[list[str]] = [[view.title], *([line] for line in view.head())]
    for table in view.tables():
        rows += [[], [table.title], table.heads, *(table.rows or [[table.none]])]
    writer.writerows([[harmless(cell) for cell in row] for row in rows])
    return out.getvalue()


def harmless(cell: str) -> str:
    """A cell that a spreadsheet shows and never carries out."""
    return f"'{cell}" if _FORMULA.match(cell) else cell
