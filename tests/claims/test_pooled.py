"""Results that several people send are checked, pooled, and judged by the preset's rule."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.analysis.power import sample_size
from harness.claims.pooled import Preset, Result, judge_results, read_results, shipped
from harness.claims.verdict import Finding, Verdict
from harness.common.errors import UserError
from harness.record.state import State
from tests.claims.results import BOUNDARY, MODELS, SD, machine, sent

HEAD, LAST = MODELS


def machines(count: int, gains: Mapping[str, float], **options: Any) -> list[Result]:
    rng = np.random.default_rng(0)
    return [machine(rng, gains, **options) for _ in range(count)]


# --- The rule --------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ({"head": 0.02}, Verdict.REPRODUCED),
        ({"head": 0.0}, Verdict.REFUTED),
        ({"head": 0.01}, Verdict.UNDECIDED),
        ({"head": 0.02, "head-macs": 0.02}, Verdict.REFUTED),  # a gain of size is no gain of the block
    ],
)
def test_a_gain_has_to_be_a_point_over_the_baseline_and_both_placebos(
    count: int, gains: Mapping[str, float], verdict: Verdict
) -> None:
    found = judge_results(machines(count, gains, sd=SD / 4))
    assert found[HEAD].verdict is verdict
    assert found[LAST].verdict is Verdict.REFUTED
    assert {row["readings"] for row in found[HEAD].rows} == {3 if count == 1 else 4}, (
        "seeds of one, machines of several"
    )


def test_machines_that_differ_make_the_interval_longer() -> None:
    def width(between: float) -> float:
        row = judge_results(machines(4, {}, between=between))[HEAD].rows[0]
        return float(row["high"]) - float(row["low"])  # type: ignore[arg-type]

    assert width(3 * SD) > 2 * width(0.0)


def test_the_mean_of_a_machine_counts_once_however_many_seeds_it_has() -> None:
    rng = np.random.default_rng(1)
    few, many = machine(rng, {}, seeds=2), machine(rng, {"head": 0.02}, seeds=5)
    gains = [np.mean([gain for model, minus, _, gain in each.gains if (model, minus) == (HEAD, "baseline")])
             for each in (few, many)]  # fmt: skip
    assert judge_results([few, many])[HEAD].rows[0]["difference"] == pytest.approx(np.mean(gains))


def test_a_training_without_an_map_is_no_evidence_for_a_gain_and_may_be_some_against() -> None:
    def found(gain: float) -> Finding:
        whole = machine(np.random.default_rng(0), {"head": gain, "last": gain}, sd=SD / 4, seeds=4)
        trainings = [each.model_dump() for each in whole.trainings]
        lost = next(each for each in trainings if (each["architecture"], each["seed"]) == ("head-params", 3))
        lost |= {"state": State.FAILED, "map50_95": None}
        judged = judge_results([Result.model_validate(whole.model_dump() | {"trainings": trainings})])
        assert judged[LAST].verdict is (Verdict.REPRODUCED if gain else Verdict.REFUTED)
        return judged[HEAD]

    assert found(0.02).verdict is Verdict.UNDECIDED
    assert "trainings ended without an mAP" in found(0.02).sentence
    assert found(0.0).verdict is Verdict.REFUTED


def test_what_images_contribute_makes_an_interval_one_of_new_images() -> None:
    def targets(blocks: int) -> set[object]:
        whole = machine(np.random.default_rng(0), {})
        rng = np.random.default_rng(2)
        trainings = [each.model_dump() | {"image_influence": rng.normal(0, 1e-3, blocks)} for each in whole.trainings]
        judged = judge_results([Result.model_validate(whole.model_dump() | {"trainings": trainings})])
        return {row["target"] for row in judged[HEAD].rows}

    assert (targets(50), targets(0)) == ({"new images"}, {"these images"})


# --- Its levels, through the same function ----------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("count", "seeds", "between"), [(1, 3, 0.0), (2, 2, SD), (3, 3, 0.0), (5, 5, 2 * SD)])
def test_intervals_hold_the_truth_and_the_boundary_is_not_called_a_gain(
    count: int, seeds: int, between: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = sample_size(SD, 4.0, 0.01, lambda _: 4.0)
    monkeypatch.setattr(
        "harness.claims.required.sample_size", lambda *_: sizes
    )  # how many it would take is not asked here
    rng, draws, held, gained = np.random.default_rng(count), 60, 0, 0
    for _ in range(draws):
        sent_in = [machine(rng, BOUNDARY, seeds=seeds, between=between) for _ in range(count)]
        found = judge_results(sent_in)
        held += sum(row["low"] <= 0.01 <= row["high"] for each in found.values() for row in each.rows[:1])  # type: ignore[operator]
        gained += sum(each.verdict is Verdict.REPRODUCED for each in found.values())
    assert held >= 0.93 * 2 * draws
    assert gained <= 0.05 * 2 * draws


# --- Files -----------------------------------------------------------------------------------------


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    whole = machine(np.random.default_rng(0), {"head": 0.02})
    [again] = read_results([sent(tmp_path / "a.json", whole)])
    assert (again, again.digest, again.changed) == (whole, whole.digest, [])
    kept = json.loads((tmp_path / "a.json").read_text())
    assert kept["digest"] == whole.digest
    assert len(kept["gains"]) == 2 * 3 * 3  # models, comparisons, seeds
    assert kept["gains"][0][:3] == [HEAD, "baseline", 0]


@pytest.mark.parametrize("preset", list(Preset))
def test_a_preset_trains_the_articles_models_with_both_placebos_on_its_own_data(preset: Preset) -> None:
    protocol = shipped(preset)
    told = protocol.model_dump()
    assert (protocol.base, protocol.imgsz, protocol.from_scratch) == ("yolov5n", 640, True)
    assert (set(told["models"]), set(told["placebos"])) == (set(MODELS), {"params", "macs"})
    images = {Preset.VOC: (16_551, 4_952, 20), Preset.COCO: (118_287, 5_000, 80)}[preset]
    assert (protocol.train_images, protocol.val_images, protocol.classes) == images


def changed(**values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda kept: kept.update(values)


def of(part: str, **values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda kept: kept[part].update(values)


def first(part: str, **values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda kept: kept[part][0].update(values)


@pytest.mark.parametrize(
    ("change", "right"),
    [
        (changed(), "b.json has trainings of a.json, such as one of seed 0: each counts once"),
        (
            of("protocol", epochs=1),
            r"b.json follows another rule than a.json \(epochs 1, not 100\); only results of one",
        ),
        (of("protocol", val_images=7), r"b.json follows another rule than a.json \(val_images 7, not 4952\)"),
        (changed(rule="whatever"), r"b.json follows another rule than a.json \(its words\)"),
        (lambda kept: kept["arms"][1].update(identity="other"), "b.json has other networks than a.json under the same"),
        (changed(schema_version=2), "b.json: no result of `clo reproduce --preset`: schema_version: expected one of 1"),
        (changed(preset="mine"), "b.json: no result .*: preset: expected one of 'voc' or 'coco', not 'mine'"),
        (changed(clo_nas="\x1b[2J"), "b.json: no result .*: clo_nas: not printable"),
        (
            first("trainings", map50_95=1.5),
            r"b.json: no result .*: trainings\[0\].map50_95: expected at most 1.0, not 1.5",
        ),
        (first("trainings", map50_95=None), r"b.json: no result .*: trainings\[0\]: a training that is complete with"),
        (changed(arms=[]), "b.json: no result .*: arms: the baseline is missing, or two have one name"),
        (lambda kept: kept["arms"][1].update(name=LAST), "b.json: no result .*: arms: .*two have one name"),
        (lambda kept: kept.pop("trainings"), "b.json: no result .*: trainings is missing"),
    ],
)
def test_what_cannot_be_pooled_is_said_in_a_sentence(
    change: Callable[[dict[str, Any]], object], right: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kept = json.loads(sent(Path("a.json"), machine(np.random.default_rng(0), {})).read_text())
    change(kept)
    Path("b.json").write_text(json.dumps(kept), encoding="utf-8")
    with pytest.raises(UserError, match=right):
        read_results([Path("a.json"), Path("b.json")])


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"schema_version": NaN}', "\x00"])
def test_what_is_no_result_is_said_to_be_none(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"a.json: no result of `clo reproduce --preset`"):
        read_results([tmp_path / "a.json"])
    with pytest.raises(UserError, match=r"none.json: cannot be read \(No such file"):
        read_results([tmp_path / "none.json"])
