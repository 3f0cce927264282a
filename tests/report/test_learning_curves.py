"""What learnt under some seeds only is seen in the curves; what is not there is not drawn."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from harness.record.study import StudyRecord
from harness.report.curves import POINTS, Curves, Panel, learning_curves, read_curve
from harness.report.renderers import page_data, render_html, render_markdown
from harness.report.search import Beside, search_content
from harness.report.write import write_report
from harness.training.curve import curve_of_epochs, curve_of_steps, curve_path, write_curve
from tests.report import example

LEARNT, STUCK, STEPS = 0.2, 1.2, 300


def kept(folder: Path, record: StudyRecord, stuck: tuple[str, int] = ("", 0)) -> Path:
    """Curves of every complete training: class losses fall from 1.2 to 0.2, but for one training's."""
    rows = record.trials[record.trials["state"] == "complete"]
    for name, epochs, seed in rows[["architecture", "epochs", "seed"]].itertuples(index=False, name=None):
        last = STUCK if (name, seed) == stuck else LEARNT
        losses = np.linspace(STUCK, last, STEPS)
        steps = [{"cls_loss": loss, "learning_rate": 0.001, "learning_rate_blocks": 0.005} for loss in losses]
        curve = curve_of_steps(steps, earlier=0, steps_an_epoch=100, map50_95=1.3 - last)
        write_curve(curve, curve_path(folder / "curves", name, epochs, 0, seed))
    return folder / "curves"


def panels(curves: Curves | None) -> dict[str, Panel]:
    assert curves is not None
    return {panel.title: panel for panel in curves.panels}


def test_seeds_that_did_not_learn_part_from_those_that_did(tmp_path: Path) -> None:
    record = example.winning()
    folder = kept(tmp_path, record, stuck=("3fa9c1d2", 1))
    found = panels(learning_curves(record, ["3fa9c1d2", "77e0b1aa"], partial(read_curve, folder)))
    assert list(found) == [
        "mAP50-95, by Ultralytics' validator", "cls_loss: classes", "learning rate of the base (blocks: × 5)",
    ]  # fmt: skip
    base, parted, alike = found["cls_loss: classes"].lines
    assert [line.architecture for line in (base, parted, alike)] == ["baseline", "3fa9c1d2", "77e0b1aa"]
    assert parted.seeds.shape == (4, POINTS)
    assert np.ptp(alike.seeds, axis=0).max() == pytest.approx(0)
    assert sorted(parted.seeds[:, -1].round(1)) == [LEARNT, LEARNT, LEARNT, STUCK]
    ends = found["mAP50-95, by Ultralytics' validator"]
    assert ends.of_ends and sorted(ends.lines[1].seeds[:, 0].round(1)) == [0.1, 1.1, 1.1, 1.1]


def test_a_line_is_the_mean_of_the_steps_around_each_point(tmp_path: Path) -> None:
    record = example.winning()
    found = panels(learning_curves(record, ["77e0b1aa"], partial(read_curve, kept(tmp_path, record))))
    line = found["cls_loss: classes"].lines[0]
    expected = STUCK + (LEARNT - STUCK) * (line.x - 1) / (STEPS - 1)
    np.testing.assert_allclose(line.seeds[0], expected, atol=0.01)


def test_epochs_of_the_published_recipe_are_drawn_with_the_map_after_each(tmp_path: Path) -> None:
    record = example.winning()
    rows = [{"epoch": str(n), "train/cls_loss": str(1 / n), "metrics/mAP50-95(B)": str(n / 10)} for n in range(1, 6)]
    read = {name: curve_of_epochs(rows) for name in ("baseline", "77e0b1aa")}
    found = panels(learning_curves(record, ["77e0b1aa"], lambda key: read.get(key[0])))
    line = found["mAP50-95, by Ultralytics' validator"].lines[1]
    assert found["cls_loss: classes"].x_title == "epoch"
    np.testing.assert_allclose(line.seeds[0], [0.1, 0.2, 0.3, 0.4, 0.5], atol=0.05)


def test_without_files_there_is_no_section(tmp_path: Path) -> None:
    record = example.winning()
    assert learning_curves(record, ["77e0b1aa"], None) is None
    assert learning_curves(record, ["77e0b1aa"], partial(read_curve, tmp_path)) is None
    assert search_content(record).page.drawn(Curves) == []
    broken = curve_path(tmp_path, "baseline", 3, 0, 0)
    broken.write_bytes(b"no parquet")
    assert read_curve(tmp_path, ("baseline", 3, 0, 0)) is None
    assert read_curve(tmp_path, ("../baseline", 3, 0, 0)) is None


def test_the_report_draws_them_in_the_page_and_beside_it(tmp_path: Path) -> None:
    record = example.winning()
    kept(tmp_path, record)
    write_report(record, tmp_path)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "](curves.png)" in (tmp_path / "report.md").read_text(encoding="utf-8")
    said = search_content(record, Beside(curves=partial(read_curve, tmp_path / "curves")))
    drawn = page_data(said.page)["figures"]["cls_loss-3"]
    roles = {trace["meta"]["role"] for trace in drawn["data"]}
    assert {"curve-0", "curve-1"} <= roles
    page = render_html(said.page)
    assert page.count('data-figure="cls_loss-3"') == 1 and len(page.encode()) < 3_000_000
    assert "Learning curves" in render_markdown(said.page)


def test_a_hostile_name_is_text() -> None:
    name = "<img src=x onerror=alert(1)>"
    record = example.winning()
    trials = record.trials.assign(architecture=record.trials["architecture"].replace("77e0b1aa", name))
    curve = curve_of_steps([{"cls_loss": 1.0}] * 20, earlier=0, steps_an_epoch=10, map50_95=0.5)
    hostile = dataclasses.replace(record, trials=trials)
    assert name not in render_html(search_content(hostile, Beside(curves=lambda _: curve)).page)
