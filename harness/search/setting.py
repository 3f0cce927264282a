"""What a search works on: a base and its data, the space, the schedule, each checked, and what is tried first."""

from __future__ import annotations

from dataclasses import dataclass

from harness.architecture import Architecture, Init
from harness.common.errors import UserError
from harness.detectors import find_sites, map_sizes, mode_channels, resolve_base
from harness.jobs.place import find_place
from harness.jobs.plan import enough_epochs
from harness.jobs.setting import Prepared, find_architecture, prepare
from harness.record.settings import SearchSettings
from harness.space import SearchSpace, SpaceFile, load_space
from harness.storage.records import begun_with
from harness.training.accuracy import Schedule


@dataclass(frozen=True, kw_only=True)
class Setting(Prepared):
    """All that stays the same through a search.

    Attributes:
        latency_threads: CPU threads of latency measurements; the study's (`harness.jobs.latency_threads`).
    """

    settings: SearchSettings
    space: SearchSpace
    schedule: Schedule
    latency_threads: int


def prepare_search(settings: SearchSettings) -> Setting:
    """Read and check everything that was named.

    Raises:
        UserError: Something does not exist or does not fit together.
    """
    place = find_place(
        device=settings.device,
        workers=settings.workers,
        threads=settings.threads,
        executor=settings.executor,
        cluster=settings.cluster,
    )
    base = resolve_base(settings.base)
    sites = find_sites(base)
    space = SearchSpace(
        _as_begun(load_space(settings.space), settings),
        base=base.name,
        channels=mode_channels(sites),
        maps=map_sizes(sites, settings.imgsz),
        required=settings.constraints.required_sites,
        forbidden=settings.constraints.forbidden_sites,
    )
    prepared = prepare(settings, base, sites, place)
    settings = _with_schedule(settings, prepared.data.train_images)
    prepared.ask_nodes(space.file.block_files, settings.folder)
    schedule = Schedule(
        epochs=settings.epochs,
        batch=settings.batch,
        imgsz=settings.imgsz,
        learning_rate=settings.learning_rate,
        block_rate_factor=settings.block_rate_factor,
        augmentation=prepared.augmentation_for(begun_with(settings.storage_url, settings.study)),
    )
    return Setting(
        **vars(prepared), settings=settings, space=space, schedule=schedule, latency_threads=place.threads_alone
    )


def _with_schedule(settings: SearchSettings, images: int) -> SearchSettings:
    """Give a search what it leaves to us: batch and epochs as its study was begun, else steps enough to learn."""
    begun = begun_with(settings.storage_url, settings.study)
    left = {"batch", "epochs"} - settings.model_fields_set
    settings = settings.model_copy(update={name: begun[name] for name in left if name in begun})
    if "epochs" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"epochs": enough_epochs(images=images, batch=settings.batch)})


def _as_begun(file: SpaceFile, settings: SearchSettings) -> SpaceFile:
    """Keep the start of blocks that a study was begun with, where its space names none: the default was another."""
    if file.names_a_start:
        return file
    begun = begun_with(settings.storage_url, settings.study).get("space_file") or {}
    return file.starting_as(Init.IDENTITY) if begun.get("placement", {}).get("init") == [Init.IDENTITY] else file


def included(setting: Setting) -> list[Architecture]:
    """Find the candidates that the user wants tried first.

    Raises:
        UserError: One does not exist, or is not in the space.
    """
    found = []
    constraints = setting.settings.constraints
    for spec in setting.settings.include:
        architecture = find_architecture(
            spec, setting.base, setting.settings.results, option="--include", storage=setting.settings.storage,
            start=setting.space.file.placement.init[0],
        )  # fmt: skip
        if not setting.space.holds(architecture):
            chosen = constraints.required_sites or constraints.forbidden_sites
            sites = ", with the sites of --with and --without" if chosen else ""
            raise UserError(
                f"--include {spec}: {architecture.describe()} is not in space '{setting.space.file.name}'{sites}"
                f"{_of_another_start(setting.space, architecture)}"
            )
        found.append(architecture)
    return found


def _of_another_start(space: SearchSpace, architecture: Architecture) -> str:
    """Say why an architecture is not in a space that has all of it but how its blocks start; empty of any other."""
    starts = space.file.placement.init
    for start in starts:
        if space.holds(architecture.starting_as(start)):
            own = ", ".join(sorted({placement.init for placement in architecture.placements}))
            return f", whose blocks start as {', '.join(starts)} (`init`), not as {own}"
    return ""
