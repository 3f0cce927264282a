"""A study is opened or continued: alone on its file, or as one of many on a server; never with other settings."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.storages import RDBStorage

from harness.common.errors import UserError
from harness.record.constraints import SITE_FIELDS
from harness.record.own_files import refuse_foreign_study
from harness.record.settings import OF_A_STUDY, SearchSettings
from harness.record.storage_url import is_server
from harness.record.study import SETTINGS
from harness.storage.good_copy import GoodCopy
from harness.storage.members import Alone, Members, OneOfMany
from harness.storage.patient_storage import PatientStorage
from harness.storage.records import checked_record, open_storage
from harness.storage.study import SearchStudy

# Entry of the settings: the model of the GPU, or `cpu` and the processor's.
DEVICE_KIND = "device_kind"
# What is given by a path or a name, to the entry that stands for its content.
_CONTENTS = {"data": "data_fingerprint", "base": "base_fingerprint", "space": "space_file"}
_OF_FILES = {content: name for name, content in _CONTENTS.items() if name != "space"}
# Entry of the settings of studies from when several devices could share a short training's batches.
_SHARED_BY = "devices_per_training"


@contextmanager
def open_study(
    settings: SearchSettings, comparable: Mapping[str, Any], tell: Callable[[str], None] = lambda _: None
) -> Iterator[SearchStudy]:
    """Create the study, or continue it.

    Args:
        settings: What was asked for.
        comparable: What all trials of the study must share, beyond the settings: data, space, base.
        tell: Called with what a person should know: that a damaged database was replaced by its last good copy.

    Figures of two kinds of devices are never mixed: where the study is of another kind, this one's are kept beside
    it, in a study of the same name, `@` and the kind.

    Raises:
        UserError: Another search holds the study, it was made with other settings, or its storage does not open.
    """
    _quiet_optuna()
    with ExitStack() as opened:
        storage, members = opened.enter_context(_members(settings, tell))
        study = _create(storage, members, settings)
        kind = comparable.get(DEVICE_KIND)
        if kind is not None and not _is_of(study, kind):
            opened.pop_all().close()
            settings = settings.model_copy(update={"study": f"{settings.study}@{_slug(kind)}"})
            storage, members = opened.enter_context(_members(settings, tell))
            study = _create(storage, members, settings)
        with members.turn():
            _check_same(study, settings, comparable)
            checked_record(study)
        yield SearchStudy(study, storage, settings, members)


def _create(storage: RDBStorage, members: Members, settings: SearchSettings) -> optuna.Study:
    with members.turn():
        return optuna.create_study(
            study_name=settings.study,
            storage=storage,
            directions=[objective.direction for objective in settings.objectives],
            sampler=optuna.samplers.RandomSampler(seed=settings.seed),  # until what candidates cost is known
            load_if_exists=True,
        )


def _is_of(study: optuna.Study, kind: str) -> bool:
    """Return whether a study's figures are of this kind of device, or it has none yet."""
    before = study.user_attrs.get(SETTINGS, {}).get(DEVICE_KIND, kind)
    return before == kind or (before == "cpu" and kind.startswith("cpu"))  # from before the CPU's name was kept


def _slug(kind: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", kind.lower()).strip("-")[:40]


@contextmanager
def continue_study(settings: SearchSettings) -> Iterator[SearchStudy]:
    """Open a study that exists, to add trainings that no sampler asked for.

    Args:
        settings: The study's own, as its record has them.

    Raises:
        UserError: Another program holds the study, or its storage does not open.
    """
    _quiet_optuna()
    with _members(settings, lambda _: None) as (storage, members):
        study = optuna.load_study(study_name=settings.study, storage=storage)
        checked_record(study)
        yield SearchStudy(study, storage, settings, members)


@contextmanager
def _members(settings: SearchSettings, tell: Callable[[str], None]) -> Iterator[tuple[RDBStorage, Members]]:
    """Yield the storage, and who writes to it: this search alone, or one of many."""
    if not is_server(settings.storage_url):
        with _locked(settings):
            if said := GoodCopy(settings.storage_url).recover():
                tell(said)
            yield open_storage(settings.storage_url), Alone()
        return
    _make_folder(settings)
    storage = open_storage(settings.storage_url)
    assert isinstance(storage, PatientStorage), "a server's"
    storage.on_outage = tell
    members = OneOfMany(storage, settings.study, settings.worker_timeout_s)
    try:
        yield storage, members
    finally:
        members.close()


def _make_folder(settings: SearchSettings) -> None:
    refuse_foreign_study(settings.folder)
    try:
        settings.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{settings.folder}: cannot be made ({error.strerror}); choose another --results folder"
        ) from error


@contextmanager
def _locked(settings: SearchSettings) -> Iterator[None]:
    """Hold the lock under which nobody else writes to the study."""
    _make_folder(settings)
    lock = FileLock(settings.folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise UserError(
            f"study {settings.study}: another clo search is running on it; wait for it or choose another --study"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _check_same(study: optuna.Study, settings: SearchSettings, comparable: Mapping[str, Any]) -> None:
    levels = settings.ladder.levels
    sites = settings.constraints.model_dump(mode="json", include=set(SITE_FIELDS))
    now = {**settings.model_dump(mode="json", include=set(OF_A_STUDY)), **sites, **comparable, _SHARED_BY: 1}
    now["epochs_of_rungs"] = list(levels) if len(levels) > 1 else None  # 12 after 3 are not 12 after 6
    before = study.user_attrs.get(SETTINGS)
    if before is None:
        study.set_user_attr(SETTINGS, now)
        study.set_metric_names([str(objective) for objective in settings.objectives])
        return
    before = {_SHARED_BY: 1, **{name: [] for name in SITE_FIELDS}} | before  # a study from before there were any
    for name, value in now.items():
        if name != DEVICE_KIND and before.get(name) != value and not _is_another_spelling(name, before, now):
            if (what := _OF_FILES.get(name)) and before.get(what) == now.get(what):
                raise UserError(
                    f"study {settings.study}: its {what} {now[what]} has changed since the study was made; restore it, "
                    "or choose another --study"
                )
            typed = f" (--imgsz {before[name]})" if name == "imgsz" and name in before else ""
            raise UserError(
                f"study {settings.study} exists with another {name} ({_short(before.get(name))}, now {_short(value)}); "
                f"choose another --study, or give what it was made with{typed}"
            )


def _is_another_spelling(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return whether two paths name the same content, so that they are compared by it; a base's name counts, too."""
    content = _CONTENTS.get(name)
    if content is None or now.get(content) is None or before.get(content) != now[content]:
        return False
    return name != "base" or Path(str(before.get(name))).name == Path(str(now[name])).name


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _quiet_optuna() -> None:
    optuna.logging.set_verbosity(logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
