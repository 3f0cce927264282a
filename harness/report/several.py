"""Several studies in one report: side by side, never mixed, since one device's front is not another's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from harness.common.errors import UserError
from harness.record.settings import unlike
from harness.record.state import State
from harness.record.study import StudyRecord
from harness.report import notes, tables, words
from harness.report.ablation import ablation_content
from harness.report.page import Page, Section
from harness.report.png import draw_forest, draw_png
from harness.report.renderers import write_page
from harness.report.search import search_content
from harness.report.tables import Column, Row, Table, cell, worded


def several_page(records: Sequence[StudyRecord]) -> Page:
    """Build the page of what is to be said of several studies.

    Raises:
        UserError: A study is given twice.
    """
    names = [record.name for record in records]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"study {name}: given {names.count(name)} times; name each study once")
    said = [_section(record) for record in records]
    return Page(
        name=", ".join(names),
        kind="clo-nas studies",
        headline=f"{words.count(len(records), 'study', 'studies')} side by side.",
        lead=_comparable(records),
        sections=(
            Section(title="The studies", key="studies", tables=(_overview(records), *_differing(records))),
            *said,
        ),
    )


def write_several(records: Sequence[StudyRecord], folder: Path) -> Path:
    """Write `report.html`, `report.md` and a picture a study; the path of the first.

    Raises:
        UserError: A study is given twice, or the folder cannot be written to.
    """
    page = several_page(records)
    pictures = {section.picture: section.image for section in page.sections if section.image}
    try:
        return write_page(page, folder, pictures)
    except OSError as error:
        raise UserError(f"report: {error.filename or folder} cannot be written ({error.strerror})") from error


def _comparable(records: Sequence[StudyRecord]) -> str:
    """Say whether what is side by side may be compared."""
    first, *others = (record.settings.to_dict() for record in records)
    differing = list(dict.fromkeys(reason for other in others for reason in unlike(first, other)))
    if len({record.settings.device_kind for record in records}) > 1:
        differing.append("they ran on different kinds of device")
    if differing:
        return (
            f"Their figures are not to be compared with each other: {', and '.join(differing)}. Each study's gains "
            "and latency ratios are to its own baseline."
        )
    return "All have one base, data set, image size, number of epochs and kind of device; each has its own baseline."


def _section(record: StudyRecord) -> Section:
    if record.ablation:
        found = ablation_content(record)
        forests = [("Gain over the baseline", found.gains), ("Model minus arm", found.worths)]
        headline, lead = found.page.headline, found.page.lead
        shown = found.page.sections[0].tables
        image, remarks = draw_forest(forests, record.name), found.page.remarks
    else:
        said = search_content(record)
        headline, lead, remarks = said.answer.headline, said.answer.lead, said.answer.remarks
        shown = said.page["front"].tables
        image = draw_png(said.figures, record.name, headline)
    return Section(
        title=record.name,
        key=f"study-{record.name}",
        note=f"{headline} {lead}".strip(),
        sentences=remarks,
        tables=tuple(replace(table, key=f"{record.name}-{table.key}") for table in shown),
        picture=f"{record.name}.png",
        picture_says=f"Study {record.name}: {headline}",
        image=image,
    )


def _overview(records: Sequence[StudyRecord]) -> Table:
    return Table(
        key="studies",
        caption="What each study is of",
        columns=(
            *(worded(name, "px" if name == "Image" else "") for name in ("Study", "Base", "Data", "Image", "Device")),
            *(Column(name=name) for name in ("Epochs", "Architectures", "Trainings")),
        ),
        rows=tuple(_row(record) for record in records),
    )


# Settings that are a study's own, or that another row says.
_OWN = {"study", "results", "storage", "space_file", "timeout_s"}


def _differing(records: Sequence[StudyRecord]) -> Iterator[Table]:
    """Yield the settings that differ, a column a study; nothing where all are equal."""
    flat = [dict(notes.flat(record.settings.to_dict())) for record in records]
    names = [name for name in dict.fromkeys(name for each in flat for name in each) if name.split(".")[0] not in _OWN]
    values = {name: [each.get(name, words.DASH) for each in flat] for name in names}
    unlike_rows = [
        tables.row("measured", *map(cell, (name, *each))) for name, each in values.items() if len(set(each)) > 1
    ]
    if unlike_rows:
        columns = worded("Setting"), *(worded(record.name) for record in records)
        yield Table(key="differing", caption="Settings that differ", columns=columns, rows=tuple(unlike_rows))


def _row(record: StudyRecord) -> Row:
    settings, trials = record.settings, record.trials
    done = trials[trials["state"] == State.COMPLETE]
    epochs = sorted({int(each) for each in done["epochs"]})
    return tables.row(
        "",
        cell(record.name, "ablation" if record.ablation else "search"),
        cell(settings.base or words.DASH),
        cell(settings.data or words.DASH),
        cell(words.DASH if settings.imgsz is None else str(settings.imgsz)),
        cell(notes.device(record)),
        cell(", ".join(map(str, epochs)) or words.DASH, sort=float(max(epochs, default=0))),
        tables.counted(done["architecture"].nunique()),
        tables.counted(len(done)),
    )
