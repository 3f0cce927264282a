"""`clo search`: its options, and how they become settings."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import (
    Address,
    AllowUnusable,
    AllowValInTrain,
    CpusPerTrial,
    Executor,
    GpusOfOneNode,
    Images,
    Json,
    Log,
    MinGain,
    Quiet,
    Resource,
    Results,
    Storage,
    Timeout,
    typed_command,
)
from harness.common.duration import parse_duration
from harness.common.errors import UserError
from harness.record.cluster_settings import cluster_settings


def search(
    trials: Annotated[
        int | None,
        typer.Option(
            help="Candidates in the study when done, the baseline not counted. \\[default: 10; 4 on the embedded data]"
        ),
    ] = None,
    more: Annotated[int | None, typer.Option(help="Candidates to add to those that the study has.")] = None,
    timeout: Timeout = None,
    data: Annotated[
        str | None,
        typer.Option(help="Dataset YAML or COCO data (instances_train*.json). \\[default: digits, embedded]"),
    ] = None,
    allow_unusable: AllowUnusable = False,
    allow_val_in_train: AllowValInTrain = False,
    base: Annotated[
        str | None,
        typer.Option(
            help="Detector: name (yolov8n, yolo11s, yolov7-tiny …), YAML or trained .pt. \\[default: yolov5n]"
        ),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(help="Space: a YAML, or one that ships by name (default, small, operators, inside, replaced)."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto (CUDA if there), cpu, or numbers of CUDA devices (0,1).")
    ] = None,
    imgsz: Annotated[
        int | None,
        typer.Option(help="Side of the square input, in pixels. \\[default: 640; 128 for the embedded data]"),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Epochs of each candidate and of the baseline's control. \\[default: what 480 steps take, 3 at least]"
        ),
    ] = None,
    base_epochs: Annotated[
        int | None, typer.Option(help="Epochs of the pretrained baseline, trained once and cached.")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Batch size. \\[default: 16; 8 for the embedded data]")] = None,
    seed: Annotated[int | None, typer.Option(help="First seed, the selection seed of all candidates.")] = None,
    seeds: Annotated[
        int | None,
        typer.Option(help="Seeds of the baseline and of each finalist. \\[default: 5; 4 on the embedded data]"),
    ] = None,
    finalists: Annotated[
        int | None,
        typer.Option(
            help="Best candidates that are trained with every seed; with --rungs, that reach the second. "
            "\\[default: 3; 2 on the embedded data]"
        ),
    ] = None,
    rungs: Annotated[
        str | None,
        typer.Option(help="Budget levels, epochs x seeds, such as '3x1, 3x3, 12x4'; one in three is promoted."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="Total budget: '40 trainings', '200 epochs' or '2 h'; sets --trials."),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Peak learning rate (AdamW) of a candidate's training.")
    ] = None,
    block_rate_factor: Annotated[
        float | None, typer.Option(help="Learning-rate multiplier for inserted blocks.")
    ] = None,
    max_params: Annotated[
        str | None,
        typer.Option(
            help="Maximum number of parameters, as 2e6 or 2M; larger candidates are skipped.", metavar="COUNT"
        ),
    ] = None,
    max_macs: Annotated[
        str | None,
        typer.Option(help="Maximum MACs per image, as 5e8 or 500M; larger candidates are skipped.", metavar="COUNT"),
    ] = None,
    max_latency_ratio: Annotated[
        float | None, typer.Option(help="Maximum latency, × the baseline's; slower candidates are never finalists.")
    ] = None,
    min_map50_95: Annotated[
        float | None, typer.Option("--min-map50-95", help="Minimum mAP50-95; candidates below are never finalists.")
    ] = None,
    min_gain: MinGain = None,
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
    required_sites: Annotated[
        list[str] | None, typer.Option("--with", help="Every candidate has a block at this site. Repeatable.")
    ] = None,
    forbidden_sites: Annotated[
        list[str] | None, typer.Option("--without", help="No candidate has a block at this site. Repeatable.")
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(
            help="Try this candidate first: an architecture file, one of the article's models (yolov5n-clo-head), or "
            "STUDY/ID of an earlier study. Repeatable."
        ),
    ] = None,
    latency_seconds: Annotated[
        float | None, typer.Option(help="Maximum seconds to measure a candidate's latency.")
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Start every training from random weights.")
    ] = False,
    objectives: Annotated[
        str | None, typer.Option(help="Comma-separated: map50_95 and one or more of latency, macs, params.")
    ] = None,
    sampler: Annotated[str | None, typer.Option(help="cost-aware, tpe, nsga2, nsga3, gp or random.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Trainings at once. \\[default: one a core while memory lasts, or one a GPU]")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads of a training. \\[default: cores divided among the workers]")
    ] = None,
    loader_workers: Annotated[int | None, typer.Option(help="Image-loading processes of a CUDA training.")] = None,
    worker_timeout: Annotated[
        str | None,
        typer.Option(
            help="With PostgreSQL: after this silence a worker is dead and its training run again. \\[default: 60s]"
        ),
    ] = None,
    executor: Executor = None,
    address: Address = None,
    gpus_per_trial: GpusOfOneNode = None,
    cpus_per_trial: CpusPerTrial = None,
    resource: Resource = None,
    study: Annotated[
        str | None, typer.Option(help="Name of the study and of its folder; the same name continues it.")
    ] = None,
    storage: Storage = None,
    results: Results = Path("results"),
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Propose candidates, measure and train them, write the Pareto report.

    Run the same command again to finish what is missing: nothing is trained twice.
    """
    from harness.record.settings import data_name, search_settings
    from harness.terminal import observer

    if log:
        from harness.cli.studies import check_trackers

        check_trackers(log)
    settings = search_settings(
        trials=trials, more=more, timeout_s=duration(timeout), data=data, base=base, space=space, device=device,
        allow_unusable=allow_unusable, allow_val_in_train=allow_val_in_train,
        imgsz=imgsz, epochs=epochs, base_epochs=base_epochs, batch=batch, seed=seed, seeds=seeds, finalists=finalists,
        rungs=rungs, budget=budget, learning_rate=learning_rate, block_rate_factor=block_rate_factor,
        constraints={
            "max_params": count("--max-params", max_params), "max_macs": count("--max-macs", max_macs),
            "max_latency_ratio": max_latency_ratio, "min_map50_95": min_map50_95,
            "required_sites": required_sites or (), "forbidden_sites": forbidden_sites or (),
        },
        min_gain=min_gain, include=tuple(include or ()), latency_seconds=latency_seconds, from_scratch=from_scratch,
        objectives=None if objectives is None else tuple(objectives.split(",")), sampler=sampler, workers=workers,
        threads=threads, loader_workers=loader_workers, worker_timeout_s=duration(worker_timeout, "--worker-timeout"),
        executor=executor, cluster=cluster_settings(address, gpus_per_trial, cpus_per_trial, resource), study=study,
        storage=storage, results=results,
    )  # fmt: skip
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


_LEAST_COUNT = 1000
"""No detector has fewer parameters or MACs: a smaller number is one of millions whose M was left out."""


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
