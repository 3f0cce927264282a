"""The search on the terminal where nobody looks: a line an event, or none."""

from __future__ import annotations

import time

from rich.console import Console

from harness.jobs.progress import Step, Work
from harness.record.state import State
from harness.record.study import StudyRecord
from harness.record.surroundings import SpaceSummary
from harness.terminal.expected_end import ExpectedEnd, seconds


def space_line(summary: SpaceSummary) -> str:
    """Format size and cost of a space in one line."""
    macs = (summary.macs_min, summary.macs_median, summary.macs_max)
    params = (summary.params_min, summary.params_median, summary.params_max)
    return (
        f"space {summary.name}: {summary.size:,} candidates{_within(summary)}; "
        f"MACs {' … '.join(f'{each / 1e6:.1f}' for each in macs)} M (base {summary.macs_base / 1e6:.1f}); "
        f"parameters {' … '.join(f'{each / 1e6:.2f}' for each in params)} M (base {summary.params_base / 1e6:.2f})"
        "  [min … median … max]"
    )


def _within(summary: SpaceSummary) -> str:
    """Say how many candidates are within the bounds on cost, if there are bounds."""
    counted, share = summary.feasible, summary.feasible_share
    if share is None:
        return ""
    many = f"{counted:,}" if counted is not None else f"about {100 * share:.2g} %" if share else "hardly any"
    return f", {many} within the bounds"


# Steps of a training, which has a line when it begins and one when it ends.
_SAID_OTHERWISE = {"training", "latency"}


class Lines:
    """One line an event, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._end = ExpectedEnd()
        self._doing: tuple[int | None, str] | None = None

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None: ...

    def _say(self, text: str) -> None:
        self._console.print(
            f"[{seconds(time.monotonic() - self._started)}] {text}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    def phase(self, text: str) -> None:
        """Print a line."""
        self._say(text)

    def begin(self, trial: int, text: str) -> None:
        """Print a line that begins with the trial's number, as its last one will."""
        self._end.begin(trial)
        self._say(f"#{trial} {text}")

    def progress(self, step: Step, trial: int | None = None) -> None:
        """Print a line only where something begins that a phase consists of, or somebody is waited for."""
        if step.doing not in _SAID_OTHERWISE and (trial, step.doing) != self._doing:
            self._say(step.doing if trial is None else f"#{trial} {step.doing}")
        self._doing = trial, step.doing
        self._end.progress(step, trial)

    def plan(self, work: Work) -> None:
        """Keep the remaining work, to be told with the training that ended."""
        self._end.plan(work)

    def space(self, summary: SpaceSummary) -> None:
        """Print a line."""
        self._say(space_line(summary))

    def finished(self, record: StudyRecord, trial: int) -> None:
        """Print what came of the training, and when all will be over."""
        self._end.finished(record, trial)
        row = record.trials.set_index("trial").loc[trial]
        if row.state == State.COMPLETE:
            gain = f", gain {row.gain_map50_95:+.4f}" if row.gain_map50_95 == row.gain_map50_95 else ""
            text = f"mAP50-95 {row.map50_95:.4f}{gain}, {row.train_seconds:.0f} s"
            ratio = f", latency ×{row.latency_ratio:.2f}" if row.latency_ratio == row.latency_ratio else ""
        else:
            text, ratio = f"{row.state}: {row.reason}", ""
        end = f"; {self._end}" if str(self._end) else ""
        self._say(f"#{trial} {row.architecture} seed {row.seed}: {text}{ratio}{end}")

    def note(self, text: str) -> None:
        """Print a line."""
        self._say(text)


class Quiet(Lines):
    """Says nothing until the end."""

    def _say(self, text: str) -> None: ...
