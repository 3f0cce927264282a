"""Writes a study's report: each file whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from harness.analysis.new_images import INFLUENCE
from harness.errors import UserError
from harness.half_written import remove_left_overs
from harness.own_files import refuse_foreign_study
from harness.report.content import Content, content
from harness.report.fidelity import known_fidelity
from harness.report.html import render_html
from harness.report.markdown import render_markdown
from harness.report.parquet import trials_parquet
from harness.report.png import draw_png, draw_svg
from harness.report.rounds import read_rounds
from harness.report.whole_file import write_whole
from harness.report.write_ablation import ablation_files
from harness.resources import reference_folder
from harness.study_form import SAFE_NAME
from harness.study_record import StudyRecord
from harness.study_tables import design, surroundings

TRIAL_COLUMNS = (
    "trial", "architecture", "seed", "epochs", "state", "reason", "map50_95", "map50", "gain_map50_95",
    "latency_ms_p50", "latency_ratio", "macs", "params",
)  # fmt: skip
"""Columns that trials.csv always has, first and in this order."""
WHOLE_NUMBERS = ("trial", "seed", "epochs", "macs", "flops", "params")
LATENCY = "latency"
"""Folder of the rounds of each latency, in the study's folder."""


def write_report(
    record: StudyRecord,
    folder: Path,
    *,
    model_yamls: Mapping[str, str] | None = None,
    ablations: Sequence[StudyRecord] = (),
    source: Path | None = None,
) -> Content | None:
    """Write or renew everything in a study's folder that can be made from its record.

    `report.html`, `report.md`, `pareto.png`, `pareto.svg`, `trials.csv`, `trials.parquet`, `per_class.csv` (where
    known), `front.csv`, `importance.csv`, `effects.csv`, `environment.json`, `study.json` and
    `architectures/<id>.yaml`; their columns are in `harness.data_dictionary`. An ablation has `forest.png` and
    `contrasts.csv` in place of the front's and the choices' files.
    Works for a study that has only begun, and for one where all failed.

    Args:
        record: The study.
        folder: Where to; made if need be.
        model_yamls: Identity to trainable Ultralytics YAML; the record's own by default.
        ablations: Those of a search's own architectures, shown in its report; see `harness.report.placebo`.
        source: The study's own folder, where that is another: what lies in and beside it is shown, latencies' rounds
            among it.

    Returns:
        What a search's report says, for `closing`; None for an ablation.

    Raises:
        UserError: The folder cannot be written to, for instance because the disk is full.
        ValueError: An identity that is no file name.
    """
    refuse_foreign_study(folder)
    said = None if record.ablation else _said(record, source or folder, ablations)
    files: dict[str, bytes] = {
        "environment.json": _json(surroundings(record)),  # first: by it another writer knows that the folder is ours
        "trials.csv": trials_csv(record.trials).encode(),
        "trials.parquet": trials_parquet(_ordered(record.trials)),
        "study.json": _json(design(record)),
        **(_search_files(said) if said else ablation_files(record)),
    }
    if not record.per_class.empty:
        files["per_class.csv"] = _csv(record.per_class.reset_index()).encode()
    yamls = record.model_yamls if model_yamls is None else model_yamls
    for name, text in yamls.items():
        if not SAFE_NAME.fullmatch(name):
            raise ValueError(f"architecture {name!r} cannot name a file")
        files[f"architectures/{name}.yaml"] = text.encode()
    try:
        for each in (folder, folder / "architectures", folder / "latency", folder / "matches"):
            remove_left_overs(each)
        for name, data in files.items():
            write_whole(folder / name, data)
    except OSError as error:
        raise UserError(
            f"report: {error.filename or folder} cannot be written ({error.strerror}); the study itself is "
            f"safe in its storage: make room or choose another folder, then run `clo report {record.name}`"
        ) from error
    return said


def _said(record: StudyRecord, folder: Path, ablations: Sequence[StudyRecord]) -> Content:
    """What the report says, with what lies beside the study: how short trainings rank, and latencies' rounds."""
    fidelity = known_fidelity(record.settings, [folder.parent / "fidelity", reference_folder() / "fidelity"])
    return content(record, fidelity, partial(read_rounds, folder / LATENCY), ablations)


def _search_files(said: Content) -> dict[str, bytes]:
    """Name to content of what only a search has."""
    sheet = (said.figures, f"clo-nas study {said.study}", said.answer.headline)
    return {
        "front.csv": _csv(said.front.reset_index()).encode(),
        "importance.csv": _csv(said.matters.importances).encode(),
        "effects.csv": _csv(said.matters.effects).encode(),
        "pareto.png": draw_png(*sheet),
        "pareto.svg": draw_svg(*sheet),
        "report.md": render_markdown(said).encode(),
        "report.html": render_html(said).encode(),
    }


def trials_csv(trials: pd.DataFrame) -> str:
    """Return the table of trainings as CSV, without what is a number an image."""
    return _csv(_ordered(trials).drop(columns=INFLUENCE, errors="ignore"))


def _ordered(trials: pd.DataFrame) -> pd.DataFrame:
    """The contract's columns first, the others after them."""
    others = [column for column in trials.columns if column not in TRIAL_COLUMNS]
    return trials.reindex(columns=[*TRIAL_COLUMNS, *others])


def _csv(frame: pd.DataFrame) -> str:
    """CSV with whole numbers written as such; an empty field is what was not measured."""
    whole = {column: "Int64" for column in WHOLE_NUMBERS if column in frame.columns}
    rounded = frame.assign(**{column: frame[column].astype(float).round() for column in whole})
    return rounded.astype(whole).to_csv(index=False, lineterminator="\n")


def _json(data: Mapping[str, object]) -> bytes:
    return (json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n").encode()
