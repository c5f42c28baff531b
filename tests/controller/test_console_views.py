"""What the pages show, before it is a page: counts, coordinates and sentences."""

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bastide.controller.console.views import words
from bastide.controller.console.views.charts import heat_strip, line, standing_bar, standing_strip
from bastide.controller.console.views.watch import open_work, own_work
from bastide.controller.console.views.words import Said, gathered, together
from bastide.core.audit import Record
from bastide.core.decision import Decision
from bastide.core.ids import DeviceId, RecordId
from bastide.core.standing import Standing

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
ONE, TWO = DeviceId("d-one"), DeviceId("d-two")


def decided(device: DeviceId, before: Standing, after: Standing, ago: timedelta) -> Decision:
    return Decision(device, after, before, "because", (), "policy", NOW - ago, None)


def recorded(kind: str, ago: timedelta, **body: str | int) -> Record:
    return Record(RecordId(f"r-{kind}-{ago}"), kind, "device:d-one", "system:governor", NOW - ago, body)


def test_a_count_is_never_shown_with_halves() -> None:
    chart = line([(NOW - HOUR, 0.0), (NOW, 1.0)], NOW - HOUR, NOW, steps=True, floor_at=0.0)
    assert chart is not None
    assert [row.label for row in chart.rows] == ["0", "1"]


@given(st.dictionaries(st.sampled_from(Standing), st.integers(0, 1_000_000)))
def test_every_standing_that_occurs_is_seen_in_the_bar_and_the_bar_is_never_wider_than_itself(
    counts: dict[Standing, int],
) -> None:
    bar = standing_bar(counts)
    assert {each.standing: each.count for each in bar} == {each: count for each, count in counts.items() if count}
    assert all(each.width >= 5.9 for each in bar)
    assert not bar or abs(bar[-1].x + bar[-1].width - 1000) < 0.1
    assert all(abs(left.x + left.width + 3 - right.x) < 0.05 for left, right in itertools.pairwise(bar))


@given(
    st.lists(st.tuples(st.integers(0, 86_400), st.floats(-1e9, 1e9)), max_size=60),
    st.integers(60, 86_400 * 7),
    st.booleans(),
)
def test_a_line_stays_in_its_box_whatever_was_measured(
    measured: list[tuple[int, float]], span_s: int, steps: bool
) -> None:
    since = NOW - timedelta(seconds=span_s)
    series = sorted((since + timedelta(seconds=at), value) for at, value in measured)
    chart = line(series, since, NOW, steps=steps)
    if chart is None:
        assert not [at for at, _ in series if at <= NOW]
        return
    assert all(0 <= x <= chart.width and -0.1 <= y <= chart.height + 0.1 for x, y, _ in chart.points)
    assert all(-0.1 <= tick.at <= chart.height + 0.1 for tick in chart.rows)
    assert 2 <= len(chart.rows) <= 6
    assert len(chart.columns) <= 6


def test_a_line_is_broken_where_the_device_was_silent() -> None:
    series = [(NOW - timedelta(minutes=60 - at), 1.0 + at % 3) for at in (*range(10), *range(50, 60))]
    chart = line(series, NOW - HOUR, NOW)
    assert chart is not None
    assert chart.line.count("M") == 2


def test_values_that_are_no_numbers_are_left_out() -> None:
    assert line([(NOW, float("nan")), (NOW, float("inf"))], NOW - HOUR, NOW) is None


def test_a_day_is_as_many_cells_as_hours_and_darkest_where_most_was() -> None:
    times = [NOW - timedelta(minutes=5)] * 4 + [NOW - timedelta(hours=3)] + [NOW - timedelta(days=9)]
    cells = heat_strip(times, NOW)
    assert len(cells) == 24
    assert [cell.level for cell in cells if cell.level] == [2, 5]


def test_open_work_is_taken_back_decision_by_decision() -> None:
    decisions = [
        decided(ONE, Standing.TRUSTED, Standing.QUARANTINED, 1 * HOUR),
        decided(TWO, Standing.RESTRICTED, Standing.TRUSTED, 2 * HOUR),
        decided(TWO, Standing.TRUSTED, Standing.RESTRICTED, 3 * HOUR),
    ]
    counts = {Standing.QUARANTINED: 1, Standing.TRUSTED: 1}
    points = open_work(decisions, counts, {}, NOW - 24 * HOUR, NOW)
    assert [(round((NOW - at) / HOUR), level) for at, level in points] == [(24, 0), (3, 1), (2, 0), (1, 1), (0, 1)]


def test_a_device_is_no_open_work_before_it_was_known() -> None:
    decisions = [decided(ONE, Standing.PENDING, Standing.TRUSTED, 1 * HOUR)]
    births = {ONE: NOW - 2 * HOUR, TWO: NOW - 0.5 * HOUR}
    points = open_work(decisions, {Standing.TRUSTED: 1, Standing.PENDING: 1}, births, NOW - 24 * HOUR, NOW)
    assert [level for _, level in points] == [0, 1, 0, 1, 1]


def test_the_loops_own_work_is_measured_from_intent_to_effect() -> None:
    records = [  # newest first, as the ledger gives them; those of one instant keep their order
        recorded("enforcement:plan:applied", timedelta(seconds=10), generation=2, point="broker"),
        recorded("enforcement:plan:applied", timedelta(seconds=12), generation=1, point="update"),
        recorded("enforcement:plan:applied", timedelta(seconds=12.9), generation=1, point="broker"),
        recorded("enforcement:plan:intended", timedelta(seconds=13), generation=1),
    ]
    decisions = [
        decided(ONE, Standing.TRUSTED, Standing.QUARANTINED, HOUR),
        decided(ONE, Standing.QUARANTINED, Standing.TRUSTED, HOUR),
    ]
    own = own_work(decisions, records)
    assert (own.decided, own.lowered, own.restored, own.enforced) == (2, 1, 1, 2)
    assert (own.median, own.slowest) == ("1 s", "1 s")


def test_alike_lines_are_one_line_that_counts_them() -> None:
    def said(device: str, text: str) -> Said:
        return Said("r", "kind", device, False, device, text, "", NOW, "the governor", False)

    lines = [said("a", "x"), said("a", "x"), said("b", "x"), said("b", "y")]
    assert [(each.device, each.times) for each in gathered(lines)] == [("a", 2), ("b", 1), ("b", 1)]
    assert [(each.text, each.others, each.times) for each in together(lines)] == [("x", 1, 2), ("y", 0, 1)]


def test_a_record_of_a_kind_that_nobody_described_is_still_readable() -> None:
    line_ = words.said(recorded("broker:account:rotated", HOUR), {}, "Main meter", "the broker")
    assert line_.text == "broker account rotated"


def test_a_fact_that_may_not_be_read_leaves_a_whole_sentence() -> None:
    record = recorded("operator:device:released", HOUR, reason="x")
    open_, hidden = (
        words.said(record, {"reason": said}, "Gate", "ada").text for said in ("Seal replaced.", words.HIDDEN)
    )
    assert open_ == "was released by a person: Seal replaced."
    assert hidden == "was released by a person."


@given(st.timedeltas(timedelta(0), timedelta(days=5000)))
def test_lengths_of_time_are_one_number_and_one_unit(span: timedelta) -> None:
    number, unit = words.lasting(span).split()
    assert number.isdigit()
    assert unit in ("ms", "s", "min", "h", "days", "years")


def test_a_devices_standing_over_time_covers_all_of_it() -> None:
    decisions = [
        decided(ONE, Standing.QUARANTINED, Standing.TRUSTED, 1 * HOUR),
        decided(ONE, Standing.TRUSTED, Standing.TRUSTED, 2 * HOUR),
        decided(ONE, Standing.TRUSTED, Standing.QUARANTINED, 3 * HOUR),
    ]
    strip = standing_strip(decisions, Standing.TRUSTED, NOW - 4 * HOUR, NOW)
    assert [(each.standing, each.x, each.width) for each in strip] == [
        (Standing.TRUSTED, 0, 250),
        (Standing.QUARANTINED, 250, 500),
        (Standing.TRUSTED, 750, 250),
    ]
