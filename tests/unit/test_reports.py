"""Figures of a period: equal to a naive account of generated histories; periods; a golden day; tables and CSV."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.alarms import Alarm, Told, raised
from gateway.event import Severity
from gateway.identity import Identities, moment_ms
from gateway.reports import MOST_NOTES, Seen, Tally, seen
from gateway.reportview import BOM, View, harmless, to_csv
from gateway.shifts import USUAL, ShiftConfig, moment, period
from gateway.spans import OFFLINE, Frame, Span, Turn, turn_of
from gateway.waits import Measured, Waits

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
DAY = Frame(1_000_000, 2_000_000, 3_000_000)
HOUR_MS = 3_600_000


def condition(id: str, device: str, kind: str, severity: Severity = Severity.MEDIUM) -> Alarm:
    told = Told((device, kind, ""), id, severity, latches=False, now_ms=moment_ms(id), test=False)
    return raised(None, told)[1]


class History:
    """A history being written: ids in order, and what the report sees of it."""

    def __init__(self) -> None:
        self._ids = Identities()
        self.seen: list[Seen] = []

    def add(self, at_ms: int, kind: str, phase: str = "pulse", subject: str = "smoke-1", severity: str = "medium",
            *, alarm: str | None = None, trusted: bool = True, by: str = "", **data: object) -> str:  # fmt: skip
        """Returns the event's id; an alarm's opening names itself."""
        identity = self._ids.next(at_ms)
        own = identity if phase in ("raise", "pulse") and severity != "info" else None
        named = ({"alarm": alarm or own} if alarm or own else {}) | ({"from": by} if by else {})
        self.seen.append(
            Seen(identity, at_ms, trusted, subject, kind, phase, severity, named | data | ({"from": by} if by else {}))
        )
        return identity

    def close(self, frame: Frame, *book: Alarm) -> dict[str, object]:
        tally = Tally(frame)
        for event in self.seen:
            tally.take(event)
        return tally.close(book)


# --- periods


def test_periods_by_the_clock_on_the_wall() -> None:
    at = datetime(2026, 11, 23, 16, 30, tzinfo=UTC)  # 00:30 in Shanghai
    day = period("day", at, SHANGHAI)
    assert (day.name, day.start, day.end) == ("2026-11-24", datetime(2026, 11, 23, 16, tzinfo=UTC),
                                              datetime(2026, 11, 24, 16, tzinfo=UTC))  # fmt: skip
    assert period("shift", at, SHANGHAI).name == "夜班"
    assert period("shift", at - timedelta(hours=1), SHANGHAI).name == "中班"
    assert period("month", datetime(2026, 12, 31, 20, tzinfo=UTC), SHANGHAI).name == "2027-01"


@given(st.integers(10 * 365 * 86400, 110 * 365 * 86400),
       st.sampled_from([SHANGHAI, BERLIN]), st.sampled_from(["shift", "day", "month"]))  # fmt: skip
def test_periods_cover_all_time_without_a_gap(at_s: int, zone: ZoneInfo, kind: str) -> None:
    at = datetime.fromtimestamp(at_s, UTC)
    found = period(kind, at, zone)  # type: ignore[arg-type]
    assert found.start <= at < found.end
    assert period(kind, found.end, zone).start == found.end  # type: ignore[arg-type]
    assert period(kind, found.end - timedelta(microseconds=1), zone) == found  # type: ignore[arg-type]


def test_a_day_of_25_hours() -> None:
    found = period("day", datetime(2026, 10, 25, 12, tzinfo=UTC), BERLIN)
    assert found.end - found.start == timedelta(hours=25)


def test_one_shift_lasts_until_it_begins_again() -> None:
    (only,) = [ShiftConfig.model_validate({"name": "值班", "from": "07:30"})]
    found = period("shift", datetime(2026, 11, 23, 0, 0, tzinfo=UTC), SHANGHAI, [only])
    assert (found.name, found.end - found.start) == ("值班", timedelta(days=1))


@pytest.mark.parametrize("text", ["2026-11", "2026-11-01", "2026-11-01T00:00", "2026-10-31T16:00:00Z"])
def test_moments(text: str) -> None:
    assert moment(text, SHANGHAI) == datetime(2026, 10, 31, 16, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "today", "2026-13", "0001-01-01", "9999-12-31", "2026-11-31", "=1"])
def test_no_moments(text: str) -> None:
    with pytest.raises(ValueError, match=r"year|isoformat|month|day"):
        moment(text, SHANGHAI)


@pytest.mark.parametrize("start", ["8:00", "24:00", "08:60", 480, None])
def test_no_shift(start: object) -> None:
    with pytest.raises(ValidationError):
        ShiftConfig.model_validate({"name": "早班", "from": start})


# --- what lasts


@given(st.lists(st.integers(0, 3_000_000), unique=True, max_size=12).map(sorted), st.booleans())
def test_a_span_is_what_a_naive_account_says(turns: list[int], on_first: bool) -> None:
    """The condition turns at each moment; the report sees only what came since the beginning of its period."""
    states = [(0, on_first)] + [(at, on_first ^ (number % 2 == 0)) for number, at in enumerate(turns)]
    ends = [at for at, _ in states[1:]] + [DAY.now_ms]
    total_ms = sum(
        max(0, min(end, DAY.end_ms) - max(at, DAY.start_ms))
        for (at, on), end in zip(states, ends, strict=True) if on
    )  # fmt: skip
    span = Span()
    for at, on in states[1:]:
        if at >= DAY.start_ms:
            span.turn(DAY, Turn(on, at))
    span.close(DAY, now=states[-1][1])
    assert span.total_ms == total_ms
    assert span.at_end is [on for at, on in states if at < DAY.end_ms][-1]
    assert span.times == sum(DAY.takes(at) for at, on in states[1:] if on)


def test_told_again_says_that_it_began_before() -> None:
    span = Span()
    span.turn(DAY, Turn(True, 1_500_000, again=True))
    span.close(DAY, now=True)
    assert (span.total_ms, span.times) == (1_000_000, 0)


def test_the_first_word_of_a_part_is_kept_says_no_more_than_is_known() -> None:
    """Its beginning is not kept any more, but the alarm's id says when that was."""
    span = Span()
    span.turn(DAY, Turn(False, 1_600_000, since_ms=1_500_000))
    span.close(DAY, now=False)
    assert span.total_ms == 100_000


@pytest.mark.parametrize(
    ("kind", "phase", "data", "expected"),
    [
        ("device.offline", "raise", {}, (("x", "device.offline", ""), True)),
        ("gateway.uplink_lost", "clear", {"uplink": "city"}, (("x", "gateway.uplink_lost", "city"), False)),
        ("device.shielded", "raise", {"part": {"address": "01"}}, (("x", "device.shielded", "01"), True)),
        ("operator.drill", "raise", {"scope": "b3"}, (("x", "operator.drill", "b3"), True)),
        ("operator.shelve", "pulse", {"condition": "door.held", "seconds": 60},
         (("x", "operator.shelve", "door.held"), True)),
        ("operator.shelve", "pulse", {"seconds": 0}, (("x", "operator.shelve", ""), False)),
        ("operator.shelve", "pulse", {"seconds": 0, "alarm": "a"}, None),
        ("gateway.action", "pulse", {"action": "suppress", "condition": "device.offline"},
         (("x", "gateway.suppressed", "device.offline"), True)),
        ("gateway.action", "pulse", {"action": "unlock"}, None),
        ("fire.smoke", "raise", {}, None),
    ],
)  # fmt: skip
def test_what_an_event_turns(kind: str, phase: str, data: dict[str, object], expected: object) -> None:
    assert turn_of("x", kind, phase, data) == expected


# --- how long people took


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=40))
def test_median_p90_and_worst(lengths_ms: list[int]) -> None:
    measured = Measured()
    for number, length_ms in enumerate(lengths_ms):
        measured.add(length_ms, str(number), ("d", "t", ""))
    told, ordered = measured.document(), sorted(lengths_ms)
    below = sum(length <= told["p90_s"] * 1000 + 0.5 for length in ordered)
    assert below >= 0.9 * len(ordered)
    assert told["worst"]["seconds"] == round(ordered[-1] / 1000, 3)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2000
    assert told["median_s"] == pytest.approx(middle, abs=0.001)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["raise", "operator.ack", "operator.dispose"])),
                max_size=30))  # fmt: skip
def test_waiting_is_since_it_last_asked(steps: list[tuple[str, str]]) -> None:
    """Against an account by hand: an alarm asks until a step is done, and asks anew when it is told again."""
    waits, asks = Waits(), dict[tuple[str, str], int]()
    waits.clock(True, False)
    ids = {name: Identities().next(1_000_000 + ord(name)) for name in "ab"}
    expected: dict[str, list[int]] = {"operator.ack": [], "operator.dispose": []}
    known = set[str]()
    for number, (name, step) in enumerate(steps):
        at_ms = 1_100_000 + 1000 * number
        if step == "raise":
            known.add(name)
            waits.began(ids[name], (name, "t", ""), at_ms)
            for kind in expected:
                asks.setdefault((name, kind), at_ms)
        else:
            if name not in known:  # opened before: its id says when
                known.add(name)
                asks |= {(name, kind): moment_ms(ids[name]) for kind in expected}
            waits.stepped(step, ids[name], name, at_ms, counts=True)
            since = asks.pop((name, step), None)
            expected[step] += [] if since is None else [at_ms - since]
    assert {step: list(done.lengths_ms) for step, done in waits.done.items()} == expected


def test_where_the_clock_was_set_nothing_is_measured() -> None:
    history = History()
    early = history.add(1_100_000, "door.forced", "raise", trusted=False)
    history.add(1_200_000, "operator.ack", severity="info", alarm=early)
    good = history.add(1_300_000, "door.forced", "raise", "door-2")
    history.add(1_310_000, "gateway.clock_bad", "raise", "gw-0001", reason="jumped")
    history.add(1_320_000, "operator.ack", severity="info", subject="door-2", alarm=good)
    last = history.add(1_400_000, "door.forced", "raise", "door-3")
    history.add(1_405_000, "operator.ack", severity="info", subject="door-3", alarm=last)
    told = history.close(DAY)
    assert told["acknowledged"] == {
        "count": 3, "unmeasured": 2, "median_s": 5.0, "p90_s": 5.0,
        "worst": {"seconds": 5.0, "alarm": last, "device": "door-3", "type": "door.forced"},
    }  # fmt: skip
    assert told["clock"] == {"hours": pytest.approx(690_000 / HOUR_MS, abs=0.001), "times": 1, "unsure_events": 1}


# --- all of it

KINDS = st.sampled_from(["door.forced", "access.denied", "fire.smoke"])


@given(st.lists(st.tuples(st.integers(0, 2_999), KINDS, st.sampled_from(["s-1", "s-2", "s-3"]), st.booleans()),
                max_size=40))  # fmt: skip
def test_counts_are_those_of_a_naive_account(happened: list[tuple[int, str, str, bool]]) -> None:
    history = History()
    for at_s, kind, device, test in sorted(happened):
        history.add(at_s * 1000, kind, "pulse", device, test=test, place={"path": f"b{device[-1]}/u1"})
    mine = [(kind, device) for at_s, kind, device, test in happened if 1000 <= at_s < 2000 and not test]
    told = history.close(DAY)
    alarms = told["alarms"]
    assert isinstance(alarms, dict)
    assert alarms["count"] == len(mine)
    assert alarms["tests"] == sum(test for at_s, _, _, test in happened if 1000 <= at_s < 2000)
    by_type = {row["type"]: row["count"] for row in alarms["by_type"] if row["count"]}
    assert by_type == {kind: sum(k == kind for k, _ in mine) for kind in {k for k, _ in mine}}
    by_building = {row["building"]: row["count"] for row in alarms["by_building"] if row["count"]}
    assert by_building == {f"b{d[-1]}": sum(e == d for _, e in mine) for d in {d for _, d in mine}}
    noisiest = told["noisiest"]
    assert isinstance(noisiest, list)
    assert [row["count"] for row in noisiest] == sorted(
        (sum(e == d for _, e in mine) for d in {d for _, d in mine}), reverse=True
    )


def golden() -> tuple[dict[str, object], dict[str, str]]:
    """A day: smoke that was false, a forced door from before, an offline sensor, a shelf, notes; the night after."""
    history, ids = History(), dict[str, str]()
    ids["before"] = Identities().next(900_000)
    ids["smoke"] = history.add(1_100_000, "fire.smoke", "raise", severity="critical", place={"path": "b3/u2"})
    history.add(1_110_000, "operator.ack", severity="info", alarm=ids["smoke"], who="wang", by="page")
    history.add(1_160_000, "operator.dispose", severity="info", alarm=ids["smoke"], who="wang", outcome="false",
                note="=steam", by="page")  # fmt: skip
    history.add(1_200_000, "fire.smoke", "clear", severity="critical", alarm=ids["smoke"])
    history.add(1_300_000, "device.offline", "clear", "meter-1", alarm=ids["before"])
    history.add(1_400_000, "operator.shelve", "pulse", "door-1", "info", condition="door.held", seconds=3600,
                reason="moving", who="li", by="cli")  # fmt: skip
    history.add(1_450_000, "operator.shelve", "pulse", "door-2", "info", seconds=0, by="rule:expired")
    history.add(1_500_000, "gateway.data_lost", "pulse", "gw-0001", "high", stream="city.event", count=7)
    ids["forced"] = history.add(1_900_000, "door.forced", "raise", "door-1", "high", place={"path": "gate"})
    history.add(2_100_000, "operator.ack", severity="info", subject="door-1", alarm=ids["forced"])
    ids["night"] = history.add(2_200_000, "door.forced", "raise", "door-2", "high")
    return history.close(DAY, condition(ids["night"], "door-2", "door.forced")), ids


def test_a_golden_day() -> None:
    told, ids = golden()
    assert told["alarms"] == {
        "count": 3, "tests": 0,
        "by_type": [{"type": "door.forced", "count": 1, "tests": 0}, {"type": "fire.smoke", "count": 1, "tests": 0},
                    {"type": "gateway.data_lost", "count": 1, "tests": 0}],
        "by_building": [{"building": "", "count": 1, "tests": 0}, {"building": "b3", "count": 1, "tests": 0},
                        {"building": "gate", "count": 1, "tests": 0}],
    }  # fmt: skip
    worst = {"alarm": ids["smoke"], "device": "smoke-1", "type": "fire.smoke"}
    assert told["acknowledged"] == {"count": 1, "unmeasured": 0, "median_s": 10.0, "p90_s": 10.0,
                                    "worst": worst | {"seconds": 10.0}}  # fmt: skip
    disposed = told["disposed"]
    assert isinstance(disposed, dict)
    assert (disposed["median_s"], disposed["false_share"], disposed["outcomes"]["false"]) == (60.0, 1.0, 1)
    assert told["offline"] == [{"device": "meter-1", "hours": round(300_000 / HOUR_MS, 3), "times": 0, "still": False}]
    assert told["lost"] == [{"stream": "city.event", "events": 7}]
    assert told["touches"] == {"count": 3, "per_100_alarms": 100.0}
    assert [(a["alarm"], a["type"]) for a in told["open"]] == [(ids["forced"], "door.forced")]  # type: ignore[attr-defined]
    assert told["covers"] == [
        {"cover": "operator.shelve", "device": "door-1", "condition": "door.held", "reason": "moving", "who": "li",
         "until": "1970-01-01T01:23:20.000Z"}
    ]  # fmt: skip


def test_open_at_the_end_also_where_it_is_over_by_now() -> None:
    """What is said of an alarm after the period shows that it was open at its end; one that ended before is not."""
    history = History()
    over = history.add(1_100_000, "access.denied", "pulse", "door-1")
    history.add(1_200_000, "operator.ack", subject="door-1", severity="info", alarm=over)
    stays = Identities().next(500_000)
    history.add(2_500_000, "door.held", "clear", "door-9", alarm=stays)
    told = history.close(DAY)
    assert [(a["alarm"], a["type"]) for a in told["open"]] == [(stays, "door.held")]  # type: ignore[attr-defined]


def test_offline_all_the_period_without_a_word() -> None:
    old = Identities().next(500_000)
    told = History().close(DAY, condition(old, "meter-1", OFFLINE))
    assert told["offline"] == [
        {"device": "meter-1", "hours": round(1_000_000 / HOUR_MS, 3), "times": 0, "still": True}
    ]  # fmt: skip


def test_notes_are_bounded_and_counted() -> None:
    history = History()
    for number in range(MOST_NOTES + 5):
        history.add(
            1_100_000 + number, "operator.ack", severity="info", alarm=Identities().next(1000), note=str(number)
        )
    told = history.close(DAY)
    assert len(told["notes"]) == MOST_NOTES  # type: ignore[arg-type]
    assert told["notes_left_out"] == 5


def body(**event: object) -> str:
    whole = {"id": Identities().next(5_000), "subject": "s", "type": "door.open", "phase": "raise",
             "severity": "info", "timequality": "synced", "data": {}} | event  # fmt: skip
    return json.dumps(whole, separators=(",", ":"))


def test_what_no_figure_is_made_of_is_not_parsed() -> None:
    assert seen(body(), 7_000) is None
    assert seen(body(data={"raw": {"type": "operator.ack"}}), 7_000) is None
    found = seen(body(severity="high", data={"raw": {"severity": "info"}}), 7_000)
    assert found is not None
    assert (found.at_ms, found.trusted) == (7_000, True)
    unsure = seen(body(timequality="unsynced"), 7_000)
    assert unsure is not None
    assert (unsure.at_ms, unsure.trusted) == (5_000, False)


# --- tables


def document() -> dict[str, object]:
    told, _ = golden()
    for name in ("offline", "noisiest", "open", "covers", "notes"):
        for entry in told[name]:  # type: ignore[attr-defined]
            entry["label"] = entry["device"]
    for step in ("acknowledged", "disposed"):
        told[step]["worst"]["label"] = "烟感"  # type: ignore[index]
    for row in told["alarms"]["by_building"]:  # type: ignore[index]
        row["label"] = row["building"]
    head = {"kind": "day", "name": "2026-11-23", "from": "2026-11-22T16:00:00.000Z", "to": "2026-11-23T16:00:00.000Z",
            "running": True, "made": "2026-11-23T10:00:00.000Z", "timezone": "Asia/Shanghai", "gateway": "gw-0001",
            "site": "阳光花园", "complete": False, "kept_from": "2026-11-23T01:00:00.000Z",
            "handovers": [{"who": "li", "time": "2026-11-23T08:01:00.000Z", "note": "@home",
                           "shift": "早班"}]}  # fmt: skip
    return head | told


def cells(language: str) -> Iterator[list[str]]:
    text = to_csv(View(document(), language))
    assert text.startswith(BOM)
    assert "\n" not in text.replace("\r\n", "")
    yield from csv.reader(io.StringIO(text.removeprefix(BOM)))


def test_csv_in_chinese() -> None:
    rows = list(cells("zh-CN"))
    assert rows[0] == ["阳光花园 日报 2026-11-23"]
    assert ["2026-11-23 00:00 – 2026-11-24 00:00 (北京时间) · gw-0001"] in rows
    assert ["不完整:2026-11-23 09:00 之前的事件已超出保存期限"] in rows
    assert ["感烟火警", "1", "0"] in rows
    assert ["误报率", "100.0%"] in rows
    assert ["处置最长用时", "1 分 (烟感 感烟火警)"] in rows
    assert ["door-1", "暂缓 开门超时", "moving", "1970-01-01 09:23", "li"] in rows


def test_no_cell_of_a_spreadsheet_is_carried_out() -> None:
    found = [cell for row in cells("en") for cell in row]
    assert "'=steam" in found
    assert "'@home" in found
    assert not [cell for cell in found if cell[:1] in tuple("=+-@\t")]


@given(st.text())
def test_harmless_keeps_the_text(text: str) -> None:
    assert harmless(text).removeprefix("'") == text.removeprefix("'")
    assert harmless(text)[:1] not in tuple("=+-@\t\r\n＝＋－＠")


def test_the_usual_shifts_are_three() -> None:
    assert [(shift.name, shift.start.hour) for shift in USUAL] == [("早班", 8), ("中班", 16), ("夜班", 0)]
