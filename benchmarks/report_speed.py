"""How long a report takes, part by part, by the number of candidates; the whole command has its imports in it, too.

The studies are made up, of architectures of the default space: a tenth of the candidates judged on further seeds,
2 % failed. Their accuracies and costs follow the number of blocks, with noise.

    python benchmarks/report_speed.py
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import optuna
import typer
from optuna.trial import FrozenTrial, TrialState, create_trial

from harness.architecture import BASELINE, Architecture
from harness.common.isolation import isolate_ultralytics
from harness.detectors import find_sites, insert, map_sizes, mode_channels, resolve_base, to_yaml
from harness.record.study import ARCHITECTURE, MODEL_YAML, ROLE, ROW, SETTINGS, TRAINING
from harness.report import closing
from harness.report.png import draw_png, draw_svg
from harness.report.renderers import render_html, render_markdown
from harness.report.search import search_content
from harness.space import SearchSpace, load_space
from harness.storage.records import load_record

BASE, IMGSZ, STUDY = "yolov5n", 128, "speed"
SEEDS, FINALISTS, FAILED = 4, 0.1, 0.02
CONTROLS = (0.495, 0.501, 0.492, 0.500)
SECONDS = ("read", "words and tables", "importances", "pictures", "page", "last words")
Result = TypeVar("Result")


def make(count: int, url: str) -> None:
    """Store a study of so many candidates."""
    base, rng = resolve_base(BASE), random.Random(0)
    sites = find_sites(base)
    channels, maps = mode_channels(sites), map_sizes(sites, IMGSZ)
    space = SearchSpace(load_space("default"), base=BASE, channels=channels, maps=maps)
    unmodified = Architecture(base=BASE)
    chosen: dict[str, Architecture] = {BASELINE: unmodified}
    while len(chosen) <= count:
        drawn = space.draw(rng)
        chosen[space.identity(drawn)] = drawn
    levels = {f"{site}:{asked}": each for site, all_ in space.distributions.items() for asked, each in all_.items()}
    trials = []
    for name, architecture in chosen.items():
        yaml = to_yaml(insert(base, architecture, sites=sites, classes=10), name)
        params = {asked: value for asked, value in space.parameters(architecture).items() if asked in levels}
        judged = name == BASELINE or rng.random() < FINALISTS
        lost = name != BASELINE and rng.random() < FAILED
        gain = 0.0 if name == BASELINE else rng.gauss(0.002 * len(architecture.placements), 0.004)
        for seed in range(SEEDS if judged and not lost else 1):
            row = _row(name, seed, gain + rng.gauss(0, 0.003) * (name != BASELINE), architecture, rng, lost=lost)
            trials.append(
                _trial(row, architecture, yaml, params, {asked: levels[asked] for asked in params}, lost=lost)
            )
    study = optuna.create_study(storage=url, study_name=STUDY, directions=["maximize", "minimize"])
    study.set_metric_names(["map50_95", "latency"])
    study.set_user_attr(SETTINGS, {"base": BASE, "data": "digits", "imgsz": IMGSZ, "epochs": 3, "trials": count})
    study.add_trials(trials)


def _row(name: str, seed: int, gain: float, architecture: Architecture, rng: random.Random, *, lost: bool) -> Any:
    ratio = 1 + 0.06 * len(architecture.placements) + (rng.gauss(0, 0.02) if architecture.placements else 0)
    accuracy = {} if lost else {"map50_95": CONTROLS[seed] + gain, "map50": CONTROLS[seed] + gain + 0.2}
    begun = f"2026-01-01T{rng.randrange(24):02}:{rng.randrange(60):02}"
    return {
        "architecture": name, "seed": seed, "epochs": 3, "state": "failed" if lost else "complete",
        "reason": "loss is NaN" if lost else "", **accuracy, "latency_ms_p50": 10 * ratio, "latency_ms_p90": 11 * ratio,
        "latency_ratio": ratio, "latency_ratio_low": ratio - 0.02, "latency_ratio_high": ratio + 0.02,
        "macs": 1e8 * ratio, "flops": 2e8 * ratio, "params": 1.8e6 * ratio, "train_seconds": 30.0,
        "started": f"{begun}:00Z", "finished": f"{begun}:30Z", "selected_on": seed == 0,
    }  # fmt: skip


def _trial(row: Any, architecture: Architecture, yaml: str, params: Any, levels: Any, *, lost: bool) -> FrozenTrial:
    return create_trial(
        params=params,
        distributions=levels,
        values=None if lost else [row["map50_95"], row["latency_ms_p50"]],
        state=TrialState.FAIL if lost else TrialState.COMPLETE,
        user_attrs={ROLE: TRAINING, ROW: row, ARCHITECTURE: architecture.to_dict(), MODEL_YAML: yaml},
    )


def measure(folder: Path, url: str) -> dict[str, float]:
    """Seconds of each part, and of the whole command in a process of its own: wall and CPU."""
    from harness.analysis.importance import importances

    found, record = {}, load_record(url, STUDY)
    found["read"], record = _timed(lambda: load_record(url, STUDY))
    found["importances"], _ = _timed(lambda: importances(record.choices))
    whole, said = _timed(lambda: search_content(record))
    found["words and tables"] = whole - found["importances"]
    sheet = (said.figures, STUDY, said.answer.headline)
    found["pictures"], _ = _timed(lambda: (draw_png(*sheet), draw_svg(*sheet)))
    found["page"], page = _timed(lambda: (render_html(said.page), render_markdown(said.page)))
    found["last words"], _ = _timed(lambda: closing(record, said))
    found["MB"] = len(page[0]) / 1e6
    typed = [sys.executable, "-m", "harness", "report", STUDY, "--results", str(folder)]
    before = os.times()
    found["command"], _ = _timed(lambda: subprocess.run(typed, check=True, stdout=subprocess.DEVNULL))
    after = os.times()
    found["CPU"] = after.children_user + after.children_system - before.children_user - before.children_system
    return found


def main(candidates: Annotated[str, typer.Option(help="Candidates, comma-separated.")] = "10,100,1000") -> None:
    """Print the table."""
    isolate_ultralytics()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # the names of objectives
    heads = (*SECONDS, "command", "CPU", "MB")
    print(f"{'candidates':>10}", *(f"{head:>{max(7, len(head))}}" for head in heads))
    for count in map(int, candidates.split(",")):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / STUDY
            folder.mkdir()
            url = f"sqlite:///{(folder / 'study.db').as_posix()}"
            make(count, url)
            found = measure(Path(place), url)
        print(f"{count:>10}", *(f"{found[head]:>{max(7, len(head))}.2f}" for head in heads), flush=True)


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


if __name__ == "__main__":
    typer.run(main)
