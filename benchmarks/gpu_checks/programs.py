"""What a user runs: a small search on a GPU, and a training that asks for more memory than there is."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks.gpu_checks.outcome import Outcome
from harness.architecture import BASELINE
from harness.common.isolation import cache_folder
from harness.data.check import check_dataset
from harness.detectors import resolve_base
from harness.jobs.place import find_place
from harness.record.settings import EMBEDDED_DATA
from harness.record.state import Failure, State
from harness.storage.records import load_record
from harness.training.accuracy import Accuracy, Schedule, Training, train

CANDIDATES, SEEDS, FINALISTS = 3, 2, 1
ROWS = 1 + CANDIDATES + (SEEDS - 1) * (1 + FINALISTS)
"""The baseline and each candidate once, then the baseline and the finalists with the other seeds."""
SEARCH_SECONDS = 420
"""Most seconds that the search may take."""
STUDY = "gpu"
ABSURD_BATCH = 100_000
_SMALL_MEMORY = 2**30
"""Bytes of GPU memory that the training of an absurd batch may take: the embedded data would fit into a large GPU."""


def small_search(device: str) -> Outcome:
    """A whole search as a program of its own: its exit code, and a complete row for every training."""
    with tempfile.TemporaryDirectory() as folder:
        options = {
            "device": device, "trials": CANDIDATES, "finalists": FINALISTS, "seeds": SEEDS, "study": STUDY,
            "results": folder,
        }  # fmt: skip
        typed = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        done = subprocess.run(
            [sys.executable, "-m", "harness", "search", "--quiet", *typed],
            capture_output=True, text=True, timeout=SEARCH_SECONDS, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            last = (done.stderr.strip() or "nothing on standard error").splitlines()[-1]
            return Outcome(measured=f"exit code {done.returncode}: {last}", limit="exit code 0", passed=False)
        rows = load_record(f"sqlite:///{(Path(folder) / STUDY / 'study.db').as_posix()}", STUDY).trials
    return judge_search(rows, amp=torch.cuda.is_available() and torch.cuda.is_bf16_supported())


def judge_search(rows: pd.DataFrame, *, amp: bool) -> Outcome:
    """Whether every row that such a search has is there, complete, with accuracy, gain and latency.

    Args:
        rows: `StudyRecord.trials`.
        amp: Whether the trainer used mixed precision, as it does wherever the GPU has bfloat16.
    """
    complete = rows[(rows["state"] == State.COMPLETE) & rows["gain_map50_95"].notna()]
    timed = complete[complete["latency_ratio"].notna()]
    control = rows.loc[rows["architecture"] == BASELINE, "map50_95"].mean()
    return Outcome(
        measured=f"exit code 0; {len(complete)} of {len(rows)} rows complete, {len(timed)} with latency, baseline "
        f"mAP50-95 {control:.3f}, {'bf16 AMP' if amp else 'float32: this GPU has no bfloat16'}",
        limit=f"{ROWS} complete rows, {1 + CANDIDATES} with latency",
        passed=len(rows) == len(complete) == ROWS and len(timed) == 1 + CANDIDATES,
    )


def out_of_memory(device: str) -> Outcome:
    """A training with an absurd batch, in a child as a search runs it: it ends as a failure with its reason."""
    base = resolve_base("yolov5n")
    data = check_dataset(EMBEDDED_DATA, 640, cache=cache_folder())
    training = Training(
        config=base.config,
        data=str(data.path),
        classes=len(data.names),
        schedule=Schedule(epochs=1, batch=ABSURD_BATCH, imgsz=640, learning_rate=1e-3),
        seed=0,
        device=device,
        threads=2,
        base_config=base.config,
        base_weights=None,
        layers={index: index for index in range(len(base.build().model))},
    )
    with tempfile.TemporaryDirectory() as folder:
        place = find_place(device="cpu", workers=1, threads=1)  # any child of this machine
        return judge_failure(place.run_alone(_train_in_little_memory, training, log=Path(folder) / "log"))


def judge_failure(result: object) -> Outcome:
    """Whether a training failed for want of memory, and said so."""
    return Outcome(
        measured=f"{result.state}: {result.reason}" if isinstance(result, Failure) else f"trained: {result}",
        limit=f"a failure recorded as {State.OUT_OF_MEMORY}",
        passed=isinstance(result, Failure) and result.state is State.OUT_OF_MEMORY,
    )


def _train_in_little_memory(training: Training, _report: Callable[[Any], None]) -> Accuracy:
    """Train with a cap on the GPU's memory; runs in the child."""
    number = int(training.device)
    torch.cuda.set_per_process_memory_fraction(_SMALL_MEMORY / torch.cuda.mem_get_info(number)[1], number)
    return train(training)
