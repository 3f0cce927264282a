"""A page as one HTML file that needs nothing else and asks for nothing else, and as Markdown that GitHub renders.

Names of studies, data sets and failures come from outside. Three walls keep them text: Jinja escapes
everything, JSON in the page carries no `<`, and a content security policy lets only the scripts whose
hashes are in the page run and forbids every request. The page's own scripts make elements and texts, never markup.

The scripts are given plain JSON, small enough for a thousand architectures.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from plotly.offline import get_plotlyjs

from harness.common.atomic import write_whole
from harness.report import words
from harness.report.choices import Parallel, plotly_parallel
from harness.report.comparison import FACTS, MOST, Comparison, Entry, network
from harness.report.curves import Curves
from harness.report.images import THRESHOLDS, Floats, Found, Gallery
from harness.report.interactive import hover_texts, plotly_curves, plotly_figure
from harness.report.page import Fronts, Page
from harness.report.pick import SHOWN

NOTHING = Comparison(entries={}, chosen=(), network=network([]), commands=())


def page_data(page: Page) -> dict[str, Any]:
    """Gather all that is drawn or said by scripts.

    Returns:
        `figures` and `notes` as `harness.report.interactive` makes them; `texts`, to whose places everything in
        `entries` refers; `entries`: identity to kind, facts, latency and MACs as ratios, blocks (site, kind, shape,
        text) and difference; `chosen`; `commands` with `token` for an identity; `budgets`.
    """
    (fronts,) = page.drawn(Fronts)
    texts: dict[str, int] = {}
    compared = [*page.drawn(Comparison), NOTHING][0]
    entries = {name: _entry(entry, texts) for name, entry in compared.entries.items()}
    return {
        "figures": {figure.axis.key: plotly_figure(figure) for figure in fronts.figures}
        | {panel.key: plotly_curves(panel) for curves in page.drawn(Curves) for panel in curves.panels}
        | {drawing.key: plotly_parallel(drawing) for drawing in page.drawn(Parallel)},
        "notes": hover_texts(fronts.figures),
        "entries": entries,
        "texts": list(texts),
        "chosen": list(compared.chosen),
        "commands": [list(pair) for pair in compared.commands],
        "token": compared.token,
        "gallery": next((_gallery(found) for found in page.drawn(Gallery)), None),
        "budgets": {
            budget.key: {
                "name": budget.name,
                "least": budget.least,
                "most": budget.most,
                "to_x": budget.to_x,
                "steps": [
                    [_number(step.cost, SHOWN[budget.key]), step.architecture, step.said] for step in budget.steps
                ],
            }
            for budget in fronts.budgets
        },
    }


def _entry(entry: Entry, texts: dict[str, int]) -> list[Any]:
    """Pack an entry; texts that many share stand once, and are named by their place."""

    def places(said: Sequence[str]) -> list[int]:
        return [texts.setdefault(text, len(texts)) for text in said]

    return [
        *places([entry.kind]),
        places(entry.facts),
        _number(entry.latency_ratio, SHOWN["latency"]),
        _number(entry.macs_ratio, SHOWN["macs"]),
        [places([block.site, block.kind, block.shape, block.text]) for block in entry.blocks],
        places(entry.difference),
    ]


def _gallery(found: Gallery) -> Mapping[str, object]:
    """Pack images as data URIs, boxes as thousandths: left, top, right, bottom, class, and what else each one has."""
    compared = [
        {
            "name": each.architecture,
            "trained": f"{words.count(each.epochs, 'epoch')} under evaluation seed {each.seed}",
            "rates": [[[_number(value, 4) for value in row] for row in rates] for rates in each.rates.tolist()],
            "shots": [
                [shot.name, shot.number, round(shot.difference, 3), [_detections(side) for side in shot.sides]]
                for shot in each.shots
            ],
        }
        for each in found.compared
    ]
    return {
        "classes": list(found.classes),
        "thresholds": THRESHOLDS.tolist(),
        "threshold": found.threshold,
        "pictures": [
            {
                "src": f"data:image/jpeg;base64,{_base64(each.thumbnail)}",
                "size": [each.width, each.height],
                "file": f"images/{each.file}",
                "objects": _boxes(each.objects, each.classes),
            }
            for each in found.pictures
        ],
        "compared": compared,
    }


def _detections(found: Found) -> list[list[float]]:
    more = zip(found.confidence.round(3).tolist(), found.object_of.tolist(), strict=True)
    return [[*box, *rest] for box, rest in zip(_boxes(found.boxes, found.classes), more, strict=True)]


def _boxes(boxes: Floats, classes: NDArray[np.int64]) -> list[list[float]]:
    return [[*map(float, box), int(number)] for box, number in zip((boxes * 1000).round(), classes, strict=True)]


def _number(value: float, digits: int) -> float | None:
    """Round a ratio as it is shown; None for what JSON has no word for."""
    return round(value, digits) if math.isfinite(value) else None


# The marks of the figures as SVG, for the legend.
_SHAPES = {
    "front": Markup('<path class="line" d="M1 7H19"/>'),
    "baseline": Markup('<path d="M10 1l6 6-6 6-6-6z"/>'),
    "gain": Markup('<circle cx="10" cy="7" r="5.5"/>'),
    "undecided": Markup('<path d="M5 2h10v10H5z"/>'),
    "loss": Markup('<path d="M4 2h12l-6 10z"/>'),
    "placebo": Markup('<path d="M10 1l6.2 4.5-2.4 7.2H6.2L3.8 5.5z"/>'),
    "beyond": Markup('<path class="line" d="M5 2l10 10M15 2L5 12"/>'),
    "screening": Markup('<circle class="line" cx="10" cy="7" r="4.5"/>'),
    "chosen": Markup('<path class="line" d="M4.5 1.5h11v11h-11z"/>'),
    "tie": Markup('<circle cx="10" cy="7" r="2.5"/><circle class="line" cx="10" cy="7" r="6"/>'),
}


# The page's own, in order; they talk to each other by events of the document.
SCRIPTS = ("theme.js", "figures.js", "comparison.js", "links.js", "budget.js", "gallery.js", "sort.js", "filter.js")
# Those of a page without figures.
STILL = ("theme.js", "sort.js")


def render_html(page: Page) -> str:
    """Render the whole page; plotly.js lies in it where it has figures."""
    environment = templates(_unbroken, autoescape=True)
    environment.filters["base64"] = _base64
    fronts = page.drawn(Fronts)
    scripts = [_template_text(environment, name) for name in (SCRIPTS if fronts else STILL)]
    plotly_hash, plotly = _plotly() if fronts else ("", "")
    return environment.get_template("page.html.j2").render(
        page=page,
        style=Markup(_template_text(environment, "report.css")),
        dark=Markup(_template_text(environment, "dark.css")),
        scripts=[Markup(script) for script in scripts],
        script_hashes=[*map(_hash, scripts), *filter(None, [plotly_hash])],
        plotly=plotly,
        data=Markup(json_for_page(page_data(page))) if fronts else "",
        on_front={each.architecture for front in fronts for figure in front.figures for each in figure.members},
        shapes=_SHAPES,
        facts=FACTS,
        most=MOST,
    )


def templates(finalize: Callable[[Any], object] | None = None, *, autoescape: bool = False) -> Environment:
    """Return the report's templates; `finalize` escapes every value, or changes it otherwise."""
    return Environment(
        loader=PackageLoader("harness.report"),
        autoescape=autoescape,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _unbroken(value: object) -> object:
    """Keep numbers with their units and intervals in one piece; what is markup stays as it is."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    value = re.sub(r"(?<=\d) (?=%|ms\b)", "\u00a0", value)
    return re.sub(r"\[([^\[\], ]+), ([^\[\], ]+)\]", "[\\1,\u00a0\\2]", value)


def json_for_page(value: object) -> str:
    """Write JSON that may stand inside a script element: it cannot end the element or open a comment.

    Raises:
        ValueError: NaN or infinity, which JSON does not have.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _plotly() -> tuple[str, str]:
    """Return the hash of plotly.js, and it packed for `figures.js`: a third, so that a long page can be sent."""
    script = get_plotlyjs().replace("\r\n", "\n").replace("\r", "\n")  # the line ends that a browser hashes
    return _hash(script), _base64(gzip.compress(script.encode(), 9, mtime=0))


def _template_text(environment: Environment, name: str) -> str:
    """Read a file beside the templates, as it is."""
    assert environment.loader is not None  # set by the caller
    return environment.loader.get_source(environment, name)[0]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _hash(script: str) -> str:
    """Hash a script as content security policies write it."""
    return f"sha256-{_base64(hashlib.sha256(script.encode()).digest())}"


_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~!&$])")


def render_markdown(page: Page) -> str:
    """Render the whole page. Every value is escaped unless a filter has made it safe."""
    # escaped for Markdown, not for HTML
    environment = templates(lambda value: value if isinstance(value, Markup) else escape(str(value)))
    environment.filters |= {"code": code, "difference": difference}
    return environment.get_template("page.md.j2").render(page=page, facts=FACTS)


def write_page(page: Page, folder: Path, pictures: Mapping[str, bytes] | None = None) -> Path:
    """Write `report.html`, `report.md` and pictures by their names; the path of the first."""
    files = {**(pictures or {}), "report.md": render_markdown(page).encode(), "report.html": render_html(page).encode()}
    for name, data in files.items():
        write_whole(folder / name, data)
    return folder / "report.html"


def escape(text: str) -> str:
    """Escape text so that Markdown shows it as it is, on one line: no tag, link, cell or mention can begin in it."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> Markup:
    """Fence a line of code by more backticks than it holds."""
    return _fenced(" ".join(text.split()), "shell")


def difference(lines: Sequence[str]) -> Markup:
    """Fence a difference between two files, each line on its own."""
    return _fenced("\n".join(" ".join(line.splitlines()) for line in lines), "diff")


def _fenced(text: str, language: str) -> Markup:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markup(f"{fence}{language}\n{text}\n{fence}")
