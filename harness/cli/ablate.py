"""The command `clo ablate`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.options import (
    Address,
    AllowUnusable,
    AllowValInTrain,
    CpusPerTrial,
    Executor,
    GpusOfOneNode,
    Json,
    Quiet,
    Resource,
    Results,
    Storage,
    Threads,
    Timeout,
    Workers,
    choice,
    typed_command,
)
from harness.cli.search import duration
from harness.common.errors import UserError
from harness.record.arms import Arm
from harness.record.cluster_settings import ClusterSettings, ExecutorKind, cluster_settings
from harness.record.settings import LOADER_WORKERS, data_name


def ablate(
    file: Annotated[str, typer.Argument(help="Ablation: a YAML, or one that ships by name.")] = "default",
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Ablate this instead of the file's: yolov5n-clo-head, an architecture file, STUDY/ID. Repeatable."
        ),
    ] = None,
    base: Annotated[str | None, typer.Option(help="Detector: name, YAML or trained .pt.")] = None,
    data: Annotated[str | None, typer.Option(help="Dataset YAML, COCO annotation file, or digits.")] = None,
    allow_unusable: AllowUnusable = False,
    allow_val_in_train: AllowValInTrain = False,
    imgsz: Annotated[
        int | None, typer.Option(help="Side of the square input, in pixels. \\[default: the file's; with --data 640]")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of every arm.")] = None,
    base_epochs: Annotated[int | None, typer.Option(help="Epochs of the pretrained baseline.")] = None,
    batch: Annotated[int | None, typer.Option(help="Batch size.")] = None,
    seeds: Annotated[str | None, typer.Option(help="How many seeds, or which: 5 or 0,3,7.")] = None,
    bases: Annotated[str | None, typer.Option(help="How many trainings of the base, or their seeds.")] = None,
    from_scratch: Annotated[bool, typer.Option("--from-scratch", help="Start all arms from random weights.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Print the plan and its cost, and train nothing.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, or numbers of CUDA devices (0,1).")] = "auto",
    workers: Workers = None,
    threads: Threads = None,
    loader_workers: Annotated[
        int, typer.Option(help="Image-loading processes of a CUDA training.", min=0)
    ] = LOADER_WORKERS,
    latency_seconds: Annotated[
        float, typer.Option(help="Most seconds to measure each arm's latency; 0 measures none.", min=0)
    ] = 0.0,
    timeout: Timeout = None,
    keep_weights: Annotated[bool, typer.Option("--keep-weights", help="Keep the models' trained weights.")] = False,
    executor: Executor = None,
    address: Address = None,
    gpus_per_trial: GpusOfOneNode = None,
    cpus_per_trial: CpusPerTrial = None,
    resource: Resource = None,
    study: Annotated[str | None, typer.Option(help="Name of the study. \\[default: the file's]")] = None,
    storage: Storage = None,
    results: Results = Path("results"),
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train a model and everything that differs from it in one thing, and compare in pairs.

    Run the same command again to finish what is missing: nothing is trained twice.
    """
    from harness.record.ablation_file import load_ablation
    from harness.terminal import observer

    given: dict[str, Any] = {
        "models": model, "base": base, "data": data, "imgsz": imgsz, "epochs": epochs, "base_epochs": base_epochs,
        "batch": batch, "seeds": seed_list("--seeds", seeds), "bases": seed_list("--bases", bases), "name": study,
        "from_scratch": from_scratch or None, "allow_unusable": allow_unusable or None,
        "allow_val_in_train": allow_val_in_train or None,
    }  # fmt: skip
    chosen = load_ablation(file, {name: value for name, value in given.items() if value is not None})
    where = choice("--executor", ExecutorKind, executor or ExecutorKind.LOCAL)
    cluster = cluster_settings(address, gpus_per_trial, cpus_per_trial, resource) or ClusterSettings()
    interrupted = False
    title = f"clo ablate · {chosen.name} · {chosen.base} on {data_name(chosen.data)} at {chosen.imgsz} px"
    with observer(title, quiet=quiet, machine=as_json) as watch:
        watch.phase("loading torch and Ultralytics")
        from harness.ablation.cost import plan_of
        from harness.ablation.run import ablate as run
        from harness.ablation.setting import AblationSettings, prepare_ablation
        from harness.cli.studies import close, write
        from harness.jobs.base import base_notes
        from harness.storage.records import load_record

        settings = AblationSettings(
            file=chosen, device=device, workers=workers, threads=threads, loader_workers=loader_workers,
            latency_seconds=latency_seconds, timeout_s=duration(timeout), keep_weights=keep_weights, storage=storage,
            results=results, executor=where, cluster=cluster,
        )  # fmt: skip
        watch.phase("reading base, data and models, counting every arm's cost")
        ablation = prepare_ablation(settings)
        planned = plan_of(ablation)
        if plan:
            arms = [(model.arm, model.params, model.macs) for model in ablation.models]
            of_base = [] if chosen.from_scratch else base_notes(ablation, chosen.base_epochs)
            _print_plan(arms, ablation.left_out, "\n".join([*of_base, str(planned)]), as_json)
            return
        watch.note(f"plan: {planned}")
        try:
            record = run(ablation, watch, typed_command())
        except KeyboardInterrupt:
            interrupted = True
            try:
                record = load_record(settings.as_search.storage_url, chosen.name)
            except UserError:  # stopped before there was a study
                raise typer.Exit(130) from None
        watch.phase("writing the report")
        said = write(record, settings.as_search.folder)
    close(record, settings.as_search.folder, as_json, said)
    if interrupted:
        raise typer.Exit(130)


def seed_list(option: str, text: str | None) -> int | tuple[int, ...] | None:
    """Parse how many seeds, or which ones.

    Raises:
        UserError: It is neither.
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch("[0-9]{1,10}", part) for part in parts):
        raise UserError(f"{option} {text}: neither a number of seeds (5) nor a list of them (0,3,7)")
    return int(parts[0]) if len(parts) == 1 else tuple(map(int, parts))


def _print_plan(rows: Sequence[tuple[Arm, int, float]], left_out: Sequence[str], planned: str, as_json: bool) -> None:
    """Print each arm with its parameters and MACs, what is left out, and how long it takes."""
    from harness.cli.printing import print_json, print_table
    from harness.report import words

    if as_json:
        arms = [{"name": a.name, "role": a.role, "identity": a.identity, "params": p, "macs": m} for a, p, m in rows]
        print_json({"plan": planned, "arms": arms, "left_out": list(left_out)})
        return
    _, params, macs = rows[0]
    print_table(
        ["arm", "role", "parameters", "MACs"],
        [
            [arm.name, arm.role, f"{words.amount(p)} ({words.percent(p / params)})",
             f"{words.amount(m)} ({words.percent(m / macs)})"]
            for arm, p, m in rows
        ],
    )  # fmt: skip
    for sentence in left_out:
        print(sentence)
    print(planned)
