"""Every claim that this machine and these data can decide, from the settings to a ledger.

Claims without training take a minute. Those on accuracy are read from ablations that lie in the same folder and are
resumed like any other; what no training decides stays undecided, with the command that would.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from harness.ablation.cost import plan_of
from harness.ablation.loop import weights_path
from harness.ablation.run import ablate
from harness.ablation.setting import Ablation, prepare_ablation
from harness.architecture.choices import Recipe
from harness.claims.accuracy import ACCURACY_CHECKS, decide
from harness.claims.checks import needs_training, run_check
from harness.claims.frequency import local_branch_supplies_high_frequencies
from harness.claims.images import read_images
from harness.claims.ledger import Claim, ReproduceSettings, choose_claims
from harness.claims.published import PublishedBaseline, is_coco2017, published_baseline
from harness.claims.verdict import Finding
from harness.common.atomic import write_whole
from harness.common.errors import UserError
from harness.data.check import check_dataset, image_paths
from harness.detectors.named import article_sites
from harness.jobs.progress import Observer
from harness.jobs.setting import checked_data
from harness.record.ablation_file import AblationFile, AblationSettings, load_ablation
from harness.record.arms import Role
from harness.record.own_files import refuse_foreign_folder
from harness.record.run_settings import ExecutorKind, RunSettings
from harness.record.settings import EMBEDDED_DATA, data_name
from harness.record.storage_url import sqlite_url
from harness.record.study import StudyRecord
from harness.record.tables import is_study, read_study
from harness.storage.records import begun_with, load_record

FINDINGS = "findings.json"
_FILES = {
    Recipe.SHORT: ("reproduce-gains", "reproduce-parts", "reproduce-scratch"),
    Recipe.PUBLISHED: ("reproduce-full", "reproduce-full-parts"),
}
_STRIDE = 32  # any size that data are checked for; that of the trainings is checked with them
_FREQUENCY = "frequency.local_branch_supplies_high_frequencies"
# Validation images whose spectra are compared.
_IMAGES = 64


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What became of the claims.

    Attributes:
        entries: Each claim with its finding.
        studies: The ablations that the accuracy claims were read from.
        baselines: The baseline of each that is of COCO, beside what is published for it.
    """

    entries: tuple[tuple[Claim, Finding], ...]
    studies: tuple[StudyRecord, ...]
    baselines: tuple[PublishedBaseline, ...] = ()


def ablation_files(settings: ReproduceSettings) -> list[AblationFile]:
    """List the ablations that the chosen claims need, with what was asked for."""
    kinds = {claim.check for claim in choose_claims(settings.claims)}
    gains = kinds & {"accuracy.head_gain", "accuracy.backbone_gain"}
    parts = (kinds & set(ACCURACY_CHECKS)) - gains
    needed = {
        "reproduce-gains": bool(gains),
        "reproduce-parts": bool(parts or _FREQUENCY in kinds),
        "reproduce-scratch": bool(gains),
        "reproduce-full": bool(gains),
        "reproduce-full-parts": bool(parts or _FREQUENCY in kinds),
    }
    files = [_file(name, settings) for name in _FILES[protocol_of(settings)] if needed[name]]
    return [file for file in files if file]


def protocol_of(settings: ReproduceSettings) -> Recipe:
    """Return the recipe asked for, else what suits the data: days of training are for COCO 2017 itself.

    COCO 2017 is what is called `coco.yaml`, or has its numbers of images, whatever it is called.

    Raises:
        UserError: The data cannot be read; or the published protocol would run on a CPU that was not asked for.
    """
    changes = dict(settings.changes)
    data = str(changes.get("data", EMBEDDED_DATA))
    protocol = settings.protocol
    if protocol is None and Path(data).name == "coco.yaml":
        protocol = Recipe.PUBLISHED
    elif protocol is None and data != EMBEDDED_DATA:
        info = check_dataset(
            data,
            _STRIDE,
            allow_unusable=bool(changes.get("allow_unusable")),
            allow_val_in_train=bool(changes.get("allow_val_in_train")),
        )
        protocol = Recipe.PUBLISHED if is_coco2017(info.train_images, info.val_images) else Recipe.SHORT
    if protocol is not Recipe.PUBLISHED or settings.no_training:
        return protocol or Recipe.SHORT
    if settings.executor is ExecutorKind.RAY:
        if not settings.cluster.gpus_per_trial:
            raise UserError("the full protocol needs CUDA GPUs: say --gpus-per-trial, or --protocol short")
    elif settings.device == "auto" and not torch.cuda.is_available():
        raise UserError(
            "the full protocol needs a CUDA GPU, and there is none here: give --device cpu if you mean it, "
            "or --protocol short"
        )
    return protocol


def _file(name: str, settings: ReproduceSettings) -> AblationFile | None:
    """Load the ablation of that name as asked for; None where the base has no place for any of its models."""
    file = load_ablation(name)
    changes = dict(settings.changes)
    data = data_name(str(changes.get("data", file.data)))
    if data != data_name(file.data):
        changes["name"] = f"{file.name}-{data}"  # its own study: the ledger has a verdict for each data set
    if settings.base is not None:
        models = [model.replace(file.base, settings.base, 1) for model in file.models]
        places = {(*article_sites(model), model.endswith("-bare")): model for model in reversed(models)}
        changes |= {"base": settings.base, "models": tuple(places[at] for at in reversed(places) if at[:-1])}
        if not changes["models"]:
            return None
    return load_ablation(name, changes) if changes else file


def needed_ablations(settings: ReproduceSettings) -> list[Ablation]:
    """Prepare the ablations that are to be run, everything named found.

    Raises:
        UserError: Something does not exist or does not fit together.
    """
    return [
        prepare_ablation(
            AblationSettings(
                **{name: getattr(settings, name) for name in RunSettings.model_fields if name != "results"},
                file=file,
                keep_weights=file.name.startswith("from-the-base"),
                results=settings.folder,
            )
        )
        for file in ablation_files(settings)
    ]


def reproduce(
    settings: ReproduceSettings,
    observer: Observer,
    command: list[str],
    on_study: Callable[[StudyRecord], object] = lambda _: None,
) -> Ledger:
    """Decide what can be decided, and keep it.

    Args:
        settings: What was asked for.
        observer: Told what happens.
        command: The command line, for the record.
        on_study: Called with each ablation that ended, so that its report can be written.

    Raises:
        UserError: A claim does not exist, or an ablation cannot be run.
        KeyboardInterrupt: Ctrl-C; everything finished is kept, and the same command goes on.
    """
    claims = choose_claims(settings.claims)
    files = ("report.html", "report.md", "environment.json")
    refuse_foreign_folder(settings.folder, files, (settings.folder / FINDINGS).is_file(), "--results")
    ablation_files(settings)  # wrong values are refused, whether or not anything is trained
    ablations = [] if settings.no_training else needed_ablations(settings)
    for name, own in _by_study(ablations).items():
        observer.phase(f"reckoning what {name} takes")
        observer.note(f"plan, {name}: {plan_of(*own)}")
    found = _untrained(claims, observer, settings.folder)
    for ablation in ablations:
        on_study(ablate(ablation, observer, command))
    return conclude(settings, found, observer)


def _by_study(ablations: Sequence[Ablation]) -> dict[str, list[Ablation]]:
    """Group the ablations by study."""
    groups: dict[str, list[Ablation]] = {}
    for ablation in ablations:
        groups.setdefault(ablation.settings.file.name, []).append(ablation)
    return groups


def conclude(settings: ReproduceSettings, found: dict[str, Finding], observer: Observer) -> Ledger:
    """Build the ledger from what there is; a claim that was not come to is not in it."""
    records = stored(settings)
    claims = choose_claims(settings.claims)
    for claim in claims:
        if claim.check in ACCURACY_CHECKS:
            found[claim.id] = decide(claim.check, records)
        elif claim.check == _FREQUENCY:
            observer.phase(claim.title)
            found[claim.id] = _frequency(records, settings.folder)
    write_findings(settings.folder, found)
    return Ledger(
        entries=tuple((claim, found[claim.id]) for claim in claims if claim.id in found),
        studies=tuple(records),
        baselines=_baselines(records),
    )


def ledger_of(folder: Path) -> Ledger:
    """Read the ledger in a folder: accuracy verdicts judged anew from the ablations' tables, the others as found.

    Raises:
        UserError: The findings or the tables are damaged.
    """
    found = read_findings(folder)
    names = dict.fromkeys(load_ablation(name).name for names in _FILES.values() for name in names)
    studies = {each.name: read_study(each) for each in _folders(folder, names) if is_study(each)}
    records = [record for name, record in studies.items() if _is_called_by_its_data(record, name, names)]
    claims = [claim for claim in choose_claims() if claim.id in found]
    read = {claim.id: decide(claim.check, records) for claim in claims if claim.check in ACCURACY_CHECKS}
    return Ledger(
        entries=tuple((claim, (found | read)[claim.id]) for claim in claims),
        studies=tuple(records),
        baselines=_baselines(records),
    )


def stored(settings: ReproduceSettings) -> list[StudyRecord]:
    """Load the ablations' studies that exist, each once: of these data, and of those that were tried before."""
    names = dict.fromkeys(load_ablation(file).name for file in _FILES[protocol_of(settings)])
    files = [each / "study.db" for each in _folders(settings.folder, names)]
    urls = {file.parent.name: sqlite_url(file) for file in files if file.is_file()}
    found = {name: load_record(url, name) for name, url in urls.items() if begun_with(url, name)}
    return [record for name, record in found.items() if _is_called_by_its_data(record, name, names)]


def _is_called_by_its_data(record: StudyRecord, folder: str, names: Iterable[str]) -> bool:
    """Return whether a study is one of the ledger's, and no copy that somebody put aside in another folder."""
    data = data_name(str(record.settings.data))
    return record.name == folder and any(folder in {name, f"{name}-{data}"} for name in names)


def _folders(folder: Path, names: Iterable[str]) -> list[Path]:
    """List the folders of the studies of these names, on whatever data: `from-the-base`, `from-the-base-bccd`."""
    return [each for name in names for each in (folder / name, *sorted(folder.glob(f"{name}-*")))]


def _baselines(records: Sequence[StudyRecord]) -> tuple[PublishedBaseline, ...]:
    return tuple(each for each in map(published_baseline, records) if each)


def _untrained(claims: Sequence[Claim], observer: Observer, folder: Path) -> dict[str, Finding]:
    found: dict[str, Finding] = {}
    for claim in claims:
        if not needs_training(claim) and claim.check != _FREQUENCY:
            observer.phase(claim.title)
            found[claim.id] = run_check(claim)
            observer.note(f"{claim.id}: {found[claim.id].verdict}")
            write_findings(folder, found)
    return found


def _frequency(records: Sequence[StudyRecord], folder: Path) -> Finding:
    """Check the frequency claim on the weights of the first trained model that the ablations keep."""
    for record in records:
        if record.ablation is None:
            continue
        file = AblationFile.model_validate(record.ablation.to_dict()["file"])
        for arm in record.arms:
            path = weights_path(folder / record.name, arm.identity, file.bases[0], file.seeds[0], file.epochs)
            if arm.role == Role.MODEL and path.is_file():
                images = read_images(image_paths(checked_data(file).path, "val")[:_IMAGES], file.imgsz)
                with torch.no_grad():
                    found = local_branch_supplies_high_frequencies(path, images)
                return replace(found, scope=data_name(file.data))
    return local_branch_supplies_high_frequencies()


def write_findings(folder: Path, found: Mapping[str, Finding]) -> None:
    """Write findings down in the order of the ledger, beside those of claims that were not asked for this time."""
    kept = {**read_findings(folder), **found}
    kept = {claim.id: kept[claim.id] for claim in choose_claims() if claim.id in kept} | kept
    text = json.dumps({name: one.to_dict() for name, one in kept.items()}, indent=1, ensure_ascii=False) + "\n"
    write_whole(folder / FINDINGS, text.encode())


def read_findings(folder: Path) -> dict[str, Finding]:
    """Read what earlier runs found, by claim.

    Raises:
        UserError: The file is damaged.
    """
    path = folder / FINDINGS
    if not path.is_file():
        return {}
    try:
        return {name: Finding.from_dict(one) for name, one in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a file of findings ({error}); move it away") from error
