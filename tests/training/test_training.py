"""A training follows its schedule and keeps the average of its tail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from harness.architecture.choices import Size
from harness.blocks import CloBlock
from harness.detectors import resolve_base, widened
from harness.training import accuracy
from harness.training.accuracy import Schedule, Training, initial_model, train
from tests.training.watched import BASELINE, BLOCKS, ITERATIONS, SCHEDULE, Run, same, watch

pytestmark = pytest.mark.usefixtures("torch_as_it_was")


# --- The schedule ---------------------------------------------------------------------------------

SHARES = st.floats(0.0, 0.9)
PROGRESS = st.floats(0.0, 1.0)


def schedule(warmup: float, final_rate: float) -> Schedule:
    return replace(SCHEDULE, warmup=warmup, final_rate=final_rate)


@given(warmup=SHARES, final_rate=PROGRESS)
def test_the_rate_peaks_after_warm_up_and_ends_where_it_should(warmup: float, final_rate: float) -> None:
    rate = schedule(warmup, final_rate).rate
    assert rate(warmup) == pytest.approx(1)
    assert rate(1.0) == pytest.approx(final_rate)
    assert rate((warmup + 1) / 2) == pytest.approx((1 + final_rate) / 2)  # the cosine's middle


@given(warmup=st.floats(1e-6, 0.9), share=st.floats(0.0, 1.0, exclude_max=True))
def test_the_rate_rises_linearly_in_warm_up(warmup: float, share: float) -> None:
    assert schedule(warmup, 0.01).rate(share * warmup) == pytest.approx(share)


@given(warmup=SHARES, final_rate=PROGRESS, a=PROGRESS, b=PROGRESS)
def test_the_rate_rises_then_falls_and_stays_in_its_bounds(
    warmup: float, final_rate: float, a: float, b: float
) -> None:
    rate = schedule(warmup, final_rate).rate
    early, late = sorted((a, b))
    assert 0 <= rate(a) <= 1 + 1e-12
    if late <= warmup:
        assert rate(early) <= rate(late) + 1e-12
    elif early >= warmup:
        assert rate(early) + 1e-12 >= rate(late) >= final_rate - 1e-12


@pytest.mark.slow
def test_every_iteration_has_its_rate_and_new_blocks_theirs(run: Callable[..., Run]) -> None:
    for number, step in enumerate(run(BLOCKS).steps, 1):
        expected = 1e-3 * SCHEDULE.rate(number / ITERATIONS)
        assert sorted(step.rates) == pytest.approx([expected, expected, 5 * expected, 5 * expected])


@pytest.mark.slow
def test_a_training_has_the_threads_that_it_was_given(training: Callable[..., Training]) -> None:
    """Ultralytics would take one fewer than the machine has cores."""
    seen: set[int] = set()
    train(training(BASELINE, threads=3), lambda *_: seen.add(torch.get_num_threads()))
    assert seen == {3}


@pytest.mark.slow
def test_progress_is_told_after_every_iteration(run: Callable[..., Run]) -> None:
    assert run(BLOCKS).progress == [(number, ITERATIONS) for number in range(1, ITERATIONS + 1)]


def test_new_blocks_learn_faster_and_vectors_do_not_decay(training: Callable[..., Training]) -> None:
    model, moved = initial_model(training(BLOCKS))
    trainer = SimpleNamespace(_training=training(BLOCKS), _moved=moved)
    optimizer = accuracy.Trainer.build_optimizer(trainer, model)  # type: ignore[arg-type]
    found = {id(p): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    new = {id(p) for m in model.modules() if isinstance(m, CloBlock) for p in m.parameters()}
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert len(found) == len(parameters)
    assert new < set(found)
    for name, parameter in parameters.items():
        rate = 5e-3 if id(parameter) in new else 1e-3
        decay = 5e-4 if parameter.ndim > 1 else 0.0
        assert found[id(parameter)] == pytest.approx((rate, decay)), name
    scales = [name for name in parameters if "layer_scale" in name]
    assert scales and all(found[id(parameters[name])][1] == 0 for name in scales)


def widened_training(training: Callable[..., Training], **others: Any) -> Training:
    base = resolve_base("yolov5n")
    config = widened(base, size=Size.PARAMS, added=100_000, imgsz=64, classes=10).config
    return training(BASELINE, config=config, widened=True, **others)


@pytest.mark.parametrize("from_scratch", [False, True])
def test_a_widened_base_starts_as_the_baseline_of_its_seed(
    training: Callable[..., Training], from_scratch: bool
) -> None:
    others = {"base_weights": None} if from_scratch else {}
    (wide, moved), (baseline, _) = (
        initial_model(describe) for describe in (widened_training(training, **others), training(BASELINE, **others))
    )
    assert moved.arrived == moved.total and moved.grown
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = (model.eval()(image)[0] for model in (baseline, wide))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)  # boxes, in pixels


@pytest.mark.slow
def test_new_elements_of_a_widened_base_learn_at_a_new_blocks_rate(
    training: Callable[..., Training], tmp_path: Path
) -> None:
    wide = replace(widened_training(training), schedule=replace(SCHEDULE, epochs=1, weight_decay=0.0))
    model, moved = initial_model(wide)
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trained = watch(wide, tmp_path / "wide.pt")
    assert trained.result is not None and trained.result.transferred.startswith(f"{moved.total} of {moved.total} base")
    first = trained.steps[0]
    rate = max(first.rates)
    reading = 0
    for name, is_new in moved.grown.items():
        if is_new.ndim == 4:
            old_outputs = ~is_new.flatten(1).all(1)
            step = (first.weights[name] - start[name]).abs()[old_outputs]
            # AdamW's first step is the rate itself, whatever the gradient is.
            assert step[~is_new[old_outputs]].median().item() == pytest.approx(rate, rel=1e-2), name
            if is_new[old_outputs].any():
                assert step[is_new[old_outputs]].median().item() == pytest.approx(5 * rate, rel=1e-2), name
                reading += 1
    assert reading > 8  # the last convolution of each C3, and those of its bottlenecks
    weights = trained.steps[-1].weights["model.2.cv1.conv.weight"]
    assert not torch.equal(weights[16:], start["model.2.cv1.conv.weight"][16:])  # new channels have learned, too


# --- The average of the tail ----------------------------------------------------------------------


@given(data=st.data(), steps=st.integers(1, 12))
def test_the_tails_average_is_the_mean_of_its_weights(data: st.DataObject, steps: int) -> None:
    first = data.draw(st.integers(1, steps))
    values = data.draw(st.lists(st.floats(-10, 10, width=32), min_size=steps, max_size=steps))
    model = nn.Linear(1, 1)
    average = accuracy._TailAverage(model, first=first)
    for number, value in enumerate(values, 1):
        nn.init.constant_(model.weight, value)
        average.update(model)
        tail = values[min(first, number) - 1 : number] if number >= first else [value]
        assert average.ema.weight.item() == pytest.approx(sum(tail) / len(tail), abs=1e-4)


@pytest.mark.slow
def test_what_is_kept_is_the_mean_of_the_last_steps_weights(run: Callable[..., Run]) -> None:
    trained = run(BLOCKS)
    tail = trained.steps[2:]  # 0.3 of four iterations: from the third on
    final = trained.final()
    assert len(tail) == 2
    for name, kept in final.items():
        if kept.is_floating_point():
            mean = torch.stack([step.weights[name] for step in tail]).mean(0)
            torch.testing.assert_close(kept, mean, rtol=1e-5, atol=1e-6, msg=name)
    last = tail[-1].weights
    assert not same({name: final[name] for name in last}, last)
