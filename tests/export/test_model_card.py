"""A model card says what the study's record says, and nothing in a name can break out of it."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from scipy import stats

from harness.architecture import BASELINE
from harness.export.exported import Exported, Form, TrainedWeights
from harness.export.model_card import model_card
from harness.record.form import AblationRecord
from harness.record.study import StudyRecord
from harness.report.renderers import escape
from tests.report.example import candidate, frame, none_gains, record, row, winning

LONG = {4: (0.61, 0.600), 5: (0.63, 0.605), 6: (0.62, 0.611)}
"""Seed to mAP50-95 of the candidate and of the baseline after 100 epochs."""


def exported(form: Form = Form.YAML, identity: str = "aaaaaaaa", **values: Any) -> Exported:
    defaults: dict[str, Any] = {
        "form": form,
        "identity": identity,
        "imgsz": 128,
        "files": (f"{identity}.yaml", "README.md", "load.py"),
        "weights": TrainedWeights(path=Path("w.pt"), epochs=100, base_seed=0, seed=4) if form.has_weights else None,
        "input_shape": (1, 3, 128, 128),
        "output_shape": (1, 14, 336),
        "opset": 17 if form is Form.ONNX else None,
        "engine": "torch 2.13.0",
        "max_difference": 0.0,
    }
    return Exported(**(defaults | values))


def trained_long() -> StudyRecord:
    """The study `none_gains`, whose first candidate was trained for 100 epochs under three seeds."""
    before = none_gains()
    rows = [
        row(name, 0) | {"seed": seed, "epochs": 100, "map50_95": both[index], "map50": both[index] + 0.2,
                        "selected_on": False, "train_seconds": 1234.4, "transferred": "349 of 349 base tensors"}
        for seed, both in LONG.items()
        for index, name in enumerate(("aaaaaaaa", BASELINE))
    ]  # fmt: skip
    groups = [before.trials.to_dict("records"), rows]
    return replace(before, trials=frame(*groups))  # type: ignore[arg-type]


def value(card: str, name: str) -> str:
    """The value beside a name in the card's tables."""
    [found] = re.findall(rf"^\| {re.escape(escape(name))} \| (.*) \|$", card, flags=re.MULTILINE)
    return re.sub(r"\\(.)", r"\1", str(found))


def test_a_head_that_is_not_used_is_said() -> None:
    said = "outputs here are, of the one-to-many head"
    assert said in model_card(trained_long(), exported(Form.ONNX, has_unused_head=True))
    assert said not in model_card(trained_long(), exported(Form.ONNX))


# --- What it is -----------------------------------------------------------------------------------


def test_it_names_base_blocks_and_exact_cost() -> None:
    study = none_gains()
    card = model_card(study, exported())
    architecture = study.architectures["aaaaaaaa"]
    assert escape(f"yolov5n with {architecture.describe()}") in card
    assert value(card, "Parameters") == "1,944,000"
    assert value(card, "MACs, one image of 128 × 128") == "108,000,000"
    assert value(card, "FLOPs, one image of 128 × 128") == "200,000,000"  # as the rows of the example have it


def test_the_block_at_its_top_is_what_hugging_face_reads() -> None:
    _, front, _ = model_card(none_gains(), exported()).split("---\n", 2)
    assert yaml.safe_load(front)["license"] == "agpl-3.0"
    assert yaml.safe_load(front)["pipeline_tag"] == "object-detection"


def test_a_widened_base_of_an_ablation_is_called_what_it_is_there() -> None:
    name = "wide-params-0a"
    study = record(frame([row(BASELINE, 0)], candidate(name, [0.01])))
    unplaced = study.architectures | {name: study.architectures[BASELINE]}
    arms = [{"identity": name, "name": "the base, widened"}]
    card = model_card(
        replace(study, architectures=unplaced, ablation=AblationRecord.of({"arms": arms})), exported(identity=name)
    )
    assert "A detector: yolov5n, the base, widened." in card


# --- Measured how ---------------------------------------------------------------------------------


def test_the_weights_have_their_own_map_and_the_paired_gain_with_students_interval() -> None:
    card = model_card(trained_long(), exported(Form.PT))
    gains = [mine - baseline for mine, baseline in LONG.values()]
    mean = sum(gains) / 3
    sd = math.sqrt(sum((gain - mean) ** 2 for gain in gains) / 2)
    half = stats.t.ppf(0.975, 2) * sd / math.sqrt(3)
    assert value(card, "mAP50-95 of these weights, seed 4") == "0.6100 (mAP50 0.8100)"
    assert value(card, "mAP50-95 after 100 epochs, mean") == "0.6200 over 3 seeds"
    said = value(card, "Gain over the baseline, same epochs and seeds")
    assert said.startswith(
        f"{mean:+.4f}, [{mean - half:+.4f}, {mean + half:+.4f}] 95 %, over 3 seeds".replace("-", "−")
    )
    assert said.endswith("the baseline reaches 0.6053")


def test_how_the_search_read_it_stands_beside_its_long_training() -> None:
    card = model_card(trained_long(), exported(Form.PT))
    mean = (0.004 - 0.003 + 0.005) / 3  # without the seed that picked it
    assert f"gain {mean:+.3f}, [" in value(card, "In the search, 3 epochs")


def test_without_weights_the_search_alone_speaks() -> None:
    card = model_card(winning(), exported(identity="3fa9c1d2"))
    said = value(card, "In the search, 3 epochs")
    assert "gain +0.014, [" in said and ": gain; " in said  # (0.014 + 0.011 + 0.017) / 3
    assert "of these weights" not in card and "Not trained" in card


def test_latency_is_a_ratio_with_its_interval_and_its_device() -> None:
    card = model_card(none_gains(), exported())
    assert value(card, "Latency") == (
        "1.200 × the baseline's, [1.180, 1.220] 95 %, one image a pass, PyTorch, on Example CPU, 2 cores"
    )


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"name": "cpu", "threads": 2}, "Chip 9000, 2 threads"),
        ({"name": "NVIDIA H100", "threads": 2}, "NVIDIA H100"),
        ({"name": None, "asked": "1"}, "CUDA device 1"),
    ],
)
def test_a_device_is_a_processor_or_a_gpu(found: dict[str, Any], said: str) -> None:
    study = none_gains()
    environment = study.environment | {"device": found, "cpu": {"model": "Chip 9000"}}
    card = model_card(replace(study, environment=environment), exported())
    assert value(card, "Latency").endswith(f"on {said}")


def test_what_was_not_measured_is_said_to_be_so() -> None:
    nothing = dict.fromkeys(
        ("latency_ratio", "latency_ratio_low", "latency_ratio_high", "latency_ms_p50"), float("nan")
    )
    study = none_gains()
    card = model_card(replace(study, trials=study.trials.assign(**nothing)), exported())
    assert value(card, "Latency") == "not measured"


def test_the_baseline_has_no_gain_over_itself() -> None:
    card = model_card(trained_long(), exported(Form.PT, BASELINE))
    assert value(card, "mAP50-95 of these weights, seed 4") == "0.6000 (mAP50 0.8000)"
    assert "Gain over the baseline" not in card
    assert value(card, "Latency").startswith("the reference of all ratios; 10 ms")


# --- Trained on what, checked how -----------------------------------------------------------------


def test_it_says_how_long_from_what_and_which_of_the_seeds() -> None:
    study = trained_long()
    study = replace(study, environment=study.environment | {"base_origin": "yolov5n, trained 20 epochs"})
    card = model_card(study, exported(Form.PT))
    assert "100 epochs, 32 images a step, 128 pixels, seed 4; 1234 s." in card
    assert "the weights of yolov5n, trained 20 epochs, trained under seed 0 (349 of 349 base tensors)" in card
    assert "of its 3 seeds the first, not the best" in card
    assert "AdamW" in card
    published = model_card(
        replace(study, ablation=AblationRecord.of({"file": {"recipe": "published"}})), exported(Form.PT)
    )
    assert "AdamW" not in published and "keeps the epoch that reads best" in published


def test_an_onnx_file_has_its_opset_its_shape_and_its_distance_from_pytorch() -> None:
    card = model_card(trained_long(), exported(Form.ONNX, max_difference=6.8e-5, engine="onnxruntime 1.32.0"))
    assert value(card, "ONNX").startswith("opset 17, this input shape alone")
    assert value(card, "Input").startswith("1 × 3 × 128 × 128")
    assert "equal to within 6.8e-05" in value(card, "Checked") and "onnxruntime 1.32.0" in value(card, "Checked")


def test_the_embedded_datas_licence_is_known_and_no_others() -> None:
    study = none_gains()
    assert "CC BY 4.0" in value(model_card(study, exported()), "Data, digits")
    other = replace(study, settings=study.settings | {"data": "/home/alice/cats.yaml"})
    card = model_card(other, exported())
    assert value(card, "Data, cats.yaml").startswith("not known")
    assert "alice" not in card


@pytest.mark.parametrize(
    ("settings", "typed"),
    [
        ({"seed": 0, "seeds": 4}, "clo train demo aaaaaaaa --epochs 100 --seeds 3"),
        ({"seed": 0, "seeds": 2}, "clo train demo aaaaaaaa --epochs 100 --seeds 4,5,6"),
    ],
)
def test_the_commands_that_make_it_again_name_the_seeds(settings: dict[str, int], typed: str) -> None:
    study = trained_long()
    card = model_card(replace(study, settings=study.settings | settings), exported(Form.PT))
    assert f"\n{typed}\n" in card
    assert "\nclo search --trials 12 --study demo\n" in card
    assert "\nclo export demo aaaaaaaa --to pt\n" in card


# --- Names are untrusted --------------------------------------------------------------------------

HOSTILE = "<script>alert(1)</script> | [x](javascript:y) `z` # @all\n## Licence: none"


def test_nothing_in_a_name_becomes_markup() -> None:
    study = trained_long()
    hostile = replace(
        study,
        name=HOSTILE,
        settings=study.settings | {"data": HOSTILE.replace("/", "")},
        environment=study.environment | {"device": HOSTILE, "base_origin": HOSTILE, "command": HOSTILE},
        trials=study.trials.assign(evaluator=HOSTILE, transferred=HOSTILE),
    )
    card = model_card(hostile, exported(Form.PT))
    fences = re.compile(r"^(`{3,})shell\n.*\n\1$", flags=re.MULTILINE)
    text = fences.sub("", card)
    assert "<script" not in re.sub(r"\\<", "", text)
    assert "[x](" not in re.sub(r"\\[\[\]]", "", text)
    assert not re.search(r"(?<!\\)`", text)
    assert [line for line in card.splitlines() if line.startswith("## Licence")] == ["## Licence"]
    assert all(line.count("|") - line.count("\\|") == 3 for line in text.splitlines() if line.startswith("|"))
