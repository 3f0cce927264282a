from __future__ import annotations

import json

import pandas as pd
import plotly.graph_objects as go
import pytest

from harness.analysis.analysis import analyse
from harness.analysis.statistics import summarise
from harness.architecture import Architecture, Placement
from harness.record.study import StudyRecord
from harness.report.figures import AXES, LATENCY, front_figure, names_of
from harness.report.interactive import hover_texts, plotly_figure
from tests.report import example

EMPTY = example.record(example.frame())
SCREENED = example.record(example.frame(example.baseline(0), example.candidate("aaaa", [0.01])))


@pytest.mark.parametrize("record", [example.winning(), EMPTY, SCREENED], ids=["winning", "empty", "screened"])
def test_plotly_accepts_the_figure_and_json_has_no_nan(record: StudyRecord) -> None:
    for axis in AXES:
        figure = plotly_figure(front_figure(analyse(record), axis))
        assert go.Figure(figure).layout.showlegend is False
        assert json.loads(json.dumps(figure, allow_nan=False)) == figure


def test_no_trace_has_an_axis_that_the_layout_does_not_describe() -> None:
    """Plotly would draw one of its own, 0 to 4, beside the gain, as where trainings differ in length."""
    long = example.frame(example.baseline(0, 1), example.candidate("aaaa", [0.01, 0.02])).assign(epochs=12)
    mixed = example.record(pd.concat([example.winning().trials, long], ignore_index=True))
    for record in (example.winning(), mixed):
        for axis in AXES:
            figure = plotly_figure(front_figure(analyse(record), axis))
            named = {trace.get(name, name[0]) for trace in figure["data"] for name in ("xaxis", "yaxis")}
            assert {f"{each[0]}axis{each[1:]}" for each in named} <= set(figure["layout"])


def test_bars_are_lengths_from_the_mean() -> None:
    record = example.winning()
    summary = summarise(record.trials)
    figure = plotly_figure(front_figure(analyse(record), LATENCY))
    trace = next(trace for trace in figure["data"] if trace.get("meta", {}).get("role") == "gain")
    row = summary.loc[trace["meta"]["names"][0]]
    assert trace["error_y"]["array"][0] == pytest.approx(row["gain_high"] - row["gain_map50_95"], rel=1e-5)
    assert trace["error_y"]["arrayminus"][0] == pytest.approx(row["gain_map50_95"] - row["gain_low"], rel=1e-5)


def test_names_in_hover_texts_are_text() -> None:
    record = example.winning()
    hostile = Architecture(base="x", placements=(Placement(site="<a href='https://x'>", global_heads=1),))
    record.architectures["3fa9c1d2"] = hostile
    shown = hover_texts([front_figure(analyse(record), LATENCY)])["3fa9c1d2"]
    assert "<a" not in shown
    assert "&lt;a href=" in shown


def test_bars_of_many_single_seeds_are_left_to_the_hover_text() -> None:
    many = [example.candidate(f"c{number}", [0.001 * number]) for number in range(40)]
    judged = example.candidate("judged", [0.01, 0.02, 0.0])
    record = example.record(example.frame(example.baseline(0, 1, 2), judged, *many))
    figure = plotly_figure(front_figure(analyse(record), LATENCY))
    barred = {trace["meta"]["role"] for trace in figure["data"] if "error_y" in trace}
    screened = [t for t in figure["data"] if t.get("meta", {}).get("role") == "screening"]
    assert "undecided" in barred
    assert not any("error_y" in trace for trace in screened if len(trace["x"]) > 30)


def test_only_who_has_room_bears_a_name_and_at_its_corner() -> None:
    record = example.winning()
    drawn = front_figure(analyse(record), LATENCY)
    names = names_of(drawn)
    shown = {}
    for trace in plotly_figure(drawn)["data"]:
        for at, text in enumerate(trace.get("text", [])):
            if text:
                shown[text.split(" ")[0].rstrip(":")] = trace["textposition"][at]
    words = {name: f"{'top' if at.above else 'bottom'} {'left' if at.left else 'right'}" for name, at in names.items()}
    assert shown == words and len(shown) >= 2
