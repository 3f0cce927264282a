"""`clo search`: its options, and how they become settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import typer

from harness.cli.fields import options_of
from harness.cli.options import Images, Json, Log, Quiet, typed_command
from harness.common.duration import parse_duration
from harness.common.errors import UserError
from harness.record.constraints import Constraints
from harness.record.run_settings import ClusterSettings, cluster_settings, option_of
from harness.record.settings import SearchSettings, data_name, search_settings

_COUNTS, TIMES = ("max_params", "max_macs"), ("timeout_s", "worker_timeout_s")


@options_of(SearchSettings, texts=("objectives", *_COUNTS, *TIMES))
def search(
    given: Mapping[str, Any],
    images: Images = True,
    random: Annotated[
        int | None,
        typer.Option(
            help="Random members of the space to train as well: what the pick gains over them is what searching gave.",
            metavar="MEMBERS",
        ),
    ] = None,
    ruler: Annotated[
        bool,
        typer.Option(
            "--ruler",
            help="Train the next size of the base alike (yolov5s of yolov5n): is a block worth more?",
        ),
    ] = False,
    log: Log = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Propose candidates, measure and train them, write the Pareto report.

    Run the same command again to finish what is missing: nothing is trained twice.
    """
    from harness.terminal import observer

    if log:
        from harness.cli.studies import check_trackers

        check_trackers(log)
    settings = search_settings(**typed(given))
    title = f"clo search · {settings.study} · {settings.base} on {data_name(settings.data)} at {settings.imgsz} px"
    interrupted = False
    with observer(title, quiet=quiet, machine=as_json) as watch:
        watch.phase("loading torch and Ultralytics")
        from harness.ablation.scale import check_random, check_ruler, train_random, train_ruler
        from harness.cli.studies import close, send_on, write
        from harness.search.run import StoppedError
        from harness.search.run import search as run

        if random is not None:
            check_random(settings, random)
        if ruler:
            check_ruler(settings)
        try:
            record = run(settings, watch, typed_command())
        except StoppedError as stopped:
            record, interrupted = stopped.record, True
        watch.phase("writing the report")
        folder = settings.results / record.name
        said = write(record, folder, images=images)
        beside = [partial(train_random, settings, random)] if random is not None else []
        if ruler:
            beside.append(partial(train_ruler, settings))
        for train in () if interrupted else beside:
            try:
                trained = train(watch, typed_command())
                write(trained, settings.results / trained.name)
            except KeyboardInterrupt:
                interrupted = True
                break
        if beside:
            watch.phase("writing the report")
            said = write(record, folder, images=images)
    close(record, folder, as_json, said)
    send_on(log, record, folder, as_json)
    if interrupted:
        raise typer.Exit(130)


def typed(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Read the options that are texts, and put those of models in the settings together.

    Raises:
        UserError: One cannot be read.
    """
    values = dict(given)
    constraints = {name: values.pop(name) for name in Constraints.model_fields}
    constraints |= {name: count(option_of(name), constraints[name]) for name in _COUNTS}
    return {
        **typed_run(values),
        "objectives": values["objectives"] and tuple(values["objectives"].split(",")),
        "include": tuple(values["include"] or ()),
        "constraints": {name: value for name, value in constraints.items() if value is not None},
    }


def typed_run(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Read times, and put what was said of a cluster together.

    Raises:
        UserError: One cannot be read.
    """
    values = dict(given)
    times = {name: duration(values[name], option_of(name)) for name in TIMES if name in values}
    cluster = cluster_settings(*[values.pop(name) for name in ClusterSettings.model_fields])
    return {**values, **times, "cluster": cluster}


# No detector has fewer parameters or MACs: a smaller number is one of millions whose M was left out.
_LEAST_COUNT = 1000


def duration(text: str | None, option: str = "--timeout") -> float | None:
    """Parse a time such as 25m, in seconds.

    Raises:
        UserError: It is none.
    """
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UserError(f"{option} {text}: {error}") from None


def count(option: str, text: str | None) -> float | None:
    """Parse a number as reports print it, such as 1.77M.

    Raises:
        UserError: It is none.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+\.?\d*(?:e\d+)?)\s*([kKMG]?)", text.strip())
    if not match:
        raise UserError(f"{option} {text}: not a count; write 1770000, 1.77e6 or 1.77M")
    number = float(match[1]) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[match[2].replace("K", "k")]
    if number < _LEAST_COUNT:
        raise UserError(f"{option} {text}: a detector has far more; for {match[1]} million write {match[1]}M")
    return number
