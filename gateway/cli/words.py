"""The words of tables, and what Typer says, in English and Chinese; helps in Chinese stand in `helps.py`."""

from collections.abc import Mapping

from gateway.errors import Text

VERDICTS: Mapping[str, Text] = {
    "fire": Text("FIRE ALARM", "火警"),
    "alarm": Text("ALARM", "报警"),
    "unknown": Text("STATE UNKNOWN", "状态未知"),
    "fault": Text("FAULT", "故障"),
    "disconnected": Text("PLATFORM NOT REACHABLE", "与平台断开"),
    "shielded": Text("SOMETHING IS SHIELDED", "有屏蔽"),
    "normal": Text("NORMAL", "正常"),
}
STATES: Mapping[str, Text] = {
    "alarm": Text("alarm", "报警"),
    "fault": Text("fault", "故障"),
    "offline": Text("offline", "离线"),
    "unknown": Text("unknown", "未知"),
    "shielded": Text("shielded", "屏蔽"),
    "test": Text("under test", "测试"),
    "normal": Text("normal", "正常"),
    "running": Text("running", "运行中"),
    "retrying": Text("retrying", "重试中"),
    "stopped": Text("stopped", "已停止"),
}
ALARM_STATES: Mapping[str, Text] = {
    "active_unacked": Text("active, not acknowledged", "持续,未确认"),
    "active_acked": Text("active, acknowledged", "持续,已确认"),
    "cleared_unacked": Text("over, not acknowledged", "已消除,未确认"),
    "latched": Text("over, waits for its outcome", "已消除,待处置"),
    "normal": Text("over", "已结束"),
    "shelved": Text("shelved", "暂缓"),
    "suppressed": Text("suppressed", "联锁抑制"),
    "out_of_service": Text("shielded", "屏蔽"),
}
STEPS: Mapping[str, Text] = {  # of an alarm's history
    "raise": Text("began", "发生"),
    "pulse": Text("happened", "发生"),
    "clear": Text("ended", "消除"),
    "silence": Text("silenced", "消音"),
    "ack": Text("acknowledged", "确认"),
    "dispose": Text("disposed", "处置"),
    "reset": Text("reset", "复位"),
    "shelve": Text("left its shelf", "暂缓结束"),
    "action": Text("released", "解除抑制"),
    "escalate": Text("escalated", "升级通知"),
    "told": Text("message went out", "通知已送出"),
    "untold": Text("message did not go out", "通知未送出"),
}
LAID: Mapping[str, Text] = {
    "shielded": Text("shielded, out of service", "屏蔽"),
    "shelved": Text("shelved", "暂缓"),
    "drilled": Text("drills that are on", "进行中的演练"),
}
LINKS: Mapping[bool, Text] = {True: Text("connected", "已连接"), False: Text("not connected", "未连接")}
LANES: Mapping[str, Text] = {
    "alarm": Text("alarms", "报警"),
    "event": Text("events", "事件"),
    "telemetry": Text("measured values", "测量值"),
}
DEAD: Mapping[str, Text] = {  # why a broker can never take a letter
    "too-large": Text("too large for the broker", "超过服务器允许的大小"),
    "topic-invalid": Text("its topic is invalid there", "服务器认为主题无效"),
    "payload-invalid": Text("its payload is invalid there", "服务器认为内容无效"),
    "connection-closed": Text("the broker leaves when it gets it", "服务器收到后断开连接"),
}
NOTHING: Mapping[str, Text] = {
    "devices": Text("no device is configured", "尚未配置设备"),
    "uplinks": Text("no uplink is configured: events stay on this machine", "尚未配置上行链路,事件仅保存在本机"),
    "alarms": Text("no alarm is open", "没有未结束的报警"),
    "events": Text("no such event", "没有符合条件的事件"),
    "responsibility": Text("there is no `responsibility:` in the configuration", "配置中没有责任清单(responsibility:)"),
    "audit": Text("no such line", "没有符合条件的记录"),
}
HEADS: Mapping[str, Text] = {
    "alarm": Text("ALARM", "报警编号"),
    "alarms": Text("ALARMS", "报警"),
    "assist": Text("ASSISTS", "配合"),
    "basis": Text("BASIS", "依据"),
    "confirmed": Text("CONFIRMED", "平台已确认"),
    "count": Text("COUNT", "次数"),
    "day": Text("DAY", "日期"),
    "dead": Text("DEAD", "死信"),
    "device": Text("DEVICE", "设备"),
    "devices": Text("DEVICES", "设备数"),
    "driver": Text("DRIVER", "驱动"),
    "fields": Text("FIELDS", "字段"),
    "escalate": Text("ESCALATES", "逐级通知"),
    "first": Text("FIRST", "首次"),
    "from": Text("FROM", "来源"),
    "group": Text("GROUP", "同源"),
    "kind": Text("KIND", "种类"),
    "lane": Text("LANE", "通道"),
    "last": Text("LAST", "最近"),
    "last_seen": Text("LAST SEEN", "最近应答"),
    "lead": Text("LEADS", "牵头"),
    "link": Text("LINK", "连接"),
    "meaning": Text("MEANING", "含义"),
    "name": Text("NAME", "名称"),
    "next": Text("NEXT STEP", "下一步"),
    "note": Text("NOTE", "备注"),
    "number": Text("NUMBER", "序号"),
    "offline": Text("OFFLINE", "离线数"),
    "oldest": Text("OLDEST", "最早等待"),
    "outcome": Text("OUTCOME", "结果"),
    "place": Text("PLACE", "位置"),
    "raw": Text("RAW", "原始值"),
    "reading": Text("READING", "读数"),
    "refused": Text("REFUSED", "被拒"),
    "register": Text("REGISTER", "寄存器"),
    "sequence": Text("NUMBER", "序号"),
    "sent": Text("SENT", "已发送"),
    "severity": Text("SEVERITY", "级别"),
    "since": Text("SINCE", "自"),
    "simulator": Text("SIMULATOR", "模拟器"),
    "state": Text("STATE", "状态"),
    "step": Text("STEP", "步骤"),
    "stream": Text("STREAM", "流"),
    "subject": Text("SUBJECT", "对象"),
    "time": Text("TIME", "时间"),
    "type": Text("TYPE", "类型"),
    "uplink": Text("UPLINK", "上行链路"),
    "value": Text("VALUE", "数值"),
    "values": Text("VALUES", "测量值"),
    "waiting": Text("WAITING", "待上报"),
    "what": Text("WHAT IT IS", "说明"),
    "when": Text("WHERE AND WHEN", "地点和时段"),
    "who": Text("WHO", "人员"),
    "why": Text("WHY", "原因"),
}
STYLES: Mapping[str, str] = {  # rich's, by severity, state or verdict; unknown is never green
    "fire": "bold red",
    "critical": "bold red",
    "high": "red",
    "alarm": "red",
    "medium": "yellow",
    "fault": "yellow",
    "offline": "yellow",
    "unknown": "yellow",
    "disconnected": "yellow",
    "shielded": "magenta",
    "test": "magenta",
    "normal": "green",
}
REVISION_STATES: Mapping[str, Text] = {  # of configurations
    "running": Text("running", "运行中"),
    "trying": Text("on trial", "试运行"),
    "kept": Text("kept, runs again if the trial fails", "保留,试运行失败则恢复"),
    "earlier": Text("earlier", "历史"),
    "rolled-back": Text("rolled back", "已回退"),
}
PLACES: Mapping[str, Text] = {  # where a configuration came from
    "file": Text("file", "本地文件"),
    "cli": Text("command line", "命令行"),
    "page": Text("page", "网页"),
    "uplink": Text("uplink", "上行链路"),
}
FRAME: Mapping[str, str] = {  # a line of a help by its beginning
    "Usage:": "用法:",
    "Arguments:": "参数:",
    "Options:": "选项:",
    "Commands:": "命令:",
}
REASONS: Mapping[str, Text] = {  # why a value is wrong, as Pydantic says it, wherever it stands
    r"(?:Value error, )?'([^']*)' is not one of (.*?)\.?$": Text(r"\1 is not one of \2", r"\1 不在可用值中:\2"),
    r"Input should be a valid integer.*": Text("a whole number is needed", "应为整数"),
    r"Input should be greater than or equal to (\S+)": Text(r"at least \1 is needed", r"不能小于 \1"),
    r"Input should be less than or equal to (\S+)": Text(r"at most \1 is allowed", r"不能大于 \1"),
}
USAGE: Mapping[str, str] = {  # wrong use, as Typer says it → in Chinese; a regular expression
    r"No such command '(.*?)'\.(?: Did you mean (.*)\?)?": "没有命令 {0}|,是否想写 {1}?",
    r"No such option: (\S+?)(?: \(Possible options: (.*)\)| Did you mean (.*)\?)?": "没有选项 {0}|,是否想写 {1}?",
    r"Missing command\.": "缺少命令",
    r"Missing argument '(.*)'\.": "缺少参数 {0}",
    r"Missing option '(.*)'\.": "缺少选项 {0}",
    r"Option '(.*)' requires an argument\.": "选项 {0} 需要一个值",
    r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)": "多余的参数:{0}",
    r"Invalid value for '?(.*?)'?(?: \(env var: .*\))?: (.*)": "{0} 的值无效:{1}",
    r"Invalid value: (.*)": "值无效:{0}",
}
