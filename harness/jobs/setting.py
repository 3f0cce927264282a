"""What trainings are of: a base, its sites and data, each found and checked.

And what is said of the data before a training begins, and kept of them in `environment.json`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from harness.architecture import Architecture, Init
from harness.common.errors import UserError
from harness.common.machine import without_home
from harness.common.yaml_file import kind_of
from harness.data.check import DatasetInfo, check_dataset
from harness.data.embedded import is_painted
from harness.data.planted import Task
from harness.detectors import Base, Site, find_sites, read_architecture, read_yaml, recognised, resolve_base
from harness.detectors.receptive_field import receptive_field
from harness.jobs.place import Place
from harness.record.form import check_block_files
from harness.record.storage_url import sqlite_url
from harness.record.surroundings import DATA_CAUTIONS, DATA_REPAIRS
from harness.storage.records import load_record, study_names
from harness.training.accuracy import PUBLISHED_AUGMENTATION

# Entry of what a study's trials share: `published`, of photographs since they get Ultralytics' own.
AUGMENTATION = "augmentation"


class Asked(Protocol):
    """What every command is told of its data."""

    @property
    def data(self) -> str:
        """Dataset YAML, or the embedded data set's name."""

    @property
    def imgsz(self) -> int:
        """Side of the square input, in pixels."""

    @property
    def allow_unusable(self) -> bool:
        """Whether more than a few images or rows of labels may be left out."""

    @property
    def allow_val_in_train(self) -> bool:
        """Whether more than a few validation images may be training images."""


@dataclass(frozen=True, kw_only=True)
class Prepared(Place):
    """What is trained, each part found and checked, and where.

    Attributes:
        base: The detector that is changed.
        sites: Where blocks can be put into it.
        data: What it is trained on.
    """

    base: Base
    sites: dict[str, Site]
    data: DatasetInfo

    @property
    def classes(self) -> int:
        """Number of classes of the data."""
        return len(self.data.names)

    def augmentation_for(self, begun: Mapping[str, object]) -> Mapping[str, float]:
        """Return that of a short training: Ultralytics' own for photographs, the trainer's milder one for the rest.

        Args:
            begun: What the trials of the study share; one of photographs from when all had the milder one keeps it.
        """
        is_older = bool(begun) and AUGMENTATION not in begun
        return {} if is_painted(self.data.path) or is_older else PUBLISHED_AUGMENTATION

    def comparable(self, augmentation: Mapping[str, float]) -> dict[str, object]:
        """Return what all trainings of a study share, beyond its settings."""
        base = self.base
        width = base.config.get("class_width") if base.config.get("nc") != self.classes else None
        return {
            "base_fingerprint": base.fingerprint,
            "data_fingerprint": self.data.fingerprint,
            **({"class_width": width} if width else {}),  # of the data's classes alone they once were as wide as these
            **({AUGMENTATION: "published"} if augmentation else {}),
        }

    def ask_nodes(self, block_files: Iterable[Path], folder: Path) -> None:
        """Have a cluster's nodes say what they are; of this machine nothing is asked.

        Args:
            block_files: Code that a training imports.
            folder: The study's.

        Raises:
            UserError: They differ in what must be the same, do not see a file that a training reads, or do not answer.
        """
        if self.cluster is not None:
            weights = [self.base.checkpoint] if self.base.checkpoint else []
            self.cluster.ask_nodes([self.data.path, *weights, *block_files], folder)


def prepare(asked: Asked, base: Base, sites: dict[str, Site], place: Place) -> Prepared:
    """Check the data that a detector is to be trained on; nothing is trained.

    Raises:
        UserError: Whatever makes a training on them impossible or misleading.
    """
    data = checked_data(asked)
    data = replace(data, cautions=(*data.cautions, *_void(data, base, asked.imgsz)))
    return Prepared(**vars(place), base=base, sites=sites, data=data)


def _void(data: DatasetInfo, base: Base, imgsz: int) -> list[str]:
    """Return a sentence about a planted effect that the base sees by itself."""
    if data.planted not in {Task.NEARBY, Task.BEACON, Task.CROWD} or (seen := receptive_field(base, imgsz)) < imgsz:
        return []
    return [
        f"{base.name} sees {seen} of {imgsz} px: no block has to bring what decides a class here, so that this is no "
        "control; nearsighted is made for it."
    ]


def checked_data(asked: Asked) -> DatasetInfo:
    """Find and check the data that a command is told of.

    Raises:
        UserError: Whatever makes a training on them impossible or misleading.
    """
    return check_dataset(
        asked.data,
        asked.imgsz,
        allow_unusable=asked.allow_unusable,
        allow_val_in_train=asked.allow_val_in_train,
    )


def find_architecture(
    spec: str,
    base: Base,
    results: Path,
    *,
    option: str,
    storage: str | None = None,
    start: Init = Init.IDENTITY,
) -> Architecture:
    """Find the blocks that a person means: an architecture file, a model of the article, or STUDY/ID of a study.

    Args:
        spec: What was given.
        base: The detector that they are for.
        results: Folder that holds one folder a study.
        option: Where it was given, for messages.
        storage: Where studies are looked for too that have no file in their folder.
        start: How the blocks of the article's models start, which their names do not say.

    Raises:
        UserError: It is none of these, or of another base.
    """
    study, _, identity = spec.rpartition("/")
    named = read_architecture(spec)
    if named is not None:
        is_file = Path(spec).is_file()
        hint = "" if is_file else f"; name {spec.replace(named.base, base.name, 1)}"
        _check_base(named.base, None, base, f"{option} {spec}", hint)
        found = replace(named, base=base.name)
        return found if is_file else found.starting_as(start)
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
    """Recognise the architecture of a model YAML, as reports hold them."""
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


_PHOTOGRAPHS = (
    "augmented as Ultralytics' defaults have it: mosaic but for the last tenth of the epochs, mirroring, scale, colours"
)


def data_notes(
    data: DatasetInfo, imgsz: int, batch: int, augmentation: Mapping[str, float] = MappingProxyType({})
) -> list[str]:
    """Return sentences for the plan: where the data are, how much is used, what is not, and what to beware of.

    Args:
        data: Of `check_dataset`.
        imgsz: Side of the square input, in pixels.
        batch: Batch size.
        augmentation: Of the trainings, beside the trainer's milder one.
    """
    counts = f"{data.train_images:,} training and {data.val_images:,} validation images"
    where = f"{data.root}, " if data.root else ""
    augmented = [_PHOTOGRAPHS] if augmentation else []
    cautions = (*data.cautions, *augmented, *_remainder(data.train_images, batch))
    return [f"data: {each}" for each in (f"{where}{counts}, at {imgsz} px", *_boxes(data), *data.repairs, *cautions)]


def _boxes(data: DatasetInfo) -> list[str]:
    """Return a clause about the boxes of the validation set."""
    if not (val := data.counts.get("val", {})).get("box_side_px"):
        return []
    low, middle, high = val["box_side_px"]
    typical, _, most = val["objects_per_image"]
    return [
        f"classes: {len(data.names)}; objects an image: {typical:.3g}, most {most:.3g}; sides of boxes: {middle:.3g} "
        f"px, {low:.3g} to {high:.3g} px in 90 % of them"
    ]


def data_environment(data: DatasetInfo) -> dict[str, object]:
    """Return plain data for JSON: what the loader uses, and what it does not."""
    return {
        "train_images": data.train_images,
        "val_images": data.val_images,
        "data_root": None if data.root is None else without_home(str(data.root)),
        "data_counts": {split: dict(counts) for split, counts in data.counts.items()},
        DATA_REPAIRS: list(data.repairs),
        DATA_CAUTIONS: list(data.cautions),
    }


def _remainder(images: int, batch: int) -> list[str]:
    """Return a sentence about batches of one image, of which batch normalisation of a 1 × 1 map has no variance."""
    if batch > 1 and images % batch != 1:
        return []
    which = "each batch is one image" if batch == 1 else "the last batch of each epoch is a single image"
    sizes = range(max(2, batch - 1), batch + images)
    better = next((f"; --batch {size} avoids it" for size in sizes if images % size != 1), "")
    return [
        f"{which}: a block that pools a map to one value and normalises it over the batch cannot be trained so{better}."
    ]
