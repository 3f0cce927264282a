"""What a search works on: the base, its sites, the data, the space and the device, each checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from harness.architecture import Architecture
from harness.data.check import DatasetInfo, check_dataset
from harness.detectors import Base, Site, find_sites, map_sizes, mode_channels, read_architecture, resolve_base
from harness.errors import UserError
from harness.isolation import cache_folder
from harness.measure.accuracy import Schedule
from harness.records import load_record, study_names
from harness.search.place import Place, connect
from harness.settings import SearchSettings, sqlite_url
from harness.space import SearchSpace, load_space
from harness.study_form import check_block_files

_MEMORY_OF_A_TRAINING = 1.2e9
"""Bytes that a training on CPU may need; YOLOv5n at 128 px peaked at 0.65 GB (`benchmarks/workers.py`)."""
_MOST_WORKERS = 4
"""Default number of trainings at once on CPU; more is asked for with `--workers`."""


@dataclass(frozen=True, kw_only=True)
class Setting(Place):
    """All that stays the same through a search.

    Attributes:
        device: `cpu` or numbers of CUDA devices, comma-separated.
        threads_alone: CPU threads of what runs alone: measuring latency, training the common base.
    """

    settings: SearchSettings
    base: Base
    data: DatasetInfo
    sites: dict[str, Site]
    space: SearchSpace
    schedule: Schedule
    device: str
    threads_alone: int

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
        if not Path(spec).is_file() and named.base != base.name:
            raise UserError(
                f"{option} {spec}: this model's base is {named.base}, not {base.name}; "
                f"name {spec.replace(named.base, base.name, 1)}"
            )
        return named
    file = results / study / "study.db"
    url = sqlite_url(file) if file.is_file() else storage
    if study and url is not None and study in study_names(url):
        record = load_record(url, study)
        if identity not in record.architectures:
            raise UserError(f"{option} {spec}: study {study} has no architecture '{identity}'")
        check_block_files(study, record.architectures[identity].block_files, results / study)
        return record.architectures[identity]
    raise UserError(
        f"{option} {spec}: neither an architecture file, nor a model of the article such as "
        f"{base.name}-clo-head, nor STUDY/ID of a study in the results folder"
    )


def resolve_device(device: str) -> str:
    """`cpu` or CUDA device numbers such as `0` or `0,1`.

    Raises:
        UserError: The device does not exist here.
    """
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return "0" if available else "cpu"
    if device == "cpu":
        return device
    numbers = device.removeprefix("cuda:").split(",")
    if not all(re.fullmatch(r"\s*[0-9]{1,4}\s*", number) for number in numbers):
        raise UserError(f"--device {device}: not a device; use auto, cpu or a CUDA device's number such as 0")
    missing = [number for number in numbers if int(number) >= available]
    if missing:
        have = f"there are {available}" if available else "there is no CUDA GPU"
        raise UserError(f"--device {device}: CUDA device {missing[0]} does not exist here, {have}; use auto or cpu")
    return ",".join(numbers)
