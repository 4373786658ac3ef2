"""From curtain to curtain: puts the stage up, plays the story, prints what the district sees, and sums up."""

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from gateway.demo.district import District, Print, percentile, watching
from gateway.demo.stage import Stage, stage
from gateway.demo.story import STORY, everyday
from gateway.errors import StateError, Text

ONLINE_S = 20.0
DEVICES = {"smoke-b3-u2-f5", "climate-b3-u2", "door-b3-u2", "door-gate", "cam-gate"}


def printer() -> Print:
    """In colour on a terminal, else plain."""
    if not sys.stdout.isatty():
        return lambda text, _style: _plain(text)
    from rich.console import Console
    from rich.text import Text as Styled

    console = Console(highlight=False)
    return lambda text, style: console.print(Styled(text, style=style), soft_wrap=True)


def _plain(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def show(*, once: bool, language: str) -> int:
    """The whole demo. 0: everything raised on the wires arrived exactly once by id, without a gap."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-demo-"))
    keep = True  # after a failure its log and database are worth a look
    try:
        status = await _play(folder, once=once, language=language)
        keep = status != 0
    except asyncio.CancelledError:  # Ctrl-C
        keep = False
        raise
    finally:
        if not keep:
            shutil.rmtree(folder)
    return status


async def _play(folder: Path, *, once: bool, language: str) -> int:
    say = printer()
    async with stage(folder, language) as standing:
        district = District(language, say)
        async with watching(standing.broker_port, district):
            await _introduce(standing, district)
            for number, (title, play) in enumerate(STORY, 1):
                say("", "")
                say(f"{number}. {title.say(language)}", "bold cyan")
                await play(standing, district)
            status = summary(district)
            if not once:
                await _live_on(standing, district)
            return status


async def _introduce(standing: Stage, district: District) -> None:
    language = district.language
    where, log = f"{standing.broker_name}, 127.0.0.1:{standing.broker_port}", standing.folder / "gateway.log"
    lines = (
        Text("A community on one machine: simulated devices on real wires", "一台机器上的小区:模拟设备,真实线路"),
        Text(f"  broker       {where}", f"  消息服务器   {where}"),
        Text(
            f"  page         {standing.page}/setup   (set-up code: {standing.setup_code})",
            f"  网页         {standing.page}/setup   (设置码:{standing.setup_code})",
        ),
        Text(f"  log          {log}", f"  运行日志     {log}"),
        Text("  ms: from the device to the district", "  毫秒(ms):从设备到平台"),
    )
    for text in lines:
        district.print(text.say(language), "bold" if text is lines[0] else "")
    if not await district.until(lambda: district.online >= DEVICES, ONLINE_S):
        silent = ", ".join(sorted(DEVICES - district.online))
        raise StateError(
            "demo",
            Text(f"these devices did not answer: {silent}", f"这些设备没有应答:{silent}"),
            Text(f"see {standing.folder / 'gateway.log'}", f"请查看 {standing.folder / 'gateway.log'}"),
        )


async def _live_on(standing: Stage, district: District) -> None:
    """Until Ctrl-C, which is how it ends."""
    text = Text("Everyday life goes on; Ctrl-C ends it", "小区照常运行,按 Ctrl-C 结束")
    district.print("", "")
    district.print(text.say(district.language), "bold cyan")
    try:
        await everyday(standing, district)
    except asyncio.CancelledError:
        count = len(district.ids)
        ended = Text(f"Ended: {count} events arrived in all", f"已结束:平台共收到 {count} 个事件")
        district.print("", "")
        district.print(ended.say(district.language), "bold")


def summary(district: District) -> int:
    """Prints what was raised and what arrived; 0 when they are the same and no number is missing."""
    language, say = district.language, district.print
    whole = not (district.missing or district.surplus or district.gaps)
    raised, ids = sum(district.caused.values()), len(district.ids)
    p50_ms, worst_ms = (percentile(district.latencies_s, share) * 1000 for share in (0.5, 1.0))
    waited_s = percentile(district.waits_s, 1.0)
    streams, again = len(district.numbers), district.redelivered
    lines = [
        Text(
            f"{raised} events raised on the wires; {ids} different ones arrived, measured values included",
            f"线路上触发 {raised} 个事件;平台收到 {ids} 个不同事件(含测量值)",
        ),
        Text(f"{streams} streams without a gap", f"{streams} 个序列无缺号"),
        Text(f"{again} came a second time, known by their id", f"{again} 个重复送达,按编号识别"),
        Text(
            f"from device to district: median {p50_ms:.0f} ms, longest {worst_ms:.0f} ms (a detector is polled, and "
            f"must say it twice); in the cut the longest wait was {waited_s:.1f} s",
            f"从设备到平台:中位数 {p50_ms:.0f} 毫秒,最长 {worst_ms:.0f} 毫秒(烟感轮询,需连续两次确认);"
            f"断网期间最长等待 {waited_s:.1f} 秒",
        ),
    ]
    if district.gaps:
        lines[1] = Text(f"numbers missing: {district.gaps}", f"缺号:{district.gaps}")
    for word, found in ((Text("missing", "缺少"), district.missing), (Text("unexpected", "多出"), district.surplus)):
        lines += [Text(*(f"{name}: {' '.join(one)} ×{n}" for name in word)) for one, n in found.items()]
    lines.append(Text("Nothing is missing.", "无一遗漏。") if whole else Text("Something is missing.", "有遗漏。"))
    say("", "")
    for text in lines:
        say(text.say(language), "bold green" if text is lines[-1] and whole else "")
    return 0 if whole else 1
