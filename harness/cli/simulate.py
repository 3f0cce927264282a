"""The command `clo simulate`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import Json, choice
from harness.cli.printing import print_json, print_table
from harness.common.errors import UserError
from harness.common.isolation import usable_cores
from harness.record.own_files import refuse_others
from harness.record.settings import Sampler

_PICTURES = (".png", ".svg")


def simulate(
    table: Annotated[Path, typer.Argument(help="CSV of finished trainings; a study's trials.csv is one.")],
    parameters: Annotated[
        str, typer.Option(help="Comma-separated columns that together name a model.", metavar="COLUMNS")
    ],
    maximize: Annotated[str, typer.Option(help="Column of the accuracy.", metavar="COLUMN")],
    minimize: Annotated[str, typer.Option(help="Column of the cost.", metavar="COLUMN")],
    known_cost: Annotated[
        str | None,
        typer.Option(help="Column that is known before a training. \\[default: the minimised one]", metavar="COLUMN"),
    ] = None,
    sampler: Annotated[
        str, typer.Option(help=f"Comma-separated: {', '.join(Sampler)}.", metavar="SAMPLERS")
    ] = "cost-aware,tpe,nsga2,random",
    budget: Annotated[int, typer.Option(help="Trainings of a search.")] = 200,
    seeds: Annotated[int, typer.Option(help="Searches with each sampler.")] = 20,
    seed: Annotated[int, typer.Option(help="First seed.")] = 0,
    workers: Annotated[int, typer.Option(help="Trainings at once in each search.")] = 1,
    cost_error: Annotated[
        float, typer.Option(help="Relative standard deviation of the cost that is known beforehand.")
    ] = 0.0,
    noise: Annotated[
        float, typer.Option(help="Standard deviation of a reading of accuracy, as a share of the table's range.")
    ] = 0.0,
    jobs: Annotated[int | None, typer.Option(help="Processes. \\[default: one a core]")] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture of the curves to write, .png or .svg.")] = None,
    as_json: Json = False,
) -> None:
    """Replay searches on a table of finished trainings, to tell how many trainings a sampler needs.

    The samplers are the very ones of `clo search`. A combination that the table lacks is infeasible; to ask for a
    known model again costs nothing, but is counted. Hypervolumes are shares of the true front's.
    """
    samplers = list(dict.fromkeys(choice("--sampler", Sampler, name.strip()) for name in sampler.split(",")))
    if known_cost not in {None, minimize}:
        raise UserError(
            f"--known-cost {known_cost}: what is known beforehand is the cost that is minimised, {minimize}"
        )
    for option, count, least in (
        ("--budget", budget, 1), ("--seeds", seeds, 1), ("--seed", seed, 0), ("--workers", workers, 1),
        ("--jobs", jobs, 1),
    ):  # fmt: skip
        if count is not None and count < least:
            raise UserError(f"{option} {count}: {least} or more")
    for option, share in (("--cost-error", cost_error), ("--noise", noise)):
        if not (math.isfinite(share) and share >= 0):
            raise UserError(f"{option} {share}: a share is 0 or more, such as 0.1")
    kind = "" if plot is None else plot.suffix.removeprefix(".").lower()
    if plot is not None:
        refuse_others("--plot", plot, _PICTURES, "a picture")

    from harness.search.simulate import Conditions
    from harness.search.simulate import simulate as run
    from harness.search.simulation_summary import curves, rows_of, summarize
    from harness.search.table import read_table

    names = [name.strip() for name in parameters.split(",")]
    trainings = read_table(table, parameters=names, maximize=maximize, minimize=minimize)
    conditions = Conditions(budget=budget, workers=workers, cost_error=cost_error, noise=noise)
    with _progress(len(samplers) * seeds) as advance:
        replays = run(
            trainings, samplers, range(seed, seed + seeds), conditions, jobs=jobs or usable_cores(), after_each=advance
        )
    by_name = {str(name): found for name, found in replays.items()}
    results = [summarize(name, found) for name, found in by_name.items()]
    title = f"{table.name}: {len(trainings.cost)} models, {maximize} against {minimize}, {seeds} seeds"
    if plot is not None:
        from harness.common.atomic import write_whole
        from harness.report.png import draw_sampler_curves

        write_whole(plot, draw_sampler_curves(curves(by_name), title, kind))
    if as_json:
        print_json(
            {
                "table": str(table), "models": len(trainings.cost), "parameters": names, "maximize": maximize,
                "minimize": minimize, "known_cost": minimize, **asdict(conditions), "seed": seed, "seeds": seeds,
                "plot": str(plot) if plot else None, "results": [result.to_dict() for result in results],
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
