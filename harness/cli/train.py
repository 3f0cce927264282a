"""The command `clo train`: one model, or an architecture of a study with the baseline beside it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.ablate import seed_list
from harness.cli.options import MODEL_HELP, AllowUnusable, AllowValInTrain, Json, Results, Storage
from harness.cli.printing import print_json
from harness.common.errors import UserError
from harness.record.own_files import refuse_others
from harness.record.settings import EMBEDDED_DATA, LOADER_WORKERS, default_of

# Default epochs of an architecture of a study: as many as Ultralytics trains by default.
_OF_A_STUDY = 100


def train(
    model: Annotated[str, typer.Argument(help=f"{MODEL_HELP} With ARCHITECTURE: the name of a study.")],
    architecture: Annotated[
        str | None,
        typer.Argument(
            help="Identity of an architecture of the study: it is trained on the full schedule, with the "
            "baseline beside it, and the paired result is added to the study."
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Dataset YAML. \\[default: digits, embedded; of a study: its own]")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Checkpoint of the base to start from. \\[default: random weights]")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Number of epochs. \\[default: 20; of a study: 100]", min=1)
    ] = None,
    imgsz: Annotated[
        int | None, typer.Option(help="Side of the square input, in pixels. \\[default: 640; 128 for digits]", min=1)
    ] = None,
    allow_unusable: AllowUnusable = False,
    allow_val_in_train: AllowValInTrain = False,
    batch: Annotated[int | None, typer.Option(help="Batch size. \\[default: 16]", min=1)] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Peak rate of AdamW. \\[default: a search's: 1e-3, from random weights 2e-3]"),
    ] = None,
    block_rate_factor: Annotated[
        float | None,
        typer.Option(
            help="Learning-rate multiplier for inserted blocks. \\[default: a search's: 5, from random weights 1]"
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random. \\[default: 0]", min=0)] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Of a study's architecture: how many seeds, or which. \\[default: 3 new ones]")
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Of a study's architecture: start from random weights.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, or a CUDA device's number.")] = "auto",
    workers: Annotated[int | None, typer.Option(help="Of a study's architecture: trainings at once.", min=1)] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads. \\[default: all cores]", min=1)] = None,
    loader_workers: Annotated[
        int, typer.Option(help="Image-loading processes of a CUDA training.", min=0)
    ] = LOADER_WORKERS,
    out: Annotated[Path | None, typer.Option(help="Checkpoint to write. \\[default: results/train/<model>.pt]")] = None,
    storage: Storage = None,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Train one detector with the trainer of a search; or STUDY ARCHITECTURE, with the baseline and seeds."""
    of_a_model = {
        "--data": data, "--weights": weights, "--imgsz": imgsz, "--batch": batch, "--seed": seed, "--out": out,
        "--learning-rate": learning_rate, "--block-rate-factor": block_rate_factor,
    }  # fmt: skip
    for option, rate in (("--learning-rate", learning_rate), ("--block-rate-factor", block_rate_factor)):
        if rate is not None and not 0 < rate < math.inf:
            raise UserError(f"{option} {rate}: it is above 0, and a number")
    of_a_study = {"--seeds": seeds, "--from-scratch": from_scratch or None, "--workers": workers}
    is_of_study = architecture is not None
    why = "an architecture of a study has the study's" if is_of_study else "it is for STUDY ARCHITECTURE"
    for option, value in (of_a_model if is_of_study else of_a_study).items():
        if value is not None:
            raise UserError(f"{option} {value}: {why}; leave it out")
    if architecture is not None:
        _of_study(
            model,
            architecture,
            epochs or _OF_A_STUDY,
            seeds,
            from_scratch,
            allow_unusable,
            allow_val_in_train,
            device,
            workers,
            threads,
            loader_workers,
            storage,
            results,
            as_json,
        )
        return
    from harness.ablation.train_model import TrainOptions, train_model
    from harness.terminal import observer

    target = out or results / "train" / f"{Path(model).stem}.pt"
    refuse_others("--out", target, (".pt",), "a checkpoint")
    options = TrainOptions(
        model=model, data=data or EMBEDDED_DATA, weights=weights, epochs=epochs or 20,
        imgsz=imgsz or default_of("imgsz")({"data": data or EMBEDDED_DATA}), batch=batch or 16,
        learning_rate=learning_rate, block_rate_factor=block_rate_factor, seed=seed or 0, device=device,
        threads=threads, loader_workers=loader_workers, out=target, allow_unusable=allow_unusable,
        allow_val_in_train=allow_val_in_train,
    )  # fmt: skip
    with observer(f"clo train · {model}", quiet=False, machine=as_json) as watch:
        watch.phase(f"training {model}, {options.epochs} epochs on {options.data} at {options.imgsz} px")
        result = train_model(options, watch.progress, watch.note)
    if as_json:
        figures = {"seed": options.seed, "epochs": options.epochs, **result.figures()}
        print_json({"model": model, "weights": str(target), **figures})
        return
    print(f"mAP50-95 {result.map50_95:.4f}, mAP50 {result.map50:.4f} ({result.evaluator}; one seed, {options.seed})")
    print(f"{result.train_seconds:.0f} s; {result.transferred}\nWeights: {target}")


def _of_study(
    study: str,
    architecture: str,
    epochs: int,
    seeds: str | None,
    from_scratch: bool,
    allow_unusable: bool,
    allow_val_in_train: bool,
    device: str,
    workers: int | None,
    threads: int | None,
    loader_workers: int,
    storage: str | None,
    results: Path,
    as_json: bool,
) -> None:
    from harness.cli.studies import study_record, write
    from harness.report.write import long_training
    from harness.terminal import observer

    record, folder = study_record(study, storage, results)
    chosen = seed_list("--seeds", seeds)
    with observer(f"clo train · {study} · {architecture}", quiet=False, machine=as_json) as watch:
        watch.phase("loading torch and Ultralytics")
        from harness.ablation.train_chosen import ChosenOptions, train_chosen

        options = ChosenOptions(
            identity=architecture, epochs=epochs, seeds=3 if chosen is None else chosen, from_scratch=from_scratch,
            allow_unusable=allow_unusable, allow_val_in_train=allow_val_in_train,
            device=device, workers=workers, threads=threads, loader_workers=loader_workers, storage=storage,
            results=results,
        )  # fmt: skip
        trained = train_chosen(record, options, watch)
        watch.phase("writing the report")
        write(trained.record, folder)
    found = long_training(trained.record, architecture, epochs, trained.seeds)
    files = [str(path) for path in trained.weights]
    if as_json:
        baselines = [str(path) for path in trained.baseline_weights]
        print_json({"study": study, **found.to_dict(), "weights": files, "baseline_weights": baselines})
        return
    print(f"{found}\nWeights: {', '.join(files)}\nReport: {folder / 'report.html'}")
