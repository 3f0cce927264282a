"""Write the report of a search or an ablation, each file whole or not at all; and say at its end what was found.

The table of trainings for programs, `trials.parquet`, is typed, versioned, and describes its columns itself.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.analysis.analysis import analyse
from harness.analysis.contrasts import Pair, contrasts
from harness.analysis.new_images import INFLUENCE
from harness.analysis.power import NoNumber
from harness.analysis.statistics import Verdict
from harness.architecture import BASELINE
from harness.common.atomic import remove_left_overs, write_whole
from harness.common.errors import UserError
from harness.common.resources import reference_folder
from harness.record.ablation_file import random_study, ruler_study
from harness.record.data_dictionary import TRIALS, TRIALS_SCHEMA_VERSION, Kind
from harness.record.form import SAFE_NAME
from harness.record.own_files import refuse_foreign_study
from harness.record.state import State
from harness.record.study import StudyRecord
from harness.record.tables import VERSION_KEY, design, is_study, read_study, surroundings
from harness.report import words
from harness.report.ablation import ablation_content
from harness.report.answer import answer
from harness.report.curves import Curves, read_curve
from harness.report.evidence import read_rounds
from harness.report.fidelity import known_fidelity
from harness.report.images import Gallery, read_kept
from harness.report.png import draw_forest, draw_gallery, draw_learning_curves, draw_png, draw_svg
from harness.report.renderers import render_html, render_markdown
from harness.report.search import Beside, SearchContent, search_content

_METADATA = {VERSION_KEY: str(TRIALS_SCHEMA_VERSION), "made_by": "clo-nas", "described_in": "docs/data-dictionary.md"}
_PARQUET = {
    Kind.TEXT: pa.string(), Kind.WHOLE: pa.int64(), Kind.COUNT: pa.int64(), Kind.NUMBER: pa.float64(),
    Kind.FLAG: pa.bool_(), Kind.TIME: pa.timestamp("us", tz="UTC"),
}  # fmt: skip


def trials_parquet(table: pd.DataFrame) -> bytes:
    """Encode trainings as Parquet, typed as `StudyRecord.trials`, in the order of their columns."""
    fields = [
        pa.field(name, _PARQUET[about.kind], metadata={"description": about.about, "unit": about.unit})
        for name, about in ((str(name), TRIALS[str(name)]) for name in table)
    ]
    schema = pa.schema(fields, metadata=_METADATA)
    arrays = [_array(table[field.name], field.type) for field in schema]
    out = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), out)
    return out.getvalue()


def _array(values: pd.Series[Any], kind: pa.DataType) -> pa.Array:
    """Convert the values; what was not measured is null."""
    if pa.types.is_timestamp(kind):
        values = pd.to_datetime(values, format="ISO8601", utc=True, errors="coerce")
    elif pa.types.is_integer(kind):
        values = values.astype("float64").round().astype("Int64")
    return pa.Array.from_pandas(values, type=kind)


def ablation_files(record: StudyRecord) -> dict[str, bytes]:
    """Make the files, name to content: `report.html`, `report.md`, `forest.png` and `contrasts.csv`."""
    said = ablation_content(record)
    forests = [("Gain over the baseline", said.gains), ("Model minus arm: what each part is worth", said.worths)]
    families = {"gain": said.gains, "worth": said.worths}
    told = [rows.assign(family=family) for family, rows in families.items() if len(rows)]
    table = pd.concat(told or [said.gains.assign(family="gain")])
    return {
        "report.html": render_html(said.page).encode(),
        "report.md": render_markdown(said.page).encode(),
        "forest.png": draw_forest(forests, f"clo-nas ablation {record.name}"),
        "contrasts.csv": table.to_csv(index=False, lineterminator="\n").encode(),
    }


# Columns that trials.csv always has, first and in this order.
TRIAL_COLUMNS = (
    "trial", "architecture", "seed", "epochs", "state", "reason", "map50_95", "map50", "gain_map50_95",
    "latency_ms_p50", "latency_ratio", "macs", "params",
)  # fmt: skip
_WHOLE = {name for name, column in TRIALS.items() if column.kind in {Kind.WHOLE, Kind.COUNT}}
# Folders in the study's folder.
LATENCY, CURVES, MATCHES, IMAGES = "latency", "curves", "matches", "images"


def write_report(
    record: StudyRecord,
    folder: Path,
    *,
    model_yamls: Mapping[str, str] | None = None,
    ablations: Sequence[StudyRecord] = (),
    source: Path | None = None,
    images: bool = True,
    originals: bool = True,
) -> SearchContent | None:
    """Write or renew everything in a study's folder that can be made from its record.

    `report.html`, `report.md`, `pareto.png`, `pareto.svg`, `trials.csv`, `trials.parquet`, `front.csv`,
    `importance.csv`, `effects.csv`, `environment.json`, `study.json`, `architectures/<id>.yaml` and, where they are
    known, `curves.png`, `images.jpg`, `images/` and `per_class.csv`; their columns are in
    `harness.record.data_dictionary`. An ablation has `forest.png` and `contrasts.csv` in place of the front's, the
    choices', the curves' and the images' files.
    Works for a study that has only begun, and for one where all failed.

    Args:
        record: The study.
        folder: Where to; made if need be.
        model_yamls: Identity to trainable Ultralytics YAML; the record's own by default.
        ablations: Those of a search's own architectures, shown in its report; see `harness.report.ablation`.
        source: The study's own folder, where that is another: what lies in and beside it is shown, latencies' rounds
            among it.
        images: Whether a search's report shows validation images, and keeps those that it shows.
        originals: Whether they may be read from where they were, and not only from `images/`.

    Returns:
        What a search's report says, for `closing`; None for an ablation.

    Raises:
        UserError: The folder cannot be written to, for instance because the disk is full.
        ValueError: An identity that is no file name.
    """
    refuse_foreign_study(folder)
    said = None if record.ablation else _said(record, source or folder, ablations, images=images, originals=originals)
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
        for each in ("", "architectures", LATENCY, MATCHES, CURVES, IMAGES):
            remove_left_overs(folder / each)
        for name, data in files.items():
            write_whole(folder / name, data)
    except OSError as error:
        raise UserError(
            f"report: {error.filename or folder} cannot be written ({error.strerror}); the study itself is "
            f"safe in its storage: make room or choose another folder, then run `clo report {record.name}`"
        ) from error
    return said


def _said(
    record: StudyRecord, folder: Path, ablations: Sequence[StudyRecord], *, images: bool, originals: bool
) -> SearchContent:
    """Build what the report says, with what lies beside the study: how short trainings rank, and latencies' rounds."""
    fidelity = known_fidelity(record.settings.to_dict(), [folder.parent / "fidelity", reference_folder() / "fidelity"])
    beside = Beside(
        fidelity=fidelity,
        rounds=partial(read_rounds, folder / LATENCY),
        curves=partial(read_curve, folder / CURVES),
        matches=partial(read_kept, folder / MATCHES) if images else None,
        pictures=folder / IMAGES,
        originals=originals,
        ablations=ablations,
        random=_beside(folder.parent / random_study(record.name), "drawn_from", record.name),
        larger=_beside(folder.parent / ruler_study(record.name), "ruler_of", record.name),
    )
    return search_content(record, beside)


def _beside(folder: Path, relation: str, search: str) -> StudyRecord | None:
    """Read the study in that folder whose file names the search as what it belongs to; None where there is none."""
    if not is_study(folder):
        return None
    found = read_study(folder)
    return found if found.ablation and getattr(found.ablation.file, relation) == search else None


def _search_files(said: SearchContent) -> dict[str, bytes]:
    """Make the files that only a search has, name to content."""
    sheet = (said.figures, f"clo-nas study {said.page.name}", said.answer.headline)
    curves, galleries = said.page.drawn(Curves), said.page.drawn(Gallery)
    pictures = {f"{IMAGES}/{each.file}": each.full for found in galleries for each in found.pictures}
    return {
        **pictures,
        **({"images.jpg": draw_gallery(galleries[0])} if galleries else {}),
        **({"curves.png": draw_learning_curves(curves[0], sheet[1])} if curves else {}),
        "front.csv": _csv(said.front.reset_index()).encode(),
        "importance.csv": _csv(said.matters.importances).encode(),
        "effects.csv": _csv(said.matters.effects).encode(),
        "pareto.png": draw_png(*sheet),
        "pareto.svg": draw_svg(*sheet),
        "report.md": render_markdown(said.page).encode(),
        "report.html": render_html(said.page).encode(),
    }


def trials_csv(trials: pd.DataFrame) -> str:
    """Return the table of trainings as CSV, without what is a number an image."""
    return _csv(_ordered(trials).drop(columns=INFLUENCE, errors="ignore"))


def _ordered(trials: pd.DataFrame) -> pd.DataFrame:
    """Put the contract's columns first, the others after them."""
    others = [column for column in trials.columns if column not in TRIAL_COLUMNS]
    return trials.reindex(columns=[*TRIAL_COLUMNS, *others])


def _csv(frame: pd.DataFrame) -> str:
    """Format as CSV with whole numbers as such; an empty field is what was not measured."""
    whole = {column: "Int64" for column in frame if column in _WHOLE}
    rounded = frame.assign(**{column: frame[column].astype(float).round() for column in whole})
    return rounded.astype(whole).to_csv(index=False, lineterminator="\n")


def _json(data: Mapping[str, object]) -> bytes:
    return (json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n").encode()


def closing(record: StudyRecord, content: SearchContent | None = None) -> dict[str, Any]:
    """Return the contract of `clo search --json`, without the folder; `content`: what its report says, if known.

    Returns:
        `finished` and `failed`: candidates with and without a complete training, interrupted ones in
        neither; `front`: identities on a front, best gain first; `pick`: whom the report recommends, the baseline
        where nobody gains enough, None where nothing can be; `picked`: its gain, `ci95`, verdict and evaluation seeds,
        None for the baseline; `answer`: the report's first sentences.
    """
    if record.ablation:
        return _of_ablation(record)
    if content:
        said, front = content.answer, content.front
    else:
        study = analyse(record)
        said, front = answer(study), study.front
    candidates = record.trials[record.trials.architecture != BASELINE]
    complete = set(candidates[candidates.state == State.COMPLETE].architecture)
    failed = set(candidates[~candidates.state.isin([State.COMPLETE, State.INTERRUPTED])].architecture) - complete
    return {
        "study": record.name,
        "finished": len(complete),
        "failed": len(failed),
        "front": [str(identity) for identity in front.index],
        "pick": said.pick.architecture if said.pick else None,
        "picked": asdict(said.pick.picked) if said.pick and said.pick.picked else None,
        "answer": f"{said.opening} {said.lead}".strip(),
    }


def _of_ablation(record: StudyRecord) -> dict[str, Any]:
    """Return the contract of `clo ablate --json`: the same, without a front and with every difference."""
    said = ablation_content(record)
    done = record.trials.state == State.COMPLETE
    tables = {}
    for name, rows in (("gains", said.gains), ("worths", said.worths)):
        known = rows.astype(object).where(rows.notna(), None)  # what is unknown is null
        many = known["readings_needed"].replace(math.inf, str(NoNumber.TOO_MANY))  # JSON has no number for it
        tables[name] = known.assign(readings_needed=many)
    return {
        "study": record.name,
        "finished": int(done.sum()),
        "failed": int((~done & ~(record.trials.state == State.INTERRUPTED)).sum()),
        "answer": f"{said.page.headline} {said.page.lead}".strip(),
        **{name: rows.to_dict("records") for name, rows in tables.items()},
    }


@dataclass(frozen=True, kw_only=True)
class LongTraining:
    """The paired result of one architecture's long trainings, of the seeds that both it and the baseline have.

    Attributes:
        gain_map50_95: Its mAP50-95 minus the baseline's, the mean; NaN where there is none.
        gain_low: Lower end of the 95 % interval, of these seeds alone; NaN with fewer than two.
        verdict: `better`, `worse`, `undecided` or `unmeasured`; `reference` of the baseline itself.
    """

    architecture: str
    epochs: int
    map50_95: float
    baseline_map50_95: float
    gain_map50_95: float
    gain_low: float
    gain_high: float
    seeds: int
    verdict: str

    def to_dict(self) -> dict[str, str | float | None]:
        """Convert for JSON; NaN becomes None."""
        values = asdict(self).items()
        return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in values}

    def __str__(self) -> str:
        after = f"After {words.count(self.epochs, 'epoch')}"
        if self.architecture == BASELINE:
            own = f"{words.plain(self.map50_95, 4)} ({words.count(self.seeds, 'seed')})"
            return f"{after} the baseline reaches mAP50-95 {own}; nothing is compared with it."
        interval = words.interval(self.gain_low, self.gain_high, 4, sign=True)
        return (
            f"{after} {self.architecture} reaches mAP50-95 {words.plain(self.map50_95, 4)}, the "
            f"baseline {words.plain(self.baseline_map50_95, 4)}: a gain of {words.signed(self.gain_map50_95, 4)} "
            f"{interval} over {words.count(self.seeds, 'seed')}, {self.verdict}."
        )


def long_training(record: StudyRecord, architecture: str, epochs: int, seeds: Sequence[int]) -> LongTraining:
    """Read off a study what trainings of so many epochs and these seeds yielded."""
    rows = record.trials
    rows = rows[(rows["epochs"] == epochs) & rows["seed"].isin(seeds)]
    pair = Pair(name=architecture, minuend=architecture, subtrahend=BASELINE, kind="long")
    found = contrasts(rows, [pair]).iloc[0]
    means = rows[rows["state"] == State.COMPLETE].groupby("architecture")["map50_95"].mean()
    gain, low, high, verdict = found["mean"], found["low"], found["high"], str(found["verdict"])
    if architecture == BASELINE:  # it is compared with nothing, least of all with itself
        gain = low = high = float("nan")
        verdict = Verdict.REFERENCE
    return LongTraining(
        architecture=architecture,
        epochs=epochs,
        map50_95=float(means.get(architecture, float("nan"))),
        baseline_map50_95=float(means.get(BASELINE, float("nan"))),
        gain_map50_95=float(gain),
        gain_low=float(low),
        gain_high=float(high),
        seeds=int(found["readings"]),
        verdict=verdict,
    )
