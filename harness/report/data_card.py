"""The data as a table: images, objects, classes, and how large boxes are at the size that was trained with."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from harness.record.study import StudyRecord
from harness.record.surroundings import SplitCounts
from harness.report import words
from harness.report.page import Section
from harness.report.tables import Column, Table, cell, row, worded

_SPLITS = {"train": "Training", "val": "Validation"}
_MOST_CLASSES = 20
Said = Callable[[SplitCounts], tuple[str, float | None]]


def data_section(record: StudyRecord) -> Iterator[Section]:
    """Yield what is known of the boxes; nothing of a study from before that was kept."""
    counts = record.environment.data_counts
    known = {title: counts[split] for split, title in _SPLITS.items() if split in counts}
    if not known or any(each.box_side_px is None for each in known.values()):
        return
    rows = [
        row("measured", cell(name), *(cell(text, sort=sort) for text, sort in map(said, known.values())))
        for name, said in _lines(next(iter(known.values())))
    ]
    yield Section(
        title="The data",
        key="data",
        note=f"Sides are square roots of areas, with the longer side of an image at {record.settings.imgsz} px. A cell "
        "is the smallest part of a map: a box below it shares its cell's prediction with its surroundings.",
        tables=(
            Table(
                key="data",
                caption=f"{record.settings.data or 'Data'}",
                columns=(worded(""), *(Column(name=title) for title in known)),
                rows=tuple(rows),
            ),
        ),
    )


def _lines(first: SplitCounts) -> Iterator[tuple[str, Said]]:
    yield "Images", lambda each: (f"{each.images_used:,}", each.images_used)
    if first.images_unused:
        yield "Images not used", lambda each: (f"{sum(each.images_unused.values()):,}", None)
    yield "Objects", lambda each: (f"{each.objects:,}", each.objects)
    yield "Objects an image: median, 95 % of the images, most", lambda each: (_three(each.objects_per_image), None)
    yield "Side of a box, px: 5 % of the boxes, median, 95 %", lambda each: (_three(each.box_side_px), None)
    for stride in sorted(first.below_a_cell):
        yield f"Boxes below one cell of stride {stride} px", _share_below(stride)
    classes = sorted(first.objects_by_class, key=lambda name: -first.objects_by_class[name])
    for name in classes[:_MOST_CLASSES]:
        yield f"Objects of class {name}", _of_class(name)
    if len(classes) > _MOST_CLASSES:
        rest = classes[_MOST_CLASSES:]
        yield (
            f"Objects of {len(rest)} further classes",
            lambda each: (f"{sum(each.objects_by_class.get(name, 0) for name in rest):,}", None),
        )


def _share_below(stride: int) -> Said:
    return lambda each: (words.part(each.below_a_cell.get(stride, 0.0), 1), each.below_a_cell.get(stride))


def _of_class(name: str) -> Said:
    return lambda each: (f"{each.objects_by_class.get(name, 0):,}", each.objects_by_class.get(name, 0))


def _three(values: tuple[float, float, float] | None) -> str:
    return ", ".join(f"{value:.3g}" for value in values or ()) or words.DASH
