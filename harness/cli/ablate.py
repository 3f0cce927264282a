"""The command `clo ablate`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from harness.cli.fields import options_of
from harness.cli.options import Json, Quiet, typed_command
from harness.cli.search import typed_run
from harness.common.errors import UserError
from harness.record.ablation_file import AblationSettings, load_ablation
from harness.record.arms import Arm
from harness.record.run_settings import ClusterSettings, StoredSettings, settings_of
from harness.record.settings import SearchSettings, data_name

SEEDS = "How many seeds, or which: 5 or 0,3,7."
# Settings of a search that an ablation's file has, too.
_OF_FILE = (
    "base", "data", "allow_unusable", "allow_val_in_train", "imgsz", "epochs", "base_epochs", "batch", "seeds",
    "from_scratch",
)  # fmt: skip
# Fields of where it runs, those of a cluster too.
RUN = tuple(name for name in StoredSettings.model_fields if name != "cluster")


@options_of(
    AblationSettings,
    SearchSettings,
    only=(*_OF_FILE, "study", "latency_seconds", "keep_weights", *RUN, *ClusterSettings.model_fields),
    texts=("seeds", "timeout_s"),
    said={
        "base": "Detector: name, YAML or trained .pt. [default: the file's]",
        "data": "Dataset YAML, COCO annotation file, or digits. [default: the file's]",
        "imgsz": "Side of the square input, in pixels. [default: the file's; with --data 640]",
        "epochs": "Epochs of every arm.",
        "seeds": SEEDS,
        "from_scratch": "Start all arms from random weights.",
        "study": "Name of the study. [default: the file's]",
    },
)
def ablate(
    given: Mapping[str, Any],
    file: Annotated[str, typer.Argument(help="Ablation: a YAML, or one that ships by name.")] = "default",
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Ablate this instead of the file's: yolov5n-clo-head, an architecture file, STUDY/ID. Repeatable."
        ),
    ] = None,
    bases: Annotated[str | None, typer.Option(help="How many trainings of the base, or their seeds.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print the plan and its cost, and train nothing.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train a model and everything that differs from it in one thing, and compare in pairs.

    Run the same command again to finish what is missing: nothing is trained twice.
    """
    from harness.terminal import observer

    changes = {name: given[name] for name in _OF_FILE} | {
        "models": model, "name": given["study"], "seeds": seed_list("--seeds", given["seeds"]),
        "bases": seed_list("--bases", bases),
    }  # fmt: skip
    chosen = load_ablation(file, {name: value for name, value in changes.items() if value is not None})
    its_own = {name: value for name, value in given.items() if name not in {*_OF_FILE, "study"}}
    settings = settings_of(AblationSettings, file=chosen, **typed_run(its_own))
    interrupted = False
    title = f"clo ablate · {chosen.name} · {chosen.base} on {data_name(chosen.data)} at {chosen.imgsz} px"
    with observer(title, quiet=quiet, machine=as_json) as watch:
        watch.phase("loading torch and Ultralytics")
        from harness.ablation.cost import plan_of
        from harness.ablation.run import ablate as run
        from harness.ablation.setting import prepare_ablation
        from harness.cli.studies import close, write
        from harness.jobs.base import base_notes
        from harness.storage.records import load_record

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
    if text.strip() == "0":
        raise UserError(f"{option} 0: at least one; seed 0 alone is 1")
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
