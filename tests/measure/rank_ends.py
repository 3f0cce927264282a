"""What happens inside the processes of a training on several devices, instead of a training, or watched.

Each function takes the place of `data_parallel._run`; the processes find it by this module's name.
"""

from __future__ import annotations

import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.measure import data_parallel
from harness.measure.training import Accuracy, NotANumberError, Training

RUN = data_parallel._run
TRAIN = data_parallel._train


def rank() -> int:
    return int(os.environ["RANK"])


def pretends(inside: Any, *given: Any) -> None:
    data_parallel._train = inside
    RUN(*given)


def finds_no_number(*given: Any) -> None:
    def inside(*_: Any) -> None:
        if rank() == 1:
            raise NotANumberError("loss is nan at iteration 3")
        time.sleep(60)

    pretends(inside, *given)


def is_told_what_is_wrong(*given: Any) -> None:
    def inside(*_: Any) -> None:
        raise UserError("The validation set of x has no label")

    pretends(inside, *given)


class UnpicklableError(Exception):
    """Its copy could not be made."""

    def __init__(self, one: str, another: str) -> None:
        super().__init__(one + another)


def cannot_be_pickled(*given: Any) -> None:
    def inside(*_: Any) -> None:
        raise UnpicklableError("a", "b")

    pretends(inside, *given)


def dies(number: int, other: str | None, *given: Any) -> None:
    """One is killed; the other one waits, or says what that does to it."""

    def inside(*_: Any) -> None:
        if rank() == 1:
            os.kill(os.getpid(), number)
        time.sleep(1 if other else 60)
        raise RuntimeError(other)

    pretends(inside, *given)


def is_killed(*given: Any) -> None:
    dies(signal.SIGKILL, None, *given)


def is_killed_and_missed(*given: Any) -> None:
    dies(signal.SIGKILL, "Connection closed by peer", *given)


def crashes(*given: Any) -> None:
    dies(signal.SIGSEGV, None, *given)


def counts(*given: Any) -> None:
    """Three steps, and how long each was held up; then what each process was told."""

    def inside(pipe: Connection, training: Training, meeting_point: str) -> Accuracy | None:
        folder = Path(training.data)
        told = {"device": training.device, "threads": training.threads, "processes": os.environ["WORLD_SIZE"]}
        (folder / str(rank())).write_text(repr({**told, "process": os.getpid()}))
        if rank():
            return None
        assert Path(meeting_point).parent.is_dir()
        for done in range(1, 4):
            pipe.send((done, 3))
            pipe.recv()
        return Accuracy(map50_95=0.5, map50=0.6, evaluator="nobody", train_seconds=1, transferred="")

    pretends(inside, *given)


def goes_on(*given: Any) -> None:
    def inside(_pipe: Connection, training: Training, _meeting_point: str) -> None:
        (Path(training.data) / str(os.getpid())).touch()
        time.sleep(60)

    pretends(inside, *given)


def watched(*given: Any) -> None:
    """The real training; each process keeps what it saw and what came of it, step by step."""

    def inside(pipe: Connection, training: Training, meeting_point: str) -> Accuracy | None:
        import torch

        from harness.measure.rank_trainer import RankTrainer

        steps: list[dict[str, Any]] = []
        batch: dict[str, Any] = {}
        preprocess, step = RankTrainer.preprocess_batch, RankTrainer.optimizer_step

        def keep_batch(self: Any, new: dict[str, Any]) -> dict[str, Any]:
            found: dict[str, Any] = preprocess(self, new)
            batch.update({name: value.clone() for name, value in found.items() if torch.is_tensor(value)})
            batch["im_file"] = found["im_file"]
            return found

        def keep_step(self: Any) -> None:
            named = dict(self.model.module.named_parameters())
            gradients = {name: tensor.grad.clone() for name, tensor in named.items() if tensor.grad is not None}
            step(self)
            steps.append(
                {
                    "batch": dict(batch),
                    "gradients": gradients,
                    "weights": {name: tensor.detach().clone() for name, tensor in named.items()},
                }
            )

        RankTrainer.preprocess_batch = keep_batch
        RankTrainer.optimizer_step = keep_step  # type: ignore[method-assign]
        result = TRAIN(pipe, training, meeting_point)
        torch.save(steps, Path(os.environ["KEEP_STEPS_IN"]) / f"{rank()}.pt")
        return result

    pretends(inside, *given)


def loses_its_number(*given: Any) -> None:
    """The real training, in which the second process's loss is no number in the second step."""

    def inside(pipe: Connection, training: Training, meeting_point: str) -> Accuracy | None:
        from harness.measure.rank_trainer import RankTrainer

        finite = RankTrainer.loss_is_finite

        def spoilt(self: Any) -> bool:
            if rank() == 1 and self._iteration == 1:
                self.loss = self.loss * float("nan")
            return finite(self)

        RankTrainer.loss_is_finite = spoilt  # type: ignore[method-assign]
        return TRAIN(pipe, training, meeting_point)

    pretends(inside, *given)
