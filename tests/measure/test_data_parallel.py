"""Several processes train as one would: same weights in all, each image once, gradients summed, and every end told."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from harness.errors import UserError
from harness.measure import data_parallel
from harness.measure.accuracy import initial_model
from harness.measure.data_parallel import train_on_several
from harness.measure.training import Accuracy, NotANumberError, OutOfMemoryError, Training
from tests.measure import rank_ends
from tests.measure.pretended import pretended_training
from tests.measure.watched import BLOCKS, IMAGES, ITERATIONS, same

pytestmark = pytest.mark.usefixtures("torch_as_it_was")
TWO = "cpu,cpu"


# --- A training -----------------------------------------------------------------------------------


class Shared:
    """A training by two processes, and what each of them kept of each step."""

    def __init__(self, training: Training, folder: Path) -> None:
        self.training = replace(training, device=TWO, threads=2, save_to=folder / "trained.pt", keep_matches=True)
        self.progress: list[tuple[int, int]] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(data_parallel, "_run", rank_ends.watched)
            patch.setenv("KEEP_STEPS_IN", str(folder))
            self.result = train_on_several(self.training, lambda *step: self.progress.append(step))
        self.ranks: list[list[dict[str, Any]]] = [
            torch.load(folder / f"{number}.pt", weights_only=False) for number in range(2)
        ]

    def final(self) -> dict[str, torch.Tensor]:
        assert self.training.save_to is not None
        state: dict[str, torch.Tensor] = torch.load(self.training.save_to, weights_only=False)["model"].state_dict()
        return state


@pytest.fixture(scope="module")
def shared(training: Callable[..., Training], tmp_path_factory: pytest.TempPathFactory) -> Shared:
    return Shared(training(BLOCKS), tmp_path_factory.mktemp("shared"))


@pytest.mark.slow
def test_all_keep_the_same_weights(shared: Shared) -> None:
    first, second = shared.ranks
    assert len(first) == len(second) == ITERATIONS
    assert all(same(one["weights"], other["weights"]) for one, other in zip(first, second, strict=True))


@pytest.mark.slow
def test_every_image_is_seen_once_an_epoch_by_one_of_them(shared: Shared) -> None:
    half = ITERATIONS // 2
    for epoch in (slice(0, half), slice(half, None)):
        seen = [file for steps in shared.ranks for step in steps[epoch] for file in step["batch"]["im_file"]]
        assert len(seen) == len(set(seen)) == IMAGES


@pytest.mark.slow
def test_the_gradient_is_that_of_all_images_of_the_batch(shared: Shared) -> None:
    """Computed anew by one process, part after part, without Ultralytics' trainer or torch's wrapper."""
    torch.set_num_threads(1)
    expected: dict[str, torch.Tensor] = {}
    for steps in shared.ranks:
        model, _ = initial_model(replace(shared.training, device="cpu"))
        model = model.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        model.args = shared_arguments()
        loss, _ = model(steps[0]["batch"])
        loss.sum().backward()
        for name, tensor in model.named_parameters():
            if tensor.grad is not None:
                expected[name] = expected.get(name, torch.zeros_like(tensor)) + tensor.grad
    found = shared.ranks[0][0]["gradients"]
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-4 * float(tensor.abs().max()))


def shared_arguments() -> Any:
    from ultralytics.cfg import get_cfg

    return get_cfg()


@pytest.mark.slow
def test_it_is_judged_on_all_validation_images(shared: Shared) -> None:
    assert 0 <= shared.result.map50_95 <= 1
    assert shared.result.matches is not None
    assert len(shared.result.matches.target) == 8
    assert len(set(shared.result.matches.names)) == 8  # each image once, whichever process saw it
    assert shared.result.coco_map50_95 == pytest.approx(shared.result.map50_95, abs=0.02)


@pytest.mark.slow
def test_progress_is_told_step_by_step(shared: Shared) -> None:
    assert shared.progress == [(done, ITERATIONS) for done in range(1, ITERATIONS + 1)]


@pytest.mark.slow
def test_the_same_seed_repeats_bit_for_bit(shared: Shared, training: Callable[..., Training], tmp_path: Path) -> None:
    again = Shared(training(BLOCKS), tmp_path)
    assert again.result.map50_95 == shared.result.map50_95
    assert same(again.final(), shared.final())


@pytest.mark.slow
def test_a_loss_that_is_no_number_in_one_ends_them_all(
    training: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_parallel, "_run", rank_ends.loses_its_number)
    with pytest.raises(NotANumberError, match="at iteration 2"):
        train_on_several(replace(training(BLOCKS), device=TWO))
    assert_nobody_is_left()


# --- Ends -----------------------------------------------------------------------------------------


@pytest.fixture
def pretended(tmp_path: Path) -> Training:
    return pretended_training(str(tmp_path), "cpu,cpu,cpu")


def run_as(
    inside: Callable[..., None], training: Training, monkeypatch: pytest.MonkeyPatch, progress: Any = None
) -> Accuracy:
    monkeypatch.setattr(data_parallel, "_run", inside)
    return train_on_several(training, progress)


def assert_nobody_is_left() -> None:
    children = psutil.Process().children(recursive=True)
    assert not [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def test_each_process_has_a_device_and_its_share_of_the_threads(
    pretended: Training, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = {name: os.environ.get(name) for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}
    progress: list[tuple[int, int]] = []
    result = run_as(rank_ends.counts, pretended, monkeypatch, lambda *step: progress.append(step))
    assert result.map50_95 == 0.5
    assert progress == [(1, 3), (2, 3), (3, 3)]
    told = [ast.literal_eval((tmp_path / str(number)).read_text()) for number in range(3)]
    assert len({each.pop("process") for each in told}) == 3
    assert told == [{"device": "cpu", "threads": 2, "processes": "3"}] * 3
    assert {name: os.environ.get(name) for name in before} == before
    assert_nobody_is_left()


@pytest.mark.parametrize(
    ("inside", "error", "said"),
    [
        (rank_ends.finds_no_number, NotANumberError, "loss is nan at iteration 3"),
        (rank_ends.is_told_what_is_wrong, UserError, "The validation set of x has no label"),
        (rank_ends.cannot_be_pickled, RuntimeError, "UnpicklableError: ab"),
        (rank_ends.is_killed, OutOfMemoryError, r"process 2 of 3 \(device cpu\) of the training was killed"),
        (rank_ends.is_killed_and_missed, OutOfMemoryError, r"process 2 of 3 \(device cpu\) of the training was killed"),
        (rank_ends.crashes, RuntimeError, r"process 2 of 3 \(device cpu\) of the training ended with exit code -11"),
    ],
)
def test_the_end_of_one_is_everybodys_and_has_its_reason(
    pretended: Training,
    monkeypatch: pytest.MonkeyPatch,
    inside: Callable[..., None],
    error: type[Exception],
    said: str,
) -> None:
    with pytest.raises(error, match=said):
        run_as(inside, pretended, monkeypatch)
    assert_nobody_is_left()


def test_who_watches_may_end_it(pretended: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_as(rank_ends.counts, pretended, monkeypatch, stop)
    assert_nobody_is_left()


_PARENT = """
if __name__ == "__main__":
    import sys
    from harness.measure import data_parallel
    from tests.measure import rank_ends
    from tests.measure.pretended import pretended_training
    data_parallel._run = rank_ends.goes_on
    data_parallel.train_on_several(pretended_training(sys.argv[1], "cpu,cpu"))
"""


@pytest.mark.slow
def test_they_end_with_whoever_asked_for_them_even_if_it_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(_PARENT)
    seen = tmp_path / "seen"
    seen.mkdir()
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    parent = subprocess.Popen([sys.executable, str(script), str(seen)], env=environment)
    ranks: list[psutil.Process] = []
    until = time.monotonic() + 60
    while len(ranks) < 2 and time.monotonic() < until:
        time.sleep(0.05)
        ranks = [psutil.Process(int(path.name)) for path in seen.iterdir()]
    parent.kill()
    parent.wait()
    assert len(ranks) == 2
    gone, alive = psutil.wait_procs(ranks, timeout=20)
    assert len(gone) == 2 and not alive
