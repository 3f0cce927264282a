"""A study in a tracker that its reader has already: MLflow, TensorBoard, Weights & Biases, FiftyOne.

The study is a run and each training a run below it; what is logged is called what `trials.csv` calls it. A tracker is
imported when it is asked for, and tells its makers nothing. A study that is sent again replaces what was sent before.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import shutil
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from harness.analysis.new_images import INFLUENCE
from harness.analysis.statistics import summarise
from harness.architecture import BASELINE
from harness.common.digest import json_digest, text_digest
from harness.common.errors import UserError
from harness.common.printable import printable
from harness.record.data_dictionary import CURVE, TRIALS, Kind
from harness.record.state import State
from harness.record.storage_url import sqlite_url, without_password
from harness.record.study import StudyRecord
from harness.report import closing
from harness.report.curves import read_curve
from harness.report.images import Judged, judged, read_kept
from harness.report.write import CURVES, MATCHES
from harness.training.curve import curve_path
from harness.training.image_matches import LEAST_DRAWN, Array

Scalar = str | int | float | bool
# By what a tracker knows a run that is there already, whether it has changed, and a study's data set.
KEY, CONTENT, STUDY = "clo_nas.training", "clo_nas.content", "clo_nas_study"
# MLflow's words.
_ENDS: Mapping[str, str] = {State.COMPLETE: "FINISHED", State.INTERRUPTED: "KILLED"}
# Of TensorBoard's files that were written here.
_SUFFIX = ".clo_nas"
# Letters of a parameter, of which MLflow takes 6,000; the last step that a float can tell from the next.
_LONGEST, _FURTHEST = 5_000, 2**53
_QUIET = {  # unless the user has said otherwise
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # a server that is away is waited for through minutes else
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_INIT_TIMEOUT": "30",
    "WANDB_SILENT": "true",
    "FIFTYONE_DO_NOT_TRACK": "true",
}


class Tracker(StrEnum):
    """Where a study can be sent: the name of the package, and of the extra that installs it."""

    MLFLOW = "mlflow"
    TENSORBOARD = "tensorboard"
    WANDB = "wandb"
    FIFTYONE = "fiftyone"


@dataclass(frozen=True, kw_only=True)
class Run:
    """A training, or the study itself, as trackers see it.

    Attributes:
        name: ID-Nepochs-baseB-seedS, as its files are called; with its trial, where a later one was the same again.
        state: What became of it.
        params: Columns of trials.csv that measure nothing, or settings; without what is empty.
        metrics: Columns that measure or count something; finite ones.
        points: Step, or epoch where steps were not kept, to the readings there. The last one has the metrics as well:
            they are what a tracker calls the latest.
    """

    name: str
    state: str
    params: Mapping[str, Scalar]
    metrics: Mapping[str, float]
    points: Mapping[int, Mapping[str, float]]

    def when(self, column: str) -> int | None:
        """Return `started` or `finished` in milliseconds since 1970; None where it is no time."""
        time = pd.to_datetime(str(self.params.get(column)), utc=True, errors="coerce")
        return None if pd.isna(time) else int(time.timestamp() * 1000)


def require(trackers: Iterable[Tracker]) -> None:
    """Refuse trackers that are not installed; a folder of that name, as W&B makes one, is no package.

    Raises:
        UserError: One is not.
    """
    for tracker in trackers:
        found = importlib.util.find_spec(tracker)
        if found is None or found.origin is None:
            how = f'pip install "clo-nas[{tracker}]"'
            raise UserError(f"--log {tracker} needs {tracker}, which is not installed: {how}")


def send(tracker: Tracker, record: StudyRecord, folder: Path, source: Path | None = None) -> str:
    """Send a study to a tracker, and say in one line what went where.

    Args:
        tracker: An installed one.
        record: The study.
        folder: Where its report was written; what needs no server is written beside it.
        source: Its own folder, with curves and matches, where that is another.

    Raises:
        UserError: The tracker does not take it; everything in the folder stays.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    senders = {
        Tracker.MLFLOW: _to_mlflow,
        Tracker.TENSORBOARD: _to_tensorboard,
        Tracker.WANDB: _to_wandb,
        Tracker.FIFTYONE: _to_fiftyone,
    }
    try:
        return f"{tracker}: {senders[tracker](record, folder, source or folder)}"
    except UserError:
        raise
    except Exception as error:  # a tracker, its client and its server may raise anything
        said = without_password((str(error).strip() or type(error).__name__).splitlines()[0])
        again = f"`clo report` with --log {tracker} sends it again"
        raise UserError(f"--log {tracker}: {said}; the study is whole in {folder}, and {again}") from error


def study_run(record: StudyRecord) -> Run:
    """Build the run above all others, with the study's settings; what is no single value is JSON."""
    params: dict[str, Scalar] = {}
    for name, value in record.settings.to_dict().items():
        if re.fullmatch(r"\w{1,100}", name, re.ASCII) and not _is_empty(value):
            params[name] = _param(value if isinstance(value, Scalar) else json.dumps(value, default=str))
    return Run(name=record.name, state=State.COMPLETE, params=params, metrics={}, points={})


def runs_of(record: StudyRecord, folder: Path) -> tuple[Run, ...]:
    """Build a run of every training, in the order of trials.csv.

    Args:
        record: The study.
        folder: Its own, in which its curves lie.
    """
    rows = record.trials.drop(columns=INFLUENCE, errors="ignore").fillna({"base_seed": 0}).to_dict("records")
    keys = [(str(row["architecture"]), int(row["epochs"]), int(row["base_seed"]), int(row["seed"])) for row in rows]
    latest = {key: at for at, key in enumerate(keys)}
    runs = []
    for at, (row, key) in enumerate(zip(rows, keys, strict=True)):
        name, is_latest = curve_path(Path(), *key).stem, latest[key] == at
        curve = read_curve(folder / CURVES, key) if is_latest else None
        runs.append(_run(name if is_latest else f"{name}-trial{row['trial']}", row, curve))
    return tuple(runs)


def _run(name: str, row: Mapping[Hashable, Any], curve: pd.DataFrame | None) -> Run:
    known = {str(column): value for column, value in row.items() if not _is_empty(value)}
    numbers = {column for column in known if TRIALS[column].kind in {Kind.NUMBER, Kind.COUNT}}
    metrics = {column: float(known[column]) for column in known if column in numbers and math.isfinite(known[column])}
    params = {column: _param(value) for column, value in known.items() if column not in numbers}
    return Run(name=name, state=str(row["state"]), params=params, metrics=metrics, points=_points(curve, metrics))


def _points(curve: pd.DataFrame | None, metrics: Mapping[str, float]) -> Mapping[int, Mapping[str, float]]:
    numbers = pd.DataFrame() if curve is None else curve
    numbers = numbers.reindex(columns=[*CURVE]).apply(pd.to_numeric, errors="coerce").astype("float64")
    x = numbers["step"].fillna(numbers["epoch"])
    at = x.between(0, _FURTHEST)
    readings = numbers[at].drop(columns=["epoch", "step", "steps"]).to_dict("records")
    found = {
        int(step): {str(name): value for name, value in row.items() if math.isfinite(value)}
        for step, row in zip(x[at], readings, strict=True)
    }
    last = max(found, default=0)
    found[last] = {**found.get(last, {}), **metrics}
    return {step: found[step] for step in sorted(found) if found[step]}


def _is_empty(value: object) -> bool:
    return value in (None, "", [], {}, ()) or (isinstance(value, float) and math.isnan(value))


def _param(value: object) -> Scalar:
    return value if isinstance(value, bool | int | float) else printable(str(value))[:_LONGEST]


def _artefacts(folder: Path) -> list[Path]:
    return [path for name in ("report.html", "trials.csv") if (path := folder.absolute() / name).is_file()]


def _to_mlflow(record: StudyRecord, folder: Path, source: Path) -> str:
    from mlflow import MlflowClient
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    uri, where, local = os.environ.get("MLFLOW_TRACKING_URI"), None, folder.absolute() / "mlruns"
    if not uri:  # MLflow no longer writes plain folders
        local.mkdir(parents=True, exist_ok=True)
        uri, where = sqlite_url(local / "mlflow.db"), (local / "artifacts").as_uri()
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(record.name)
    number = experiment.experiment_id if experiment else client.create_experiment(record.name, where)
    runs, logged = runs_of(record, source), client.search_runs([number], max_results=50_000)
    there = {run.data.tags[KEY]: run for run in logged if KEY in run.data.tags}
    log = partial(_into_mlflow, client, number, there)
    parent = log(study_run(record), "study", {})
    for run in runs:
        log(run, run.name, {MLFLOW_PARENT_RUN_ID: parent})
    for file in _artefacts(folder):
        client.log_artifact(parent, str(file))
    return f"{len(runs)} trainings in experiment {record.name} at {without_password(uri)}"


def _into_mlflow(
    client: Any, number: str, there: Mapping[str, Any], run: Run, key: str, tags: Mapping[str, str]
) -> str:
    """Log a run and return its identity. One that has changed replaces the old one, whose parameters cannot change."""
    from mlflow.entities import Metric, Param

    content, old = json_digest(asdict(run)), there.get(key)
    if old and old.data.tags.get(CONTENT) == content:
        for tag in tags:
            client.set_tag(old.info.run_id, tag, tags[tag])
        return str(old.info.run_id)
    end = run.when("finished")
    made = client.create_run(number, run.when("started"), {KEY: key, **tags}, run.name).info.run_id
    client.log_batch(made, params=[Param(name, str(value)) for name, value in run.params.items()])
    metrics = [Metric(name, run.points[step][name], end or 0, step) for step in run.points for name in run.points[step]]
    for first in range(0, len(metrics), 1_000):
        client.log_batch(made, metrics=metrics[first : first + 1_000])
    client.set_tag(made, CONTENT, content)  # after all else: what was cut short is made anew
    client.set_terminated(made, _ENDS.get(run.state, "FAILED"), end)
    if old:
        client.delete_run(old.info.run_id)
    return str(made)


def _to_tensorboard(record: StudyRecord, folder: Path, source: Path) -> str:
    from torch.utils.tensorboard import SummaryWriter
    from torch.utils.tensorboard.summary import hparams

    root, runs = folder / "tensorboard", runs_of(record, source)
    for old in root.glob(f"*/events.out.tfevents.*{_SUFFIX}"):
        old.unlink()
    for run in runs:
        with SummaryWriter(root / run.name, filename_suffix=_SUFFIX) as writer:
            for summary in hparams(dict(run.params), dict(run.metrics)):  # type: ignore[no-untyped-call]
                writer.file_writer.add_summary(summary)
            for step, values in run.points.items():
                for name, value in values.items():
                    writer.add_scalar(name, value, step)
    return f"{len(runs)} trainings in {root}: tensorboard --logdir {root}"


def _to_wandb(record: StudyRecord, folder: Path, source: Path) -> str:
    import wandb
    from requests.utils import get_netrc_auth

    known, runs, here = wandb.setup().settings, runs_of(record, source), folder.absolute()
    hosts = known.base_url, "https://api.wandb.ai"
    logged_in = known.api_key or known.identity_token_file or any(map(get_netrc_auth, hosts))
    stays = known.mode == "online" and "WANDB_MODE" not in os.environ and not logged_in
    settings = wandb.Settings(  # the study alone: nothing of the machine, its other packages, or this program
        console="off", disable_git=True, host="-", save_code=False, symlink=False, x_disable_machine_info=True,
        x_disable_meta=True, x_disable_stats=True, x_save_requirements=False,
    )  # fmt: skip
    project = os.environ.get("WANDB_PROJECT", "clo-nas")
    for kind, run in (("study", study_run(record)), *(("training", run) for run in runs)):
        key = text_digest(json.dumps([record.name, kind, run.name]))[:32]
        for old in (here / "wandb").glob(f"offline-run-*-{key}"):
            shutil.rmtree(old)
        into = wandb.init(
            project=project, group=record.name, job_type=kind, name=run.name, id=key, resume="allow", dir=str(here),
            mode="offline" if stays else None, settings=settings,
        )  # fmt: skip
        into.config.update({KEY: run.name, **run.params}, allow_val_change=True)
        for step in run.points:
            if step >= into.step:  # what is before was sent before
                into.log(dict(run.points[step]), step=step)
        into.summary.update(dict(run.metrics))
        for file in _artefacts(folder) if kind == "study" else ():
            into.save(str(file), base_path=str(here), policy="now")
        into.finish(exit_code=int(run.state != State.COMPLETE))
    why = "; offline, since nobody is logged in (`wandb login`, then `wandb sync` these)" if stays else ""
    return f"{len(runs)} trainings in group {record.name}, by way of {folder / 'wandb'}{why}"


def _to_fiftyone(record: StudyRecord, _folder: Path, source: Path) -> str:
    import fiftyone

    found, name, gone = _most_telling(record, source), record.name, 0
    if fiftyone.dataset_exists(name):
        old = fiftyone.load_dataset(name)
        if old.info.get(STUDY) != name:
            raise UserError(f"--log fiftyone: there is a data set {name} that clo-nas did not make; rename that one")
        old.delete()
    ours, theirs = found.pairs[0]
    field = re.sub(r"\W", "_", found.architecture, flags=re.ASCII).strip("_")
    samples = []
    for at, path in enumerate(ours.names):
        file = Path(path).expanduser().absolute()
        if not (path.isprintable() and file.is_file()):
            gone += 1
            continue
        sample = fiftyone.Sample(filepath=str(file))
        sample["ground_truth"] = _boxes(ours.classes, ours.target_boxes[at], ours.target[at], None)
        sample["baseline"] = _boxes(ours.classes, ours.boxes[at], ours.predicted[at], ours.confidence[at])
        own = f"candidate_{field}" if field in {"", *sample.field_names} else field
        sample[own] = _boxes(theirs.classes, theirs.boxes[at], theirs.predicted[at], theirs.confidence[at])
        samples.append(sample)
    made = fiftyone.Dataset(name, persistent=True)
    made.info = {STUDY: name}
    made.save()
    made.add_samples(samples, progress=False)
    seen = f"{len(samples)} images with what the baseline and {found.architecture} found under seed {found.seeds[0]}"
    return f"{seen}, in the data set {name}; not found: {gone}"


def _most_telling(record: StudyRecord, source: Path) -> Judged:
    """Choose the pick beside the baseline; where one has no matches, the candidate of the highest gain with some."""
    gains = summarise(record.trials, record.look)["gain_map50_95"].sort_values(ascending=False)
    read = partial(read_kept, source / MATCHES)
    for name in dict.fromkeys([closing(record).get("pick"), *gains.index]):
        if name not in {None, BASELINE} and (found := judged(record, str(name), read, most=1)):
            return found
    raise UserError(f"--log fiftyone: {source / MATCHES} holds no matches with boxes of a candidate and the baseline")


def _boxes(classes: Sequence[str], boxes: Array, numbers: Array, confidence: Array | None) -> Any:
    """Convert objects, or the detections whose boxes were kept, for FiftyOne."""
    import fiftyone

    sure = [None] * len(boxes) if confidence is None else confidence.tolist()
    made = [
        fiftyone.Detection(
            label=printable(classes[number]) if number < len(classes) else str(number),
            bounding_box=[left, top, right - left, bottom - top],
            confidence=how_sure,
        )
        for (left, top, right, bottom), number, how_sure in zip(boxes.tolist(), numbers.tolist(), sure, strict=True)
        if how_sure is None or how_sure >= LEAST_DRAWN
    ]
    return fiftyone.Detections(detections=made)
