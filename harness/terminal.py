"""The search on the terminal: a live view for people, plain lines where nobody looks."""

from __future__ import annotations

import sys
import time
from collections import deque
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.architecture import BASELINE
from harness.records import StudyRecord

_ROWS = 12
_NOTES = 4


def seconds(value: float) -> str:
    """Minutes and seconds, such as `3:07`."""
    return f"{int(value) // 60}:{int(value) % 60:02d}"


def space_line(summary: dict[str, Any]) -> str:
    """Size and cost of a space in one line."""
    macs = " … ".join(f"{summary[f'macs_{q}'] / 1e6:.1f}" for q in ("min", "median", "max"))
    params = " … ".join(f"{summary[f'params_{q}'] / 1e6:.2f}" for q in ("min", "median", "max"))
    return (
        f"space {summary['name']}: {summary['size']:,} candidates{_within(summary)}; "
        f"MACs {macs} M (base {summary['macs_base'] / 1e6:.1f}); "
        f"parameters {params} M (base {summary['params_base'] / 1e6:.2f})  [min … median … max]"
    )


def _within(summary: dict[str, Any]) -> str:
    """How many candidates are within the bounds on cost, if there are any."""
    if "feasible_share" not in summary:
        return ""
    counted, share = summary["feasible"], summary["feasible_share"]
    many = f"{counted:,}" if counted is not None else f"about {100 * share:.2g} %" if share else "hardly any"
    return f", {many} within the bounds"


class Lines:
    """One line an event, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._seen = 0

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
        """A line."""
        self._say(text)

    def begin(self, trial: int, text: str) -> None:
        """A line that begins with the trial's number, as its last one will."""
        self._say(f"#{trial} {text}")

    def progress(self, done: int, total: int, trial: int | None = None) -> None:
        """Not worth a line."""

    def space(self, summary: dict[str, Any]) -> None:
        """A line."""
        self._say(space_line(summary))

    def finished(self, record: StudyRecord, trial: int) -> None:
        """What came of the training."""
        row = record.trials.set_index("trial").loc[trial]
        if row.state == "complete":
            text = f"mAP50-95 {row.map50_95:.4f}, gain {row.gain_map50_95:+.4f}, {row.train_seconds:.0f} s"
            ratio = f", latency ×{row.latency_ratio:.2f}" if row.latency_ratio == row.latency_ratio else ""
        else:
            text, ratio = f"{row.state}: {row.reason}", ""
        self._say(f"#{trial} {row.architecture} seed {row.seed}: {text}{ratio}")

    def note(self, text: str) -> None:
        """A line."""
        self._say(text)


class Quiet(Lines):
    """Says nothing until the end."""

    def _say(self, text: str) -> None: ...


class _Line:
    """What runs, and how far it is."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.started = time.monotonic()
        self.done, self.total = 0, 0

    def progress(self, done: int, total: int) -> None:
        """Move the bar; steps of another kind begin a new one."""
        if total != self.total:
            self.started = time.monotonic()
        self.done, self.total = done, total

    def left(self) -> str:
        """The time that it will still take."""
        if not self.done:
            return ""
        elapsed = time.monotonic() - self.started
        return f"about {seconds(elapsed / self.done * (self.total - self.done))} left"


class LiveView:
    """A view that is redrawn in place: what runs now, how far it is, and the table so far."""

    def __init__(self, console: Console, title: str) -> None:
        self._title = title
        self._started = time.monotonic()
        self._lines: dict[int | None, _Line] = {None: _Line("starting")}
        self._space = ""
        self._record: StudyRecord | None = None
        self._notes: deque[str] = deque(maxlen=_NOTES)
        self._live = Live(console=console, get_renderable=self.render, refresh_per_second=4)

    def __enter__(self) -> LiveView:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def phase(self, text: str) -> None:
        """Show it alone, with a fresh bar."""
        self._lines = {None: _Line(text)}

    def begin(self, trial: int, text: str) -> None:
        """Show it below the trainings that run, in place of the phase."""
        others = self._lines.copy()
        others.pop(None, None)
        self._lines = {**others, trial: _Line(text)}  # a new one: another thread may be drawing the old

    def progress(self, done: int, total: int, trial: int | None = None) -> None:
        """Move its bar."""
        self._lines[trial].progress(done, total)

    def space(self, summary: dict[str, Any]) -> None:
        """Keep it in view."""
        self._space = space_line(summary)

    def finished(self, record: StudyRecord, trial: int) -> None:
        """Show the table so far, and the training no more."""
        self._record = record
        self._lines = {number: line for number, line in self._lines.items() if number != trial}

    def note(self, text: str) -> None:
        """Keep it in view until newer ones push it out."""
        self._notes.append(text)

    def render(self) -> RenderableType:
        """The whole view."""
        elapsed = seconds(time.monotonic() - self._started)
        parts: list[RenderableType] = [Text.assemble((self._title, "bold"), f"   {elapsed}", overflow="fold")]
        if self._space:
            parts.append(Text(self._space, style="dim"))
        for line in self._lines.values():
            parts.append(Text(f"▶ {line.text}", style="cyan"))
            if line.total:
                bar = Table.grid(padding=(0, 1))
                bar.add_row(
                    ProgressBar(total=line.total, completed=line.done, width=40),
                    f"{line.done}/{line.total}",
                    line.left(),
                )
                parts.append(bar)
        parts += [Text(f"• {note}", style="dim") for note in self._notes]
        if self._record is not None:
            parts.append(trials_table(self._record))
        return Group(*parts)


def trials_table(record: StudyRecord) -> Table:
    """The baseline and the candidates by mean gain of their longest trainings, best first."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("architecture", "epochs", "seeds", "mAP50-95", "gain", "latency", "MACs M", "blocks"):
        table.add_column(
            name, justify="left" if name in {"architecture", "blocks"} else "right", no_wrap=name != "blocks"
        )
    done = record.trials[record.trials.state == "complete"]
    longest = done[done.epochs == done.groupby("architecture").epochs.transform("max")]
    means = longest.groupby("architecture").agg(
        epochs=("epochs", "first"), seeds=("seed", "size"), map50_95=("map50_95", "mean"),
        gain=("gain_map50_95", "mean"),
    )  # fmt: skip
    means[["ratio", "macs"]] = done.groupby("architecture")[["latency_ratio", "macs"]].first()  # known with the first
    ranked = means.drop(index=BASELINE, errors="ignore").sort_values("gain", ascending=False).head(_ROWS)
    for identity, row in [*means.loc[means.index == BASELINE].iterrows(), *ranked.iterrows()]:
        architecture = record.architectures[str(identity)]
        table.add_row(
            str(identity), str(int(row.epochs)), str(int(row.seeds)), f"{row.map50_95:.4f}",
            "" if identity == BASELINE else f"{row.gain:+.4f}",
            f"×{row.ratio:.2f}", f"{row.macs / 1e6:.1f}", architecture.describe(),
        )  # fmt: skip
    failed = record.trials[(record.trials.state != "complete") & (record.trials.finished != "")]  # "": still running
    for failure in failed.itertuples():
        table.add_row(
            str(failure.architecture),
            str(failure.epochs),
            "",
            str(failure.state),
            "",
            "",
            "",
            str(failure.reason),
            style="red",
        )
    return table


def observer(title: str, *, quiet: bool, machine: bool) -> Lines | LiveView:
    """The watcher that suits where the output goes; with `machine`, people's lines go to standard error."""
    console = Console(stderr=machine)
    if quiet:
        return Quiet(console)
    if console.is_terminal and sys.stdout.isatty() and not machine:
        return LiveView(console, title)
    return Lines(console)
