"""Makes the stored studies of `tests/characterisation/studies`, with the version that is checked out.

    python -m tests.characterisation.make_studies [NAME ...]

Run by hand, and only where a new study is wanted: what is stored stands for what an older version has left, so that a
later version must read it, go on from it and say the same. Trainings are pretended (`door.Trainings`), all else is
real: the command line, the loops, the sampler, the SQLite storage. Times, members and folders are replaced by ones
that name no machine.

- `search`: finished; 22 of 24 candidates, two of which failed, three finalists with four seeds.
- `killed`: the same kind of search, killed under its fifth and sixth training.
- `ladder` and `killed-ladder`: a search with `--rungs`; and one that was killed among the longer trainings.
- `ablation`: finished, from two bases, with three seeds.
- `two` and `two@example-gpu`: one name, two kinds of devices.
- `older`: as a version before the base's seed, evaluators, images' influence, looks and the CPU's name were kept.
- `tables`: the folder that a report of `search` leaves, without the storage.

A reproduction and an old study's folder are those of `results/reference`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.characterisation import door
from tests.characterisation.places import DATA, STUDIES, bring_data

SPACE = """\
name: mine
sites: [neck.P4, neck.P5]
max_blocks: 1
placement:
  kind: [block]
  heads: [4]
  local_share: [0.5]
  kernel: [3, 5, 7]
  kv_pool: [1, 2]
  ffn_ratio: [1, 2]
"""
FEW = SPACE.replace("[1, 2]", "[2]")
"""Six candidates: a search that trains them all ends alike whatever a sampler proposes first."""
ABLATION = """\
name: ablation
data: data/data.yaml
imgsz: 64
epochs: 2
base_epochs: 4
models: [yolov5n-clo-head]
factors: {gate: [none], operator: [conv]}
controls: [se]
placebos: [params]
seeds: 3
bases: 2
"""
SHORT = ("--data", "data/data.yaml", "--imgsz", "64", "--threads", "1", "--device", "cpu",
         "--workers", "2", "--quiet")  # fmt: skip
SEARCH = ("search", *SHORT, "--study", "search", "--space", "space.yaml", "--trials", "22",
          "--finalists", "3", "--seeds", "4")  # fmt: skip
KILLED = ("search", *SHORT, "--study", "killed", "--space", "few.yaml", "--trials", "6",
          "--finalists", "2", "--seeds", "3")  # fmt: skip
LADDER = ("search", *SHORT, "--study", "ladder", "--space", "few.yaml", "--from-scratch", "--trials", "6",
          "--rungs", "2x1, 2x2, 6x3")  # fmt: skip
KILLED_LADDER = tuple("killed-ladder" if word == "ladder" else word for word in LADDER)
ABLATE = ("ablate", "ablation.yaml", "--workers", "2", "--threads", "1", "--device", "cpu", "--quiet")
TWO = ("search", *SHORT, "--study", "two", "--space", "few.yaml", "--trials", "3",
       "--finalists", "1", "--seeds", "2")  # fmt: skip
OLDER = tuple("older" if word == "two" else word for word in TWO)
GPU = "Example GPU"
COMMANDS = {"search": SEARCH, "killed": KILLED, "ladder": LADDER, "killed-ladder": KILLED_LADDER, "ablation": ABLATE}
"""Study to the command that makes it, and goes on with it."""


def some_fail(asked: door.Asked) -> Any:
    """Fail one model of the search, and let another run out of memory, whatever the seed."""
    luck = door.draw(asked.model, "fails")
    if luck < 0.03:
        return door.failure("failed", "loss is nan")
    return door.failure("out_of_memory", "9.1 GB asked for, 4 GB free") if luck > 0.86 else None


FIDELITY = """\
name: short
base: yolov5n
data: data/data.yaml
imgsz: 64
batch: 2
base_epochs: 1
cohort: {few.yaml: 4}
long: {name: long, epochs: 9, seeds: [0, 1]}
short: [{name: brief, epochs: 3, seeds: [2, 3]}]
"""


def bring_files(folder: Path) -> None:
    """Put what the commands name into a folder: data, search space, ablation."""
    bring_data(folder)
    (folder / "space.yaml").write_text(SPACE, encoding="utf-8")
    (folder / "few.yaml").write_text(FEW, encoding="utf-8")
    few_arms = ABLATION.replace("[params]", "[]").replace("[se]", "[]").replace("operator: [conv]", "")
    (folder / "few-arms.yaml").write_text(few_arms, encoding="utf-8")
    (folder / "fidelity.yaml").write_text(FIDELITY, encoding="utf-8")
    (folder / "ablation.yaml").write_text(ABLATION, encoding="utf-8")


def finished(*command: str, kind: str = door.CPU) -> door.Trainings:
    """Run a command to its end."""
    with door.pretended(door.Trainings(some_fail), kind=kind) as trainings:
        said = door.clo(*command)
    assert said.code == 0, said
    return trainings


def killed(*command: str, at: int) -> None:
    """Run a command until its process dies under a training."""
    with door.pretended(door.Trainings(some_fail)) as trainings:
        trainings.killed_at = at
        with contextlib.suppress(door.Killed):
            door.clo(*command)


def make_two() -> None:
    finished(*TWO)
    finished(*TWO, kind=GPU)


def make_older() -> None:
    finished(*OLDER)


def make_tables() -> None:
    finished(*("tables" if word == "search" and at else word for at, word in enumerate(SEARCH)))


MAKERS: dict[str, Callable[[], object]] = {
    "search": lambda: finished(*SEARCH),
    "killed": lambda: killed(*KILLED, at=6),
    "ladder": lambda: finished(*LADDER),
    "killed-ladder": lambda: killed(*KILLED_LADDER, at=18),
    "ablation": lambda: finished(*ABLATE),
    "two": make_two,
    "older": make_older,
    "tables": make_tables,
}
TABLES = ("trials.parquet", "environment.json", "study.json", "per_class.csv", "architectures")
"""What a report of a folder without storage is rendered from."""


def keep(name: str, folder: Path) -> None:
    """Take a study's storage, and what longer trainings go on from, into the stored studies."""
    target = STUDIES / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    if name == "tables":
        for each in TABLES:
            (shutil.copytree if (folder / each).is_dir() else shutil.copy)(folder / each, target / each)
        surroundings = target / "environment.json"
        written = surroundings.read_text(encoding="utf-8")
        surroundings.write_text(written.replace(str(Path.cwd()), "/study"), encoding="utf-8")
        return
    with contextlib.closing(sqlite3.connect(folder / "study.db")) as source:
        settle(source)
        if name == "older":
            age(source)
        with contextlib.closing(sqlite3.connect(target / "study.db")) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
            copy.execute("PRAGMA page_size=1024")  # of many small tables
            copy.execute("VACUUM")
    if (folder / "weights").is_dir():
        shutil.copytree(folder / "weights", target / "weights")


def settle(database: sqlite3.Connection) -> None:
    """Replace times by the trial's number in seconds, members by `worker`, and the folder by `/study`."""
    here = str(Path.cwd())
    for table in ("trial_user_attributes", "study_user_attributes"):
        rows = database.execute(f"SELECT rowid, value_json FROM {table}").fetchall()
        for row, text in rows:
            value = json.loads(text.replace(here, "/study"))
            if isinstance(value, dict) and "started" in value:
                value |= {"started": "2026-01-01T00:00:00+00:00", "worker": "worker"}
                value |= {"finished": "2026-01-01T00:01:00+00:00"} if "finished" in value else {}
            database.execute(f"UPDATE {table} SET value_json = ? WHERE rowid = ?", (json.dumps(value), row))
    database.execute("UPDATE trials SET datetime_start = '2026-01-01 00:00:00'")
    database.execute("UPDATE trials SET datetime_complete = '2026-01-01 00:01:00' WHERE datetime_complete IS NOT NULL")
    database.commit()


LATER = ("base_seed", "evaluator", "image_influence", "ultralytics_map50_95", "coco_map50_95", "coco_map50",
         "coco_map_small", "coco_map_medium", "coco_map_large", "cpu_seconds", "per_class", "worker",
         "flops")  # fmt: skip
"""Entries of a row that came after the first version."""
LATER_SETTINGS = ("devices_per_training", "epochs_of_rungs", "required_sites", "forbidden_sites", "min_gain", "rungs",
                  "allow_unusable", "allow_val_in_train")  # fmt: skip
LATER_ATTRIBUTES = ("looks", "expected_gains")


def age(database: sqlite3.Connection) -> None:
    """Take out what an early version did not keep."""
    for name in LATER_ATTRIBUTES:
        database.execute("DELETE FROM study_user_attributes WHERE key = ?", (name,))
    for key, table, later in (
        ("row", "trial_user_attributes", LATER),
        ("settings", "study_user_attributes", LATER_SETTINGS),
        ("last_run", "study_user_attributes", LATER_SETTINGS),
        ("environment", "study_user_attributes", ("latency_threads", "data_counts", "data_root", "program", "folder")),
    ):
        for row, text in database.execute(
            f"SELECT rowid, value_json FROM {table} WHERE key = ?",
            (key,),
        ).fetchall():
            value = {name: each for name, each in json.loads(text).items() if name not in later}
            if "device_kind" in value:
                value["device_kind"] = "cpu"
            database.execute(f"UPDATE {table} SET value_json = ? WHERE rowid = ?", (json.dumps(value), row))
    database.commit()


@contextlib.contextmanager
def working_folder() -> Iterator[Path]:
    """An empty folder with data, space and ablation, a cache of its own, and the working folder as long as it lasts."""
    before, cache = Path.cwd(), os.environ.get("CLO_NAS_CACHE")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        bring_files(folder)
        os.environ["CLO_NAS_CACHE"] = str(folder / "cache")
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(before)
            os.environ.pop("CLO_NAS_CACHE")
            os.environ |= {} if cache is None else {"CLO_NAS_CACHE": cache}


def main() -> None:
    """Make the studies that were named, or all."""
    assert DATA.is_dir()
    for name in sys.argv[1:] or MAKERS:
        with working_folder() as folder:
            MAKERS[name]()
            for made in sorted((folder / "results").iterdir()):
                keep(made.name, made)
                print(made.name)


if __name__ == "__main__":
    main()
