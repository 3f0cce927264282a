"""Where the campaign takes place: small data, a fixed list of architectures, and the undisturbed run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.fault_checks.program import Program
from benchmarks.fault_checks.rows import Figures, Key, complete, read_rows

ARCHITECTURES = {
    "a": "{site: neck.P4_up, kind: attention, init: residual, groups: [[5, 2]], global_heads: 6, kv_pool: 1}",
    "b": "{site: backbone.P5, kind: attention, init: residual, groups: [[5, 2]], global_heads: 2, kv_pool: 1}",
    "c": "{site: neck.P4, kind: block, init: residual, groups: [[7, 1]], global_heads: 3, kv_pool: 1, ffn_ratio: 2.0, "
    "ffn_kernel: 5}",
}
"""The candidates, all of the default space: names of architecture files and the placements in them."""
OPTIONS = {
    "imgsz": "64", "base-epochs": "40", "batch": "8", "rungs": "1x1, 2x1", "latency-seconds": "0.2", "workers": "1",
    "threads": "1", "device": "cpu", "objectives": "map50_95,macs",
}  # fmt: skip
"""One seed, one thread, no objective that depends on the machine's load: a run can be repeated to the last digit.

The baseline and every candidate climb both rungs, so that half of the trainings go on from a kept checkpoint.
"""


@dataclass(kw_only=True)
class Ground:
    """The campaign's folder and what holds in it.

    Attributes:
        folder: Holds everything, the studies' results included.
        data: Dataset YAML.
        architectures: The candidates, as `ARCHITECTURES`.
        options: Of `clo search`, by name.
        undisturbed: What each training yields when nothing disturbs it; empty until `run_undisturbed`.
        seconds: How long a whole run takes, its start and its report included.
        started: Every program that was started here.
    """

    folder: Path
    data: Path
    architectures: Mapping[str, str]
    options: Mapping[str, str]
    undisturbed: dict[Key, Figures] = field(default_factory=dict)
    seconds: float = 0.0
    started: list[Program] = field(default_factory=list)

    @classmethod
    def make(cls, folder: Path, names: str = "abc", **options: str) -> Ground:
        """Write data and architecture files.

        Args:
            folder: Exists.
            names: Which of `ARCHITECTURES` are trained.
            options: What differs from `OPTIONS`.
        """
        from harness.data.digits import DigitsSettings, ensure_digits

        easy = DigitsSettings(
            train_images=48, val_images=24, height_min=24, height_max=60, contrast_min=90, contrast_max=140
        )
        chosen = {name: ARCHITECTURES[name] for name in names}
        for name, placement in chosen.items():
            (folder / f"{name}.yaml").write_text(f"base: yolov5n\nplacements: [{placement}]\n")
        counts = {"trials": str(len(chosen)), "finalists": str(len(chosen))}
        data = ensure_digits(folder / "data", easy)
        return cls(folder=folder, data=data, architectures=chosen, options={**OPTIONS, **counts, **options})

    @property
    def cache(self) -> Path:
        """Where trained bases are kept, so that all runs share one."""
        return self.folder / "cache"

    @property
    def trainings(self) -> int:
        """How many a whole run has: the baseline and every candidate, on each rung."""
        return len(self.options["rungs"].split(",")) * (1 + len(self.architectures))

    def start(self, study: str, results: Path, options: Mapping[str, str]) -> Program:
        """Start `clo search` on the fixed list.

        Args:
            study: The study's name.
            results: Folder that holds the study's.
            options: What differs from the ground's; `include` is a list separated by spaces, what is empty is left out.
        """
        asked = {**self.options, "data": str(self.data), "results": str(results), "study": study, **options}
        files = asked.pop("include", " ".join(f"{name}.yaml" for name in self.architectures)).split()
        pairs = [*asked.items(), *(("include", file) for file in files)]
        typed = ["search", *(text for name, value in pairs if value for text in (f"--{name}", value))]
        isolated = {"CLO_NAS_CACHE": str(self.cache), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
        program = Program(typed, folder=self.folder, mark=study, environment=isolated)
        self.started.append(program)
        return program

    def end_all(self) -> None:
        """Kill what still runs: a scenario that broke, or a Ctrl-C of the whole campaign, leaves a search behind."""
        for program in self.started:
            if program.runs():
                program.kill()
        self.started.clear()

    def run_undisturbed(self) -> None:
        """Train everything once, the pretrained baseline before.

        Raises:
            RuntimeError: Not even that works.
        """
        study, results = "undisturbed", self.folder / "results"
        run = self.start(study, results, {})
        began = time.monotonic()
        run.run_until(lambda: any(self.cache.glob("bases/*.json")))
        base = time.monotonic()
        if code := run.wait():
            raise RuntimeError(f"the undisturbed search ended with exit code {code}:\n{run.said()}")
        self.seconds = time.monotonic() - base + min(3.0, base - began)  # the program has to start in any run
        rows = complete(read_rows(sqlite_url(results, study), study))
        self.undisturbed = {row.key: row.figures for row in rows}
        told_apart = len({figures.map50_95 for figures in self.undisturbed.values()})
        if len(self.undisturbed) != self.trainings or told_apart <= self.trainings // 2:
            raise RuntimeError(f"the undisturbed search is no standard to measure others by: {self.undisturbed}")


def sqlite_url(results: Path, study: str) -> str:
    """A study's storage where none was named."""
    return f"sqlite:///{(results / study / 'study.db').as_posix()}"
