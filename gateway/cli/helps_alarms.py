"""Helps in Chinese of what is done to alarms; see `helps.py`."""

from collections.abc import Mapping

HELPS: Mapping[str, str] = {
    "Only this one, with its history; the last 6 characters do.": "只显示这一个及其经过;写编号最后 6 位即可。",
    "Silence the alarms that sound now.": "消音:当前正在响的报警。",
    "Never the next one: it sounds again.": "不影响之后的报警:新报警照常发声。",
    "Say what an alarm was.": "给出报警的处置结论。",
    "It is acknowledged by this, and is over once its cause is gone.": "同时视为已确认;原因消除后报警即结束。",
    "What caused it.": "原因。",
    "Reset an alarm that latches.": "复位一个锁存的报警。",
    "Refused, with the reason, while its cause lasts, while nobody has acknowledged it, and of a fire while nobody has "
    "said what it was.": "原因未消除、尚未确认,或火警尚无处置结论时拒绝,并说明原因。",
    "Put an alarm aside for a while.": "将报警暂缓一段时间。",
    "It goes on as ever and is told upstream; when its time is over and it still lasts, it asks for somebody again.": (
        "报警照常运行并上报;到期时若仍未消除,将重新要求确认。"
    ),
    "One alarm, or all of a device; never fire, panic or duress.": (
        "一个报警,或一台设备的全部报警;火警、求助、胁迫除外。"
    ),
    "At most 8h; 0 ends it.": "最长 8h;写 0 则结束。",
    "For how long: 30m, 2h, 1d.": "时长,例如 30m、2h、1d。",
    "Why; it is told and written down.": "理由,会上报并记入审计日志。",
    "As `gateway devices` lists it.": "设备名,见 gateway devices。",
    "Only this part of the device.": "仅设备的这一部件。",
    "Take a device out of service for a while.": "将设备屏蔽一段时间。",
    "Counted wherever the gateway shows how it is, and ends by itself.": "在网关状态中始终计数显示,到期自动解除。",
    "Put a device back into service.": "解除设备的屏蔽。",
    "Begin or end a drill.": "开始或结束演练。",
    "What is raised meanwhile is a test, here and upstream. It ends by itself.": (
        "演练期间的报警在本机和上级平台均标记为测试;到期自动结束。"
    ),
    "Where; without it everywhere.": "位置或设备;不写则为整个小区。",
    "For how long: 30m, 2h; 0 ends it.": "时长,例如 30m、2h;写 0 则结束。",
    "Show who did what, the newest last.": "显示操作审计记录,最新的在最后。",
    "At most so many lines; the newest.": "最多显示多少行(取最新的)。",
    "Check that no line was changed, deleted or put elsewhere.": "校验审计记录是否被改动、删除或调换。",
    "Reads the file, also while the gateway is stopped. The seal of the last line stands in each health document that "
    "went up: compare it, to find lines cut off at the end. Exit status 1 where the chain is broken.": (
        "直接读取文件,网关停止时也可使用。最后一行的封印随健康文档上报,比对即可发现末尾被截断。链条断裂时退出码 1。"
    ),
}
