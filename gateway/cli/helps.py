"""Helps in Chinese, by the English paragraph that stands in the code; a test keeps the list complete."""

from collections.abc import Mapping

from gateway.cli import helps_alarms, helps_people

HELP_OPTION = "Show this message and exit."
HELPS: Mapping[str, str] = {
    HELP_OPTION: "显示本帮助。",
    # the whole
    "The community gateway: reads a compound's devices, keeps every event on disk, tells the district.": (
        "社区网关:接入小区设备,每条事件先存盘,再上报到区级平台。"
    ),
    "Chinese or English; before or after the command. Else the locale's.": (
        "中文或英文,可写在命令之前或之后;不写则按系统语言。"
    ),
    "The configuration.": "配置文件。",
    "The state folder of the running gateway, instead of its configuration's.": (
        "正在运行的网关的状态目录;不写则取配置中的目录。"
    ),
    "JSON instead of text.": "输出 JSON。",
    # run, check, demo, version
    "Run the gateway until it is told to stop.": "运行网关,直到收到停止信号。",
    "SIGTERM and Ctrl-C stop it. With a wrong configuration it does not start: all mistakes are told, exit status 2.": (
        "SIGTERM 或 Ctrl-C 使其停止。配置有误则不启动:一次列出所有错误,退出码 2。"
    ),
    "Check the configuration without starting anything.": "检查配置,不启动任何服务。",
    "Every mistake is one line: FILE:LINE:COLUMN: key: what is wrong (what is allowed). Exit status 2 if there is "
    "one.": ("每处错误一行:文件:行:列: 键: 错误(允许的写法)。有错误时退出码 2。"),
    "Show everything on this machine, with simulated devices.": "用模拟设备在本机演示全过程。",
    "A broker, the gateway, devices on real wires, and a subscriber that prints every event. Nothing has to be "
    "configured. With --once the exit status is 0 only if every event arrived exactly once.": (
        "消息服务器、网关、真实线路上的设备,以及逐条打印事件的订阅端。无需配置。加 --once 时,仅当每条事件恰好到达一次,"
        "退出码才为 0。"
    ),
    "End after the story, with a summary.": "演示完剧情后给出小结并结束。",
    "Say which version this is.": "显示版本。",
    # incidents, notices, dossier
    "List the platform's incidents, or tell it what was done.": "列出平台案卷,或上报处置进展。",
    "Each with its step, who is to handle it and until when, and what became of its alarms; also while the platform is "
    "not reachable.": "显示步骤、责任人、时限及相关报警的现状;与平台断开时也可查看。",
    "As `gateway incidents` lists it.": "gateway incidents 列出的案卷编号。",
    "Take an incident in hand.": "开始处置案卷。",
    "The platform is told, with your user name.": "将连同当前用户名上报平台。",
    "Say that an incident is handled.": "报告案卷已处置。",
    "The platform is told, with your user name and what became of the alarms, and verifies it.": (
        "将连同当前用户名和相关报警的现状上报平台,由平台核查。"
    ),
    "Reference of a picture that is kept here.": "本机所存图片的编号。",
    "Show what the district has told the community.": "查看区级平台下发的通知。",
    "Notices, figures and case results that have not expired, the newest first; and since when nothing has come.": (
        "未过期的通知、月度数据和办理结果,新的在前;长期没有反馈时一并提示。"
    ),
    "Print the community's digital file as an uplink has it.": "输出某条上行链路所持的小区档案(建档立卡)。",
    "JSON: places, devices, who is responsible, what is kept how long and shared with whom.": (
        "JSON 格式:位置、设备、责任清单摘要、保存期限和共享范围。"
    ),
    "Whose; without, the first one's.": "上行链路名称;不写则取第一条。",
    "What changed since the revision before.": "与上一版的差异。",
    # config, reload
    "Configurations that ran here, and the way back.": "运行过的配置及回退。",
    "List the configurations that ran here, the newest first.": "列出运行过的配置,最新的在前。",
    "Who brought each in, when and from where. Also while the gateway is stopped.": (
        "每个版本由谁、何时、从何处引入。网关停止时也可使用。"
    ),
    "A revision's number; without, the one before.": "版本编号;不写则取前一个版本。",
    "Another one's; without, the one that runs.": "另一个版本编号;不写则取正在运行的版本。",
    "Show what differs between two configurations.": "显示两个配置版本的差异。",
    "Passwords and keys are hidden. Exit status 0 also where they differ.": "密码和密钥不显示。有差异时退出码也为 0。",
    "Its number; without, the one that runs.": "版本编号;不写则取正在运行的版本。",
    "With passwords and keys, as it stands.": "连同密码和密钥原样输出。",
    "Print a configuration as it ran.": "输出某个版本的配置。",
    "Passwords and keys that stand in it are hidden, unless --secrets is given.": (
        "其中的密码和密钥不显示,除非加 --secrets。"
    ),
    "As `gateway config log` lists it.": "gateway config log 所列的编号。",
    "Let an older configuration run again.": "让较早的配置重新生效。",
    "It becomes the newest revision, and gateway.yaml stays as it is. A running gateway starts anew at once, one that "
    "is stopped takes it at its next start.": (
        "它成为最新版本,gateway.yaml 保持不变。运行中的网关立即重新启动,已停止的网关在下次启动时采用。"
    ),
    "Let the running gateway read its configuration again.": "让运行中的网关重新读取配置。",
    "It is checked first: with a mistake in it nothing happens. Then the gateway starts anew, which takes some "
    "seconds; no event is lost.": "先检查配置,有误则不作任何改变;随后网关重新启动,需数秒,事件不会丢失。",
    # status, devices, alarms, outbox
    "Say how the running gateway is.": "显示网关当前状况。",
    "Its verdict in one word; the uplinks, and what still waits for them; the drivers; this machine.": (
        "总体结论、上行链路及待上报数量、驱动、本机资源。"
    ),
    "List the devices.": "列出设备。",
    "What each is, where, in what state, and its newest values.": "种类、位置、状态和最新测量值。",
    "List the alarms that are not over.": "列出未结束的报警。",
    "Active, not yet acknowledged, or waiting for their outcome. `gateway ack` takes the first column.": (
        "持续中、未确认或待处置。第一列即 gateway ack 所需的报警编号。"
    ),
    "List who leads on which alarm type, and who is told.": "列出责任清单:各类报警的牵头、配合和逐级通知。",
    "From the configuration, each type with the entry that counts for it; also the types that nobody leads.": (
        "取自配置:每种类型按最具体的一行;无人牵头的类型也列出。"
    ),
    "The contacts of the configuration.": "配置中的联系人。",
    "Send a message to a contact that is marked as a test.": "向联系人发送一条注明“测试”的消息。",
    "As it stands under `contacts:`.": "contacts: 中的名称。",
    "From this machine, with the configuration as it stands; also while the gateway is stopped. Exit status 1 where it "
    "was not taken, with the reason.": "从本机按当前配置发送,网关停止时也可使用。未被接收时说明原因,退出码 1。",
    "What each uplink still owes.": "各上行链路的待上报情况。",
    "Show what each uplink still owes, by lane.": "按通道显示各上行链路的待上报情况。",
    "Events that wait, and since when the oldest does; events sent, confirmed by the broker, refused by it; dead "
    "letters, which it can never take, one by one.": (
        "待上报数、最早一条的等待时间、已发送数、平台已确认数、被拒数;并逐条列出平台永远无法接收的死信。"
    ),
    "Check the database on disk.": "检查磁盘上的数据库。",
    "Also while the gateway is stopped. Says whether the file is sound, and what the gateway would do with it; changes "
    "nothing. Exit status 1 where it is not sound.": (
        "网关停止时也可使用。说明文件是否完好以及网关将如何处理,不作任何修改。文件受损时退出码 1。"
    ),
    "Send numbers of a stream once more, as far as they are kept.": "重新上报某个流中仍保存的序号。",
    "With their ids and numbers, also dead letters. What is not kept any more is told.": (
        "事件编号和序号不变,死信也会重试;已不再保存的会列出。"
    ),
    "UPLINK.LANE, e.g. district.event.": "上行链路.通道,例如 district.event。",
    "The first number.": "起始序号。",
    "The last number; without it the newest that was confirmed.": "结束序号;不写则到最新的已确认序号。",
    # events
    "Show events as they were taken in, the newest last.": "按接收顺序显示事件,最新的在最后。",
    "With --follow only what comes, unless --since or --limit say from where on.": (
        "加 --follow 时只显示新事件,除非用 --since 或 --limit 指定起点。"
    ),
    "Go on with what comes, until Ctrl-C; with --json one line each.": (
        "持续显示新事件,直到 Ctrl-C;与 --json 合用时每条一行。"
    ),
    "Not before: 30s, 10m, 2h, 7d ago, or an RFC 3339 time.": (
        "起始时间:30s、10m、2h、7d 之前,或 RFC 3339 格式的时间。"
    ),
    "Only this type, or category as in 'fire.*'. Can be given several times.": (
        "只显示此类型,或用 'fire.*' 表示一类;可写多次。"
    ),
    "Only of this device. Can be given several times.": "只显示此设备;可写多次。",
    "At most so many past events; the newest. Without it 50, with --since 10000.": (
        "最多显示多少条历史事件(取最新的);默认 50,用 --since 时默认 10000。"
    ),
    # ack, card
    "Acknowledge an alarm: somebody has seen it.": "确认一个报警:已有人知晓。",
    "With --outcome also say what it was, which ends it once its cause is gone. Both are told to the uplinks, with "
    "your user name.": "用 --outcome 同时给出处置结论,原因消除后报警即结束。两者都会连同您的用户名上报。",
    "As `gateway alarms` lists it, or its last 6 characters.": "报警编号,见 gateway alarms;写最后 6 位即可。",
    "What it was.": "处置结论:真实、误报、测试、演练、其他。",
    "What is to be remembered.": "备注。",
    # report, handover
    "Say how a shift, a day or a month was.": "给出班次、当日或当月的统计报表。",
    "Alarms by type and building, how soon people acknowledged and disposed, false alarms, what was offline, shelved "
    "or shielded, the noisiest points.": (
        "按类型和楼栋统计的报警、确认与处置用时、误报率、离线时长、暂缓与屏蔽清单、报警最多的点位。"
    ),
    "Of what; else the day.": "统计范围:班次、日、月;不写则为日。",
    "2026-11, 2026-11-23 or 2026-11-23T10:00, site time; else now.": (
        "2026-11、2026-11-23 或 2026-11-23T10:00,按小区当地时间;不写则为现在。"
    ),
    "For a spreadsheet, instead of text.": "输出 CSV,供表格软件打开。",
    "Hand the shift over: the sheet, signed.": "交班:生成并签署交接班记录。",
    "Of the shift that is now, or ended within the last hour. That it was handed over, by whom and with what note, "
    "stands in the audit log.": ("针对当前班次,或一小时内刚结束的班次。交班人和交班说明记入审计日志。"),
    "What the next shift is to know.": "交班说明。",
    "Who signs; else your user name.": "交班人;不写则为当前用户名。",
    # send
    "Have a device or the gateway do something, now.": "让设备或网关立即执行一项操作。",
    "Checked as a command of the platform is, but for its permission; it stands in the audit log with your user name. "
    "Exit status 1 where it was not done.": (
        "检查项目与平台命令相同(不含上行链路权限);操作连同您的用户名记入审计日志。未执行成功时退出码 1。"
    ),
    "Its id, or `gateway` for the gateway itself.": "设备编号;网关自身写 gateway。",
    "unlock, lock, release, output, snapshot, test, shelve, shield, …": (
        "操作:unlock、lock、release、output、snapshot、test、shelve、shield 等。"
    ),
    "Its arguments, e.g. seconds=5 reason=cleaning.": "操作的参数,例如 seconds=5 reason=cleaning。",
    "Print a card's keyed hash for `credentials:`.": "输出卡片的密钥散列,供 credentials: 使用。",
    "So no card number stands in a file. It is made with this site's own key, from the configuration.": (
        "使卡号不出现在任何文件中。所用密钥为本站点自己的密钥,取自配置。"
    ),
    "wiegand-26, wiegand-34, wiegand-37, raw-32, …": "wiegand-26、wiegand-34、wiegand-37、raw-32 等。",
    "Facility code; 0 where there is none.": "区域码;没有则写 0。",
    "Card number.": "卡号。",
    # disclosure, forget
    "List what left this box.": "列出已离开本机的数据。",
    "How many events of which type, with which fields, each uplink was given on which day; kept for three years.": (
        "按日期、上行链路、事件类型和字段统计的数量;保存三年。"
    ),
    "Only this day, e.g. 2026-11-24.": "只看这一天,例如 2026-11-24。",
    "From this day on; without it and --day everything.": "从这一天起;与 --day 都不写则列出全部。",
    "Forget a person's card (PIPL, article 47).": "删除某人的卡片信息(个人信息保护法第四十七条)。",
    "Its number goes from every event on disk, the events stay; each uplink that may hold references is told which one "
    "to delete. Take the card off `credentials:` first. Asked again, it does what is left to do.": (
        "从已保存的全部事件中清除卡号,事件保留;并通知每个可能持有引用值的平台删除对应引用。"
        "请先从 credentials: 中移除该卡。可重复执行,未完成的部分会继续。"
    ),
    "Its format as for `gateway card`, or an uplink's reference alone.": (
        "卡片格式,与 gateway card 相同;或仅写某平台的引用值。"
    ),
    # backup, restore
    "Write all that this box is into one file.": "将本机的全部内容写入一个文件。",
    "The gateway may run meanwhile. Configuration, keys, every event on disk and how far each uplink has it. The file "
    "holds every secret of the site: only its owner may read it, and it belongs where nobody else does.": (
        "网关无需停止。包括配置、密钥、磁盘上的全部事件及各上行链路的进度。文件含本站点的全部密钥和密码,仅所有者可读,"
        "请妥善保管。"
    ),
    "What to write, a tar; none may be there yet.": "要写入的文件(tar 格式);不能已存在。",
    "Make this box the one in a backup.": "用备份恢复本机。",
    "No gateway may run here. Every stream goes on with numbers that the old box cannot have used, and each uplink is "
    "told which never come. All of the file is checked before anything is written.": (
        "须在网关停止时执行。各数据流从旧网关不可能用过的序号继续,并告知各上行链路哪些序号不会再出现。"
        "写入前先检查整个文件。"
    ),
    "What `gateway backup` wrote.": "gateway backup 生成的文件。",
    "The state folder to fill; else as on the old box.": "要恢复到的状态目录;默认与旧网关相同。",
    "The configuration's folder; else as on the old box.": "配置目录;默认与旧网关相同。",
    "The old box has not run since the backup: no number is skipped.": "备份之后旧网关未再运行:不跳过序号。",
    "Move what is there aside.": "将已有内容移开。",
    # schema
    "What the gateway speaks, for machines.": "供程序使用的接口描述。",
    "Print the JSON Schema of gateway.yaml.": "输出 gateway.yaml 的 JSON Schema。",
    "With the keys of every driver there is.": "含所有驱动的键。",
    "Print the JSON Schema of the events that go up.": "输出上报事件的 JSON Schema。",
    "Print the AsyncAPI 3.0 document of the topics.": "输出主题的 AsyncAPI 3.0 文档。",
    "Every topic, its messages, its quality of service.": "含所有主题、消息及其服务质量(QoS)。",
    "With this site's own topics and brokers.": "按此配置填入本站点的主题和服务器。",
    "Print the OpenAPI document of the local HTTP interface.": "输出本机 HTTP 接口的 OpenAPI 文档。",
    "The same as the gateway serves at /openapi.json.": "与网关在 /openapi.json 提供的相同。",
    # profile
    "Register maps of Modbus devices.": "Modbus 设备的寄存器模板。",
    "Read every register of a profile and say what it means.": "逐个读取模板中的寄存器并说明含义。",
    "It only reads. Without a port the profile is only checked. Exit status 1 where something did not answer or was "
    "not understood, 2 where the profile is wrong.": (
        "只读不写。不指定端口则只检查模板。有项目无应答或无法识别时退出码 1,模板有误时退出码 2。"
    ),
    "A profile file, or the name of one that comes along.": "模板文件,或自带模板的名称。",
    "The serial port, e.g. /dev/ttyUSB0.": "串口,例如 /dev/ttyUSB0。",
    "A Modbus TCP device instead, or a serial server.": "改用 Modbus TCP 设备或串口服务器。",
    "The device's address on the line.": "设备在线路上的地址。",
    "Bits per second of the serial port.": "串口波特率。",
    "Parity of the serial port.": "串口校验位。",
    "More keys as in gateway.yaml, e.g. 'loops: {1: 60}'.": "设备的其他键,写法同 gateway.yaml,例如 'loops: {1: 60}'。",
    "Go on, and say what changes; Ctrl-C ends it.": "持续读取并显示变化,Ctrl-C 结束。",
    # scan
    "Look for devices; it only reads.": "搜索设备,只读不写。",
    "Look for Modbus devices on a line, and say what each could be.": "搜索线路上的 Modbus 设备并说明可能的型号。",
    "Each address is asked for one register at each speed; the usual factory settings come first.": (
        "在每种波特率下向每个地址读取一个寄存器,先试常见的出厂设置。"
    ),
    "Exit status 1 where nothing was found, 130 after Ctrl-C.": "未找到时退出码 1,按 Ctrl-C 后为 130。",
    "Speed to try; several are tried in turn. Else the usual.": "要尝试的波特率,可写多次;不写则试常用值。",
    "Parity to try; several are tried in turn. Else N.": "要尝试的校验位,可写多次;默认 N。",
    "Addresses to try; 1-247 is every one.": "要尝试的地址;1-247 为全部。",
    "Four questions each, for boards that ignore what they do not know.": (
        "每个地址用四种读功能询问,适用于对未知功能不应答的模块。"
    ),
    "How long each may take to answer, e.g. 300ms, 1s.": "每台设备的应答等待时间,例如 300ms、1s。",
    "Look for OSDP door readers on a line.": "搜索线路上的 OSDP 门禁读卡器。",
    "Each is asked in clear what it is and what it can; no key is tried.": ("以明文询问型号和功能,不尝试任何密钥。"),
    "A serial server instead.": "改用串口服务器。",
    "Addresses to try, e.g. 0-7,12.": "要尝试的地址,例如 0-7,12。",
    "Look for ONVIF cameras in the local network.": "搜索本地网络中的 ONVIF 摄像机。",
    "One multicast question (WS-Discovery), which ONVIF devices answer.": (
        "发出一次组播询问(WS-Discovery),ONVIF 设备均会应答。"
    ),
    "The network interface, or this machine's address on it; else all.": "网络接口名或本机在其上的地址;不写则全部。",
    "How long to listen.": "监听时长。",
    "Look for Hikvision devices in a range of addresses.": "在地址范围内搜索海康威视设备。",
    "With a user they also say their model.": ("提供用户名后还能读出型号。"),
    "Addresses to try: 192.0.2.0/28, or one.": "要尝试的地址:192.0.2.0/28,或单个地址。",
    "Port to try; several are tried in turn. Else 80.": "要尝试的端口,可写多次;默认 80。",
    "Log in as this user.": "登录用户名。",
    "File with the password; else GATEWAY_SCAN_PASSWORD, else it is asked for.": (
        "存放密码的文件;不写则取环境变量 GATEWAY_SCAN_PASSWORD,再没有则询问。"
    ),
    "Look for devices that hubs announce on a broker.": "搜索集线设备在消息服务器上公布的设备。",
    "Of zigbee2mqtt and ChirpStack.": ("支持 zigbee2mqtt 和 ChirpStack。"),
    "The broker; port 1883 where none is said.": "消息服务器;不写端口则为 1883。",
    # simulate
    "Run a simulated device that speaks its real protocol.": "运行使用真实协议的模拟设备。",
    "Without a name: list them. Lines on standard input make it do things: `help` lists them, Ctrl-C ends it.": (
        "不写名称则列出所有模拟器。通过标准输入的文字行操作:help 列出可用动作,Ctrl-C 结束。"
    ),
    "Modbus devices on a line of their own: a pty, or TCP.": "一条线路上的 Modbus 设备:pty 或 TCP。",
    "They begin normal; the line `smoke 5 on` makes the detector at address 5 smell smoke.": (
        "初始均为正常;输入 smoke 5 on 使地址 5 的探测器报烟。"
    ),
    "Address on the line, else 1; several make several devices.": "线路上的地址,默认 1;写多次即多台设备。",
    "Device profile; one for all, or one for each address. Else rs-yg-n01, a smoke detector.": (
        "设备配置文件;一个通用,或每个地址各一个。默认 rs-yg-n01(感烟探测器)。"
    ),
    "Listen there instead of on a pty; port 0 is any.": "改为监听此地址,不用 pty;端口 0 表示任意。",
    "On TCP: Modbus TCP, or RTU over it.": "TCP 上的帧格式:Modbus TCP,或 RTU over TCP。",
    "Door readers (OSDP) on a line of their own: a pty, or TCP.": "一条线路上的 OSDP 门禁读卡器:pty 或 TCP。",
    "The line `card 1 26 90 324` presents a 26-bit card at address 1.": "输入 card 1 26 90 324 在地址 1 刷 26 位卡。",
    "The key it already has, 32 hexadecimal digits; else it waits for its first.": (
        "已有的通道密钥,32 位十六进制数字;不写则等待首次设置密钥。"
    ),
    "A reader without a secure channel.": "不带安全通道的读卡器。",
    "On a TCP port of this machine instead of a pty.": "改用本机 TCP 端口,不用 pty。",
    "A Wiegand converter with one card reader.": "带一个读头的韦根转换器。",
    "The line `card 26 90 324` presents a 26-bit card.": "输入 card 26 90 324 刷 26 位卡。",
    "How its messages look: hex-line, decimal-line, bits-line, em-uart.": (
        "报文格式:hex-line、decimal-line、bits-line、em-uart。"
    ),
    "Contacts, a loop and outputs, as files in a folder.": "以目录中的文件模拟触点、监测回路和输出。",
    "The line `contact 1 off` opens a contact, `cut` cuts the loop's wire.": (
        "输入 contact 1 off 断开触点,cut 模拟回路断线。"
    ),
    "A camera (Hikvision ISAPI) with its alert stream.": "本机上带报警流的摄像机(海康 ISAPI)。",
    "The lines `motion on` and `motion off` are its events.": "输入 motion on 和 motion off 产生事件。",
    "A camera (ONVIF) with alarm inputs and relays.": "带报警输入和继电器的摄像机(ONVIF)。",
    "The lines `motion on` and `input 1 on` are its events.": "输入 motion on 和 input 1 on 产生事件。",
    "Port; 0 is any.": "端口;0 表示任意。",
    "User name for its login.": "登录用户名。",
    "Password for its login.": "登录密码。",
    "A device that posts its events to a gateway.": "向网关推送事件的设备。",
    "The lines `raise fire.smoke` and `clear fire.smoke` are its events. It ends when no line is left and all it was "
    "told to say is on the gateway's disk.": (
        "输入 raise fire.smoke 和 clear fire.smoke 产生事件。没有更多输入且网关已全部存盘后结束。"
    ),
    "http://HOST:PORT/ingest/DEVICE of the gateway.": "网关地址 http://主机:端口/ingest/设备。",
    "The device's token there.": "设备令牌。",
    # rules
    "List the linkage rules in words, or try them out.": "用文字列出联动规则,或进行推演。",
    "What each waits for, and what it does then. It moves nothing, and needs no running gateway.": (
        "每条规则的条件和动作。不执行任何动作,也不需要网关在运行。"
    ),
    "Say what an event would make the rules do.": "推演某个事件会触发哪些联动动作。",
    "To which device, when, and until when; nothing is moved. A rule that counts is taken to have counted enough.": (
        "包括哪个设备、何时执行、持续到何时;不执行任何动作。按次数触发的规则视为次数已够。"
    ),
    "The event's type, e.g. fire.smoke.": "事件类型,例如 fire.smoke。",
    "The device that tells it.": "发出该事件的设备。",
    "raise, clear, still or pulse; without: how it begins.": "raise、clear、still 或 pulse;不写则为其开始。",
    "When, as an RFC 3339 time; without: now.": "时间(RFC 3339);不写则为现在。",
    "As a test or a drill.": "按测试或演练处理。",
    # simulators of other hubs and panels
    "Where the gateway listens for it.": "网关为其监听的地址。",
    "Its source address, 12 hexadecimal digits.": "源地址,12 位十六进制数。",
    "By UDP instead of TCP.": "用 UDP 代替 TCP。",
    "A fire panel's transmission device (GB/T 26875.3).": ("用户信息传输装置(GB/T 26875.3),主动连接网关。"),
    "The line `help` lists what it can be told to report.": "输入 help 列出可上报的内容。",
    "The printer port of a fire panel.": "火灾报警控制器的打印口。",
    "The line `help` lists what it can be told to print.": "输入 help 列出可打印的内容。",
    "http://HOST:PORT where the gateway listens for it.": "网关为其监听的地址 http://主机:端口。",
    "Its serial number.": "序列号。",
    "A door controller, or an attendance terminal.": "门禁控制器或考勤机。",
    "A ZKTeco controller or terminal that pushes.": "向网关推送的中控门禁控制器或考勤机。",
    "The line `help` lists what can happen at its doors.": "输入 help 列出门上可发生的事件。",
    "zigbee2mqtt, frigate, chirpstack, tasmota, shelly …": "zigbee2mqtt、frigate、chirpstack、tasmota、shelly 等。",
    "A device of its; several make several. Else smoke-1.": "其下设备的名称,可写多个;不写则为 smoke-1。",
    "The broker it publishes to.": "其发布消息的服务器。",
    "A hub that publishes on a broker, as zigbee2mqtt.": "在消息服务器上发布设备消息的汇聚设备。",
    "The line `help` lists what its devices can be told to report.": "输入 help 列出设备可上报的内容。",
    **helps_alarms.HELPS,
    **helps_people.HELPS,
}
