"""The command `clo plan`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from math import isfinite
from typing import Annotated, Any

import typer

from harness.cli.fields import options_of
from harness.cli.options import Json, Quiet, typed_command
from harness.cli.printing import print_json, print_table
from harness.common.errors import UserError
from harness.common.isolation import program
from harness.record.settings import SearchSettings, search_settings

Hours = Annotated[float, typer.Option(help="Hours that you have, by the clock.")]
# Settings of a search that a person decides; the hours decide the others.
PLANNED = (
    "data", "base", "imgsz", "batch", "epochs", "min_gain", "device", "workers", "threads", "allow_unusable",
    "allow_val_in_train", "study", "results",
)  # fmt: skip
# What is otherwise than in a search.
SAID = {
    "base": "Detector: name (yolov8n, yolo11s …), YAML or trained .pt, also one of other classes. [default: yolov5n]",
    "imgsz": "Side of the square input, in pixels. [default: the largest up to 640 that the hours hold; of the "
    "embedded data 128]",
    "batch": "Batch size. [default: 16; 8 on a CPU and for the embedded data]",
    "epochs": "Epochs of a training. [default: what 480 steps take]",
}


@options_of(
    SearchSettings,
    only=(*PLANNED, "space"),
    said={
        **SAID,
        "space": "Space to search: a YAML, one that ships by name, or a block such as se. [default: default]",
        "study": "Name of the study that the pilot begins and the search goes on. [default: plan]",
    },
)
def plan(given: Mapping[str, Any], hours: Hours, quiet: Quiet = False, as_json: Json = False) -> None:
    """Say what your hours hold: which search fits, and how large a gain it would detect.

    A pilot of at most a tenth of the hours trains what the search needs anyhow: its study goes on where that ended.
    """
    from harness.terminal import observer

    settings = settings_for(hours, **{**given, "study": given["study"] or "plan"})
    with observer(f"clo plan · {settings.base} · {hours:g} h", quiet=quiet, machine=as_json) as watch:
        watch.phase("loading torch and Ultralytics")
        from harness.judge.pilot import run_pilot
        from harness.judge.plan import plan_for

        pilot = run_pilot(settings, hours, watch, typed_command())
        left = hours - pilot.seconds / 3600
        found = plan_for(pilot.room(left), settings.min_gain)
    if found is None:
        raise UserError(
            f"--hours {hours:g}: the {max(0.0, left):.2g} h that the pilot left hold no search of one candidate under "
            f"three seeds (a training takes {pilot.pace.epoch_seconds * pilot.settings.epochs / 60:.2g} min); what was "
            "trained is kept: give more hours, or another --study with a smaller --imgsz"
        )
    command = search_command(pilot.settings, found.recommended.to_options())
    if as_json:
        origin = {
            str(epochs): {"sd": each.sd, "df": each.df, "from": each.origin} for epochs, each in pilot.noise.items()
        }
        print_json({
            **found.to_dict(), "recommended": command, "noise": origin, "training_seconds": pilot.seconds_a_training,
            "memory_bytes": pilot.memory_bytes if isfinite(pilot.memory_bytes) else None,
            "pilot_hours": pilot.seconds / 3600, "notes": list(pilot.notes),
        })  # fmt: skip
        return
    rows = [
        ["→" if each is found.recommended else "", each.steps, each.epochs, each.candidates, each.seeds,
         each.trainings, f"{each.hours:.2g}", f"{each.detectable_gain:.4f}"]
        for each in found.options
    ]  # fmt: skip
    print_table(["", "steps", "epochs", "candidates", "seeds", "trainings", "hours", "detects mAP50-95"], rows)
    for line in pilot.sentences(found):
        print(line)
    print(f"Go on with: {command}")


def settings_for(hours: float, **given: Any) -> SearchSettings:
    """Return the settings of the search that hours are planned for; None is left open.

    Raises:
        UserError: An option is out of its range.
    """
    if not 0 < hours < 10_000:
        raise UserError(f"--hours {hours:g}: it is above 0, and below 10,000")
    return search_settings(**given)


def search_command(settings: SearchSettings, options: dict[str, int]) -> str:
    """Return the search to type: what was given or chosen, and a plan's numbers."""
    names = {
        "data": settings.data, "base": settings.base, "space": settings.space, "imgsz": settings.imgsz,
        "batch": settings.batch, **options, "device": settings.device, "study": settings.study,
        "results": settings.results,
    }  # fmt: skip
    typed = " ".join(f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in names.items())
    return f"{program()} search {typed}"
