"""Writes an ablation's report: each file whole or not at all."""

from __future__ import annotations

import pandas as pd

from harness.report.ablation import ablation_content
from harness.report.forest import draw_forest
from harness.report.html import render_page
from harness.report.markdown import render_page_markdown
from harness.study_record import StudyRecord


def ablation_files(record: StudyRecord) -> dict[str, bytes]:
    """Name to content: `report.html`, `report.md`, `forest.png` and `contrasts.csv`."""
    said = ablation_content(record)
    forests = [("Gain over the baseline", said.gains), ("Model minus arm: what each part is worth", said.worths)]
    families = {"gain": said.gains, "worth": said.worths}
    table = pd.concat([rows.assign(family=family) for family, rows in families.items() if len(rows)])
    return {
        "report.html": render_page(said.page).encode(),
        "report.md": render_page_markdown(said.page).encode(),
        "forest.png": draw_forest(forests, f"clo-nas ablation {record.name}"),
        "contrasts.csv": table.to_csv(index=False, lineterminator="\n").encode(),
    }
