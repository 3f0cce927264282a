"""What a search works on: the base, its sites, the data, the space and the device, each checked.

And what is said of the data before a training begins, and kept of them in `environment.json`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import torch

from harness.architecture import Architecture
from harness.common.errors import UserError
from harness.common.isolation import cache_folder
from harness.common.machine import resolve_device, without_home
from harness.common.yaml_file import kind_of
from harness.data.check import DatasetInfo, check_dataset
from harness.detectors import (
    Base,
    Site,
    find_sites,
    map_sizes,
    mode_channels,
    read_architecture,
    read_yaml,
    recognised,
    resolve_base,
)
from harness.jobs.place import Place, connect
from harness.record.form import check_block_files
from harness.record.settings import SearchSettings, sqlite_url
from harness.record.surroundings import DATA_CAUTIONS, DATA_REPAIRS
from harness.space import SearchSpace, load_space
from harness.storage.records import load_record, study_names
from harness.training.accuracy import Schedule

_MEMORY_OF_A_TRAINING = 1.2e9
"""Bytes that a training on CPU may need; YOLOv5n at 128 px peaked at 0.65 GB (`benchmarks/workers.py`)."""
_MOST_WORKERS = 4
"""Default number of trainings at once on CPU; more is asked for with `--workers`."""


@dataclass(frozen=True, kw_only=True)
class Setting(Place):
    """All that stays the same through a search.

    Attributes:
        device: `cpu` or numbers of CUDA devices, comma-separated.
        threads_alone: CPU threads of the common base's training, which runs alone.
        latency_threads: CPU threads of latency measurements; the study's (`harness.jobs.latency_threads`).
    """

    settings: SearchSettings
    base: Base
    data: DatasetInfo
    sites: dict[str, Site]
    space: SearchSpace
    schedule: Schedule
    device: str
    threads_alone: int
    latency_threads: int

    @property
    def devices(self) -> list[str]:
        """What a training may run on, each; on a cluster all that one of its tasks gets."""
        return [self.device] if self.cluster else self.device.split(",")

    @property
    def classes(self) -> int:
        """Number of classes of the data."""
        return len(self.data.names)


def prepare(settings: SearchSettings) -> Setting:
    """Read and check everything that was named.

    Raises:
        UserError: Something does not exist or does not fit together.
    """
    cluster = connect(settings.executor, settings.cluster, settings.workers)
    if cluster is not None:
        device, cores = cluster.device, settings.cluster.cpus_per_trial
        workers = cluster.workers
    else:
        device, cores = resolve_device(settings.device), torch.get_num_threads()
        workers = settings.workers or default_workers(device, cores, psutil.virtual_memory().available)
    base = resolve_base(settings.base)
    sites = find_sites(base)
    space = SearchSpace(
        load_space(settings.space),
        base=base.name,
        channels=mode_channels(sites),
        maps=map_sizes(sites, settings.imgsz),
        required=settings.constraints.required_sites,
        forbidden=settings.constraints.forbidden_sites,
    )
    data = check_dataset(
        settings.data,
        settings.imgsz,
        cache=cache_folder(),
        allow_unusable=settings.allow_unusable,
        allow_val_in_train=settings.allow_val_in_train,
    )
    if cluster is not None:
        weights = [base.checkpoint] if base.checkpoint else []
        cluster.ask_nodes([data.path, *weights, *space.file.block_files], settings.folder)
    return Setting(
        settings=settings,
        base=base,
        data=data,
        sites=sites,
        space=space,
        schedule=Schedule(
            epochs=settings.epochs,
            batch=settings.batch,
            imgsz=settings.imgsz,
            learning_rate=settings.learning_rate,
            block_rate_factor=settings.block_rate_factor,
        ),
        device=device,
        workers=workers,
        threads=settings.threads or (max(1, cores // workers) if cluster is None else cores),
        threads_alone=settings.threads or cores,
        latency_threads=settings.threads or cores,
        cluster=cluster,
    )


def default_workers(device: str, cores: int, memory_bytes: float) -> int:
    """Trainings at once that suit the machine.

    On CPU one a core: a small detector gains little from a second thread, and loses where the cores
    have other work (`benchmarks/workers.py`). On CUDA one a GPU.

    Args:
        device: `cpu` or numbers of CUDA devices, comma-separated.
        cores: Usable cores.
        memory_bytes: Free memory.
    """
    if device != "cpu":
        return len(device.split(","))
    return max(1, min(cores, int(memory_bytes // _MEMORY_OF_A_TRAINING), _MOST_WORKERS))


def included(setting: Setting) -> list[Architecture]:
    """The candidates that the user wants tried first.

    Raises:
        UserError: One does not exist, or is not in the space.
    """
    found = []
    constraints = setting.settings.constraints
    for spec in setting.settings.include:
        architecture = find_architecture(
            spec, setting.base, setting.settings.results, option="--include", storage=setting.settings.storage
        )
        if not setting.space.holds(architecture):
            chosen = constraints.required_sites or constraints.forbidden_sites
            sites = ", with the sites of --with and --without" if chosen else ""
            raise UserError(
                f"--include {spec}: {architecture.describe()} is not in space '{setting.space.file.name}'{sites}"
            )
        found.append(architecture)
    return found


def find_architecture(spec: str, base: Base, results: Path, *, option: str, storage: str | None = None) -> Architecture:
    """The blocks that a person means: an architecture file, a model of the article, or STUDY/ID of a study.

    Args:
        spec: What was given.
        base: The detector that they are for.
        results: Folder that holds one folder a study.
        option: Where it was given, for messages.
        storage: Where studies are looked for too that have no file in their folder.

    Raises:
        UserError: It is none of these, or of another base.
    """
    study, _, identity = spec.rpartition("/")
    named = read_architecture(spec)
    if named is not None:
        is_file = Path(spec).is_file()
        hint = "" if is_file else f"; name {spec.replace(named.base, base.name, 1)}"
        _check_base(named.base, None, base, f"{option} {spec}", hint)
        return replace(named, base=base.name)
    if Path(spec).is_file():
        return _of_model_yaml(spec, base, option)
    file = results / study / "study.db"
    url = sqlite_url(file) if file.is_file() else storage
    if study and url is not None and study in study_names(url):
        record = load_record(url, study)
        if identity not in record.architectures:
            raise UserError(f"{option} {spec}: study {study} has no architecture '{identity}'")
        found = record.architectures[identity]
        _check_base(found.base, record.settings.base_fingerprint, base, f"{option} {spec}", "")
        check_block_files(study, found.block_files, results / study)
        return found
    raise UserError(
        f"{option} {spec}: neither an architecture file, nor a model of the article such as "
        f"{base.name}-clo-head, nor STUDY/ID of a study in the results folder"
    )


def _check_base(named: str, fingerprint: str | None, base: Base, where: str, hint: str) -> None:
    """Refuse an architecture of another base: its sites and channels would mean something else here.

    Raises:
        UserError: The bases differ, by description or weights where these are known, else by name.
    """
    if fingerprint is None:
        with suppress(UserError):  # a checkpoint that is not where the file was written
            fingerprint = resolve_base(named).fingerprint
    same = fingerprint == base.fingerprint if fingerprint else Path(named).name == base.name
    if not same:
        other = f"is {Path(named).name}, not {base.name}"
        if Path(named).name == base.name:
            other = f"is another {base.name}, with other layers or weights"
        raise UserError(f"{where}: this model's base {other}{hint or '; only architectures of one base are compared'}")


def _of_model_yaml(spec: str, base: Base, option: str) -> Architecture:
    """The architecture of a model YAML, as reports hold them."""
    data = read_yaml(Path(spec))
    if not {"backbone", "head"} <= set(data):
        raise UserError(
            f"{option} {spec}: this is {kind_of(data)}; an architecture file has 'base' and 'placements', as "
            "`clo export STUDY ID --to architecture` writes it"
        )
    found = recognised(resolve_base(spec).config, base, find_sites(base))
    if found is None:
        raise UserError(
            f"{option} {spec}: this model YAML is none of {base.name} with blocks at its sites; give the architecture "
            "file that `clo export STUDY ID --to architecture` writes, or STUDY/ID"
        )
    return found


def data_notes(data: DatasetInfo, imgsz: int, batch: int) -> list[str]:
    """Sentences for the plan: where the data are, how much is used, what is not, and what to beware of.

    Args:
        data: Of `check_dataset`.
        imgsz: Side of the square input, in pixels.
        batch: Batch size.
    """
    counts = f"{data.train_images:,} training and {data.val_images:,} validation images"
    where = f"{data.root}, " if data.root else ""
    cautions = (*data.cautions, *_remainder(data.train_images, batch))
    return [f"data: {each}" for each in (f"{where}{counts}, at {imgsz} px", *data.repairs, *cautions)]


def data_environment(data: DatasetInfo) -> dict[str, object]:
    """Plain data for JSON: what the loader uses, and what it does not."""
    return {
        "train_images": data.train_images,
        "val_images": data.val_images,
        "data_root": None if data.root is None else without_home(str(data.root)),
        "data_counts": {split: dict(counts) for split, counts in data.counts.items()},
        DATA_REPAIRS: list(data.repairs),
        DATA_CAUTIONS: list(data.cautions),
    }


def _remainder(images: int, batch: int) -> list[str]:
    """A sentence about batches of one image, of which batch normalisation of a 1 × 1 map has no variance."""
    if batch > 1 and images % batch != 1:
        return []
    which = "each batch is one image" if batch == 1 else "the last batch of each epoch is a single image"
    sizes = range(max(2, batch - 1), batch + images)
    better = next((f"; --batch {size} avoids it" for size in sizes if images % size != 1), "")
    return [
        f"{which}: a block that pools a map to one value and normalises it over the batch cannot be trained so{better}."
    ]
