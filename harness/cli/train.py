"""The command `clo train`: one model, or an architecture of a study with the baseline beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.ablate import seed_list
from harness.cli.fields import options_of
from harness.cli.options import MODEL_HELP, Json
from harness.cli.printing import print_json
from harness.common.errors import UserError
from harness.record.own_files import refuse_others
from harness.record.run_settings import LOADER_WORKERS, option_of, settings_of
from harness.record.settings import EMBEDDED_DATA, SearchSettings, default_of

# Default epochs of an architecture of a study: as many as Ultralytics trains by default.
_OF_A_STUDY = 100
# What only a model by itself takes, and only an architecture of a study: each is otherwise refused.
_MODELS, _STUDYS = ("data", "imgsz", "batch", "seed", "learning_rate", "block_rate_factor"), (
    "seeds", "from_scratch", "workers", "storage",
)  # fmt: skip
_BOTH = ("epochs", "allow_unusable", "allow_val_in_train", "device", "threads", "loader_workers", "results")


@options_of(
    SearchSettings,
    only=(*_MODELS, *_STUDYS, *_BOTH),
    texts=("seeds",),
    said={
        "data": "Dataset YAML. [default: digits, embedded; of a study: its own]",
        "epochs": "Number of epochs. [default: 20; of a study: 100]",
        "batch": "Batch size. [default: 16]",
        "learning_rate": "Peak rate of AdamW. [default: a search's: 1e-3, from random weights 2e-3]",
        "block_rate_factor": "Learning-rate multiplier for inserted blocks. [default: a search's: 5, from random "
        "weights 1]",
        "seed": "Seed of everything random. [default: 0]",
        "seeds": "Of a study's architecture: how many seeds, or which. [default: 3 new ones]",
        "from_scratch": "Of a study's architecture: start from random weights.",
        "workers": "Of a study's architecture: trainings at once.",
        "threads": "CPU threads. [default: all cores]",
    },
)
def train(
    given: Mapping[str, Any],
    model: Annotated[str, typer.Argument(help=f"{MODEL_HELP} With ARCHITECTURE: the name of a study.")],
    architecture: Annotated[
        str | None,
        typer.Argument(
            help="Identity of an architecture of the study: it is trained on the full schedule, with the "
            "baseline beside it, and the paired result is added to the study."
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Checkpoint of the base to start from. \\[default: random weights]")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Checkpoint to write. \\[default: results/train/<model>.pt]")] = None,
    as_json: Json = False,
) -> None:
    """Train one detector with the trainer of a search; or STUDY ARCHITECTURE, with the baseline and seeds."""
    of_a_model = {option_of(name): given[name] for name in _MODELS} | {"--weights": weights, "--out": out}
    of_a_study = {option_of(name): given[name] for name in _STUDYS}
    is_of_study = architecture is not None
    why = "an architecture of a study has the study's" if is_of_study else "it is for STUDY ARCHITECTURE"
    for option, value in (of_a_model if is_of_study else of_a_study).items():
        if value is not None:
            shown = option if value is True else f"{option} {value}"
            raise UserError(f"{shown}: {why}; leave it out")
    if architecture is not None:
        _of_study(model, architecture, {name: given[name] for name in (*_STUDYS, *_BOTH)}, as_json)
        return
    from harness.ablation.train_model import TrainOptions, train_model
    from harness.terminal import observer

    target = out or (given["results"] or Path("results")) / "train" / f"{Path(model).stem}.pt"
    refuse_others("--out", target, (".pt",), "a checkpoint")
    data = given["data"] or EMBEDDED_DATA
    own = {
        "data": data, "epochs": 20, "imgsz": default_of("imgsz")({"data": data}), "batch": 16, "seed": 0,
        "device": "auto", "loader_workers": LOADER_WORKERS,
    }  # fmt: skip
    said = {name: given[name] for name in (*_MODELS, *_BOTH) if name != "results"}
    known = {name: value for name, value in said.items() if value is not None}
    options = settings_of(TrainOptions, model=model, weights=weights, out=target, **{**own, **known})
    with observer(f"clo train · {model}", quiet=False, machine=as_json) as watch:
        watch.phase(f"training {model}, {options.epochs} epochs on {options.data} at {options.imgsz} px")
        result = train_model(options, watch.progress, watch.note)
    if as_json:
        figures = {"seed": options.seed, "epochs": options.epochs, **result.figures()}
        print_json({"model": model, "weights": str(target), **figures})
        return
    print(f"mAP50-95 {result.map50_95:.4f}, mAP50 {result.map50:.4f} ({result.evaluator}; one seed, {options.seed})")
    print(f"{result.train_seconds:.0f} s; {result.transferred}\nWeights: {target}")


def _of_study(study: str, architecture: str, given: Mapping[str, Any], as_json: bool) -> None:
    from harness.cli.studies import study_record, write
    from harness.report.write import long_training
    from harness.terminal import observer

    record, folder = study_record(study, given["storage"], given["results"] or Path("results"))
    asked = {"epochs": _OF_A_STUDY, **{name: value for name, value in given.items() if value is not None}}
    if given["seeds"] is not None:
        asked["seeds"] = seed_list("--seeds", given["seeds"])
    with observer(f"clo train · {study} · {architecture}", quiet=False, machine=as_json) as watch:
        watch.phase("loading torch and Ultralytics")
        from harness.ablation.train_chosen import ChosenOptions, train_chosen

        options = settings_of(ChosenOptions, identity=architecture, **asked)
        trained = train_chosen(record, options, watch)
        watch.phase("writing the report")
        write(trained.record, folder)
    found = long_training(trained.record, architecture, options.epochs, trained.seeds)
    files = [str(path) for path in trained.weights]
    if as_json:
        baselines = [str(path) for path in trained.baseline_weights]
        print_json({"study": study, **found.to_dict(), "weights": files, "baseline_weights": baselines})
        return
    print(f"{found}\nWeights: {', '.join(files)}\nReport: {folder / 'report.html'}")
