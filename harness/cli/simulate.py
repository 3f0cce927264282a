"""The command `clo simulate`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ConfigDict, Field

from harness.cli.fields import options_of
from harness.cli.options import Json, choice
from harness.cli.printing import print_json, print_table
from harness.common.errors import UserError
from harness.common.isolation import usable_cores
from harness.record.own_files import refuse_others
from harness.record.run_settings import settings_of
from harness.record.settings import Sampler

_PICTURES = (".png", ".svg")


class SimulateSettings(BaseModel):
    """How searches are replayed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    known_cost: str | None = Field(
        default=None, description="Column that is known before a training. [default: the minimised one]"
    )
    sampler: str = Field(
        default="cost-aware,tpe,nsga2,random",
        description=f"Comma-separated: {', '.join(Sampler)}. [default: cost-aware,tpe,nsga2,random]",
    )
    budget: int = Field(default=200, ge=1, description="Trainings of a search. [default: 200]")
    seeds: int = Field(default=20, ge=1, description="Searches with each sampler. [default: 20]")
    seed: int = Field(default=0, ge=0, description="First seed. [default: 0]")
    workers: int = Field(default=1, ge=1, description="Trainings at once in each search. [default: 1]")
    cost_error: float = Field(
        default=0.0,
        ge=0,
        description="Relative standard deviation of the cost that is known beforehand. [default: 0]",
    )
    noise: float = Field(
        default=0.0,
        ge=0,
        description="Standard deviation of a reading of accuracy, as a share of the table's range. [default: 0]",
    )
    jobs: int | None = Field(default=None, ge=1, description="Processes. [default: one a core]")


@options_of(SimulateSettings)
def simulate(
    given: Mapping[str, Any],
    table: Annotated[Path, typer.Argument(help="CSV of finished trainings; a study's trials.csv is one.")],
    parameters: Annotated[
        str, typer.Option(help="Comma-separated columns that together name a model.", metavar="COLUMNS")
    ],
    maximize: Annotated[str, typer.Option(help="Column of the accuracy.", metavar="COLUMN")],
    minimize: Annotated[str, typer.Option(help="Column of the cost.", metavar="COLUMN")],
    plot: Annotated[Path | None, typer.Option(help="Picture of the curves to write, .png or .svg.")] = None,
    as_json: Json = False,
) -> None:
    """Replay searches on a table of finished trainings, to tell how many trainings a sampler needs.

    The samplers are the very ones of `clo search`. A combination that the table lacks is infeasible; to ask for a
    known model again costs nothing, but is counted. Hypervolumes are shares of the true front's.
    """
    asked = settings_of(SimulateSettings, **given)
    samplers = list(dict.fromkeys(choice("--sampler", Sampler, name.strip()) for name in asked.sampler.split(",")))
    if asked.known_cost not in {None, minimize}:
        raise UserError(
            f"--known-cost {asked.known_cost}: what is known beforehand is the cost that is minimised, {minimize}"
        )
    kind = "" if plot is None else plot.suffix.removeprefix(".").lower()
    if plot is not None:
        refuse_others("--plot", plot, _PICTURES, "a picture")

    from harness.search.simulate import Conditions
    from harness.search.simulate import simulate as run
    from harness.search.simulation_summary import curves, rows_of, summarize
    from harness.search.table import read_table

    names = [name.strip() for name in parameters.split(",")]
    trainings = read_table(table, parameters=names, maximize=maximize, minimize=minimize)
    conditions = Conditions(**asked.model_dump(include={each.name for each in fields(Conditions)}))
    with _progress(len(samplers) * asked.seeds) as advance:
        seeds = range(asked.seed, asked.seed + asked.seeds)
        replays = run(trainings, samplers, seeds, conditions, jobs=asked.jobs or usable_cores(), after_each=advance)
    by_name = {str(name): found for name, found in replays.items()}
    results = [summarize(name, found) for name, found in by_name.items()]
    title = f"{table.name}: {len(trainings.cost)} models, {maximize} against {minimize}, {asked.seeds} seeds"
    if plot is not None:
        from harness.common.atomic import write_whole
        from harness.report.png import draw_sampler_curves

        write_whole(plot, draw_sampler_curves(curves(by_name), title, kind))
    if as_json:
        print_json(
            {
                "table": str(table), "models": len(trainings.cost), "parameters": names, "maximize": maximize,
                "minimize": minimize, "known_cost": minimize, **asdict(conditions), "seed": asked.seed,
                "seeds": asked.seeds, "plot": str(plot) if plot else None,
                "results": [result.to_dict() for result in results],
            }
        )  # fmt: skip
        return
    print(title)
    print_table(*rows_of(results))
    print("after: hypervolume in % of the true front's, median (quartiles); to: trainings to that share, median")
    if plot is not None:
        print(plot)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """Show a bar on standard error, where somebody looks; yield what advances it."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("searches", total=total)
        yield lambda: bar.advance(task)
