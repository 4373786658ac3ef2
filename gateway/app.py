"""The only composer: every part from the configuration, in one stack and one task group; signals; the end in stages.

Storage stands before any connection is tried. The end is a sequence with a time budget under 10 s, which
`tests/unit/test_app.py` adds up: drivers stop, uplinks say good-bye, the store closes with everything accepted on disk.
"""

import asyncio
import gc
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any

from gateway import holes, newcomers, systemd, watchdog
from gateway.archive import Start
from gateway.build import build
from gateway.clock import Clock
from gateway.config import Config
from gateway.control import listening
from gateway.delivery import FAREWELL_S, FLUSH_S
from gateway.driver import Driver
from gateway.errors import StorageError, Text
from gateway.event import Phase, Reading
from gateway.folder import held
from gateway.house import House
from gateway.losses import tell_losses
from gateway.retention import Limits, Retention
from gateway.store import Store, watch_disk
from gateway.uplink import Uplink
from gateway.vault import Vault

DATABASE = "events.db"
DRIVERS_STOP_S = 2.0
STORE_STOP_S = 2.0
STOP_S = DRIVERS_STOP_S + FLUSH_S + FAREWELL_S + STORE_STOP_S
UPLINK_LOST_AFTER_S = 10.0  # a shorter loss is not worth an alarm
RESTART_S = 1.0
STATUS_S = 5.0
STILL_STARTING = "EXTEND_TIMEOUT_USEC=30000000"  # sd_notify(3): another 30 s
LOST = "gateway.uplink_lost"
_LOG = logging.getLogger("gateway")


def main(config: Config, drivers: Mapping[str, Driver[Any]], start: Start | None = None) -> bool:
    """`run`, in a loop that is left open where a driver does not end: to close it would wait for that for ever."""
    runner = asyncio.Runner()
    try:
        return runner.run(run(config, drivers, start))
    finally:
        if not asyncio.all_tasks(runner.get_loop()):
            runner.close()


async def run(config: Config, drivers: Mapping[str, Driver[Any]], start: Start | None = None) -> bool:
    """The daemon, until SIGTERM or SIGINT; whether it is to start anew. StateError where it cannot start."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.set_exception_handler(watchdog.unhandled)
    async with standing(config, drivers, start) as house:
        await live(house, stopping)
    return house.ending.again and not stopping.is_set()


@asynccontextmanager
async def standing(
    config: Config, drivers: Mapping[str, Driver[Any]], start: Start | None = None
) -> AsyncIterator[House]:
    """All parts built, the store open, page and command line reachable; nothing moves yet."""
    folder = config.gateway.state_dir
    async with AsyncExitStack() as stack:
        stack.enter_context(held(folder))
        _begin(start, config.gateway.language)
        newcomers.settle(folder / DATABASE, config.uplinks, partial(systemd.notify, STILL_STARTING))
        store = await stack.enter_async_context(Store(folder / DATABASE, tuple(config.uplinks)))
        house = build(config, drivers, store, Vault(folder / "keys"), start)
        await house.timekeeper.recall()
        stack.push_async_callback(house.timekeeper.save)
        with suppress(StorageError):  # else drivers would not know what stands open, and never tell its end
            await house.pipeline.load()
            await house.audit.load()
            await _greet(house)
        await stack.enter_async_context(listening(house, folder))
        yield house


async def live(house: House, stopping: asyncio.Event) -> None:
    """Drivers and uplinks run until `stopping`; then the end, in stages."""
    leaving = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        watch = [group.create_task(watchdog.watch(house.store, house.supervisor.lines))]
        watch.append(group.create_task(_tell_losses(house)))
        watch.append(group.create_task(_tell_holes(house)))
        watch.append(group.create_task(_tell_systemd(house)))
        tried = asyncio.Event()
        page = group.create_task(_lasting("the page", partial(_page, house, tried), house.vitals.clock))
        watch.append(group.create_task(_retention(house).run(house.vitals.clock)))
        watch.append(group.create_task(house.timekeeper.run()))
        watch.append(group.create_task(_losses(house)))
        watch.append(group.create_task(watch_disk(house.store, house.vitals.clock)))
        clock = house.vitals.clock
        watch += [group.create_task(_lasting("a part of the gateway", errand, clock)) for errand in house.errands]
        uplinks = [
            group.create_task(_lasting(f"uplink {uplink.name}", partial(_deliver, uplink, leaving), clock))
            for uplink in house.uplinks
        ]
        drivers = group.create_task(house.supervisor.run())
        await tried.wait()  # ready is when devices that post are heard
        gc.collect()
        gc.freeze()  # what stands now stays: looking through all of it again would hold up alarms
        systemd.notify("READY=1")
        _LOG.info("running: %d devices, %d uplinks", len(house.vitals.devices), len(house.uplinks))
        await _either(stopping, house.ending.asked)
        systemd.notify(*(systemd.reloading() if house.ending.again else ["STOPPING=1"]))
        _LOG.info("stopping")
        for task in (*watch, page, drivers):
            task.cancel()
        await asyncio.wait([drivers, page], timeout=DRIVERS_STOP_S)
        leaving.set()
        if uplinks:
            await asyncio.wait(uplinks, timeout=FLUSH_S + FAREWELL_S)
        for task in uplinks:
            task.cancel()


def _begin(start: Start | None, language: str) -> None:
    """The folder is ours: from now on the history says what was chosen."""
    for warning in () if start is None else start.warnings:
        _LOG.warning("%s", warning.say(language))
    if start is not None:
        try:
            start.save()
        except StorageError as error:
            _LOG.error("%s", error.say(language))


async def _greet(house: House) -> None:
    """While nobody has an account: how the first is made. StorageError."""
    await house.people.load()
    if house.people.anybody or house.config.gateway.web is None:
        return
    code, at = house.people.code.show(), house.people.code.address
    text = Text(
        f"nobody has an account yet: open {at} and give the set-up code {code}",
        f"尚未创建任何账号:请用浏览器打开 {at},输入设置码 {code}",
    )
    _LOG.warning("%s", text.say(house.language))


async def _either(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _lasting(what: str, run: Callable[[], Awaitable[None]], clock: Clock) -> None:
    """A bug in one part must not end the others; without memory the process ends, and is started anew."""
    while True:
        try:
            await run()
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001  # whatever it is, the other uplinks and the doors go on
            _LOG.exception("%s failed; it starts again", what)
            await clock.sleep(RESTART_S)
        else:
            return


async def _deliver(uplink: Uplink, leaving: asyncio.Event) -> None:
    async with uplink.parts.desk:
        await uplink.run(leaving)


def _retention(house: House) -> Retention:
    buffer = house.config.gateway.buffer
    limits = Limits(buffer.max_size, buffer.max_age, buffer.alarm_reserve, buffer.max_cards_age)
    outboxes = [(uplink.name, uplink.parts.outbox) for uplink in house.uplinks]
    return Retention(house.config.gateway.id, limits, house.store, house.pipeline, outboxes)


async def _losses(house: House) -> None:
    outboxes = [(uplink.name, uplink.parts.outbox) for uplink in house.uplinks]
    await tell_losses(house.config.gateway.id, house.store, house.pipeline, outboxes, house.vitals.clock)


async def _page(house: House, tried: asyncio.Event) -> None:
    """The local page, as long as the rest. `tried`: it is up, or not yet."""
    web = house.config.gateway.web
    if web is None:
        tried.set()
        return
    from gateway.web.api import create  # nothing of it is imported when the page is off
    from gateway.web.entrance import Entrance
    from gateway.web.keeper import PeopleKeeper

    entrance = Entrance(house, web)
    app = create(house, PeopleKeeper(house.people), entrance.names, entrance.ways)
    async with asyncio.TaskGroup() as group:
        for errand in app.state.errands:
            group.create_task(_lasting("a part of the page", errand, house.vitals.clock))
        await entrance.open(app, tried)


async def _tell_systemd(house: House) -> None:
    """`systemctl status` shows how it is: told when it changes."""
    told = ""
    while True:
        devices, uplinks = house.vitals.devices, house.uplinks
        answering = sum(house.vitals.states[device].online is True for device in devices)
        away = [uplink.name for uplink in uplinks if not uplink.connected]
        status = f"{house.verdict()['word']}; {answering} of {len(devices)} devices answer"
        status += f"; not connected: {', '.join(away)}" if away else f"; {len(uplinks)} uplinks connected"
        if status != told:
            told = status
            systemd.notify(f"STATUS={status}")
        await house.vitals.clock.sleep(STATUS_S)


async def _tell_holes(house: House) -> None:
    config = house.config
    await holes.tell(config.gateway.id, house.store, house.pipeline, config.uplinks, house.vitals.clock)
    await newcomers.tell(config.gateway.id, house.store, house.pipeline, config.uplinks, house.vitals.clock)


async def _tell_losses(house: House) -> None:
    """`gateway.uplink_lost` when a link is away for longer than a blink, and cleared when it is back."""
    clock, gateway = house.vitals.clock, house.config.gateway.id
    away: dict[str, tuple[str, float]] = {}  # by uplink: its `since`, so that a return between two looks counts; when
    while True:
        await clock.sleep(1.0)
        for uplink in house.uplinks:
            told = house.pipeline.shown.get((gateway, LOST, uplink.name))
            if uplink.connected:
                phase = Phase.CLEAR if told is not None and told.active else None
            else:
                if away.get(uplink.name, ("", 0.0))[0] != uplink.since:
                    away[uplink.name] = uplink.since, clock.monotonic()
                long = clock.monotonic() - away[uplink.name][1] >= UPLINK_LOST_AFTER_S
                phase = Phase.RAISE if long and (told is None or not told.active) else None
            if phase is not None:
                with suppress(StorageError):
                    await house.pipeline.accept([Reading(gateway, LOST, phase, data={"uplink": uplink.name})])
