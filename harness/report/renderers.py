"""The report as one HTML file that needs nothing else and asks for nothing else.

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from plotly.offline import get_plotlyjs

from harness.report.comparison import FACTS, MOST, Comparison, Entry, network
from harness.report.curves import Curves
from harness.report.images import THRESHOLDS, Floats, Found, Gallery
from harness.report.interactive import hover_texts, plotly_curves, plotly_figure
from harness.report.page import Fronts, Page
from harness.report.pick import SHOWN, Budget

NOTHING = Comparison(entries={}, chosen=(), network=network([]), commands=())


@dataclass
class _Table:
    """Texts that many architectures share, each once; they are named by their place."""

    texts: dict[str, int] = field(default_factory=dict)

    def places(self, texts: Sequence[str]) -> list[int]:
        return [self.texts.setdefault(text, len(self.texts)) for text in texts]


def page_data(page: Page) -> dict[str, Any]:
    """All that is drawn or said by scripts.

    Returns:
        `figures` and `notes` as `harness.report.interactive` makes them; `texts`, to whose places everything in
        `entries` refers; `entries`: identity to kind, facts, latency and MACs as ratios, blocks (site, kind, shape,
        text) and difference; `chosen`; `commands` with `token` for an identity; `budgets`.
    """
    (fronts,) = page.drawn(Fronts)
    table, compared = _Table(), [*page.drawn(Comparison), NOTHING][0]
    entries = {name: _entry(entry, table) for name, entry in compared.entries.items()}
    return {
        "figures": {figure.axis.key: plotly_figure(figure) for figure in fronts.figures}
        | {panel.key: plotly_curves(panel) for curves in page.drawn(Curves) for panel in curves.panels},
        "notes": hover_texts(fronts.figures),
        "entries": entries,
        "texts": list(table.texts),
        "chosen": list(compared.chosen),
        "commands": [list(pair) for pair in compared.commands],
        "token": compared.token,
        "gallery": next((_gallery(found) for found in page.drawn(Gallery)), None),
        "budgets": {budget.key: _budget(budget) for budget in fronts.budgets},
    }


def _entry(entry: Entry, table: _Table) -> list[Any]:
    return [
        *table.places([entry.kind]),
        table.places(entry.facts),
        _number(entry.latency_ratio, SHOWN["latency"]),
        _number(entry.macs_ratio, SHOWN["macs"]),
        [table.places([block.site, block.kind, block.shape, block.text]) for block in entry.blocks],
        table.places(entry.difference),
    ]


def _gallery(found: Gallery) -> Mapping[str, object]:
    """Images as data URIs, boxes as thousandths: left, top, right, bottom, class, and what else there is of each."""
    pictures = [
        {
            "src": f"data:image/jpeg;base64,{base64.b64encode(each.thumbnail).decode()}",
            "size": [each.width, each.height],
            "file": f"images/{each.file}",
            "objects": _boxes(each.objects, each.classes),
        }
        for each in found.pictures
    ]
    compared = [
        {
            "name": each.architecture,
            "rates": [[_rounded(row) for row in rates] for rates in (each.precision, each.recall)],
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
        "pictures": pictures,
        "compared": compared,
    }


def _detections(found: Found) -> list[list[float]]:
    more = zip(found.confidence.round(3).tolist(), found.object_of.tolist(), strict=True)
    return [[*box, *rest] for box, rest in zip(_boxes(found.boxes, found.classes), more, strict=True)]


def _boxes(boxes: Floats, classes: NDArray[np.int64]) -> list[list[float]]:
    return [[*map(float, box), int(number)] for box, number in zip((boxes * 1000).round(), classes, strict=True)]


def _rounded(values: Floats) -> list[float | None]:
    return [_number(float(value), 4) for value in values]


def _budget(budget: Budget) -> dict[str, object]:
    return {
        "name": budget.name,
        "least": budget.least,
        "most": budget.most,
        "to_x": budget.to_x,
        "steps": [[_number(step.cost, SHOWN[budget.key]), step.architecture, step.said] for step in budget.steps],
    }


def _number(value: float, digits: int) -> float | None:
    """A ratio as it is shown; None for what JSON has no word for."""
    return round(value, digits) if math.isfinite(value) else None


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
"""The marks of the figures as SVG, for the legend."""


SCRIPTS = ("theme.js", "figures.js", "comparison.js", "links.js", "budget.js", "gallery.js", "sort.js", "filter.js")
"""The page's own, in order; they talk to each other by events of the document."""
STILL = ("theme.js", "sort.js")
"""Those of a page without figures."""


def render_html(page: Page) -> str:
    """The whole page; plotly.js lies in it where it has figures.

    Args:
        page: What it says.
    """
    environment = _environment()
    fronts = page.drawn(Fronts)
    scripts = [_template_text(environment, name) for name in (SCRIPTS if fronts else STILL)]
    return environment.get_template("page.html.j2").render(
        page=page,
        style=Markup(_template_text(environment, "report.css")),
        dark=Markup(_template_text(environment, "dark.css")),
        scripts=[Markup(script) for script in scripts],
        script_hashes=[_hash(script) for script in [*scripts, *([_plotly()] if fronts else [])]],
        plotly=_packed(_plotly()) if fronts else "",
        data=Markup(json_for_page(page_data(page))) if fronts else "",
        on_front={each.architecture for front in fronts for figure in front.figures for each in figure.members},
        shapes=_SHAPES,
        facts=FACTS,
        most=MOST,
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        finalize=_unbroken,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode()
    return environment


def _unbroken(value: object) -> object:
    """Keep numbers with their units and intervals in one piece; what is markup stays as it is."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    value = re.sub(r"(?<=\d) (?=%|ms\b)", "\u00a0", value)
    return re.sub(r"\[([^\[\], ]+), ([^\[\], ]+)\]", "[\\1,\u00a0\\2]", value)


def json_for_page(value: object) -> str:
    """JSON that may stand inside a script element: it cannot end the element or open a comment.

    Raises:
        ValueError: NaN or infinity, which JSON does not have.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _plotly() -> str:
    """plotly.js, with the line ends that a browser hashes."""
    text: str = get_plotlyjs()
    return text.replace("\r\n", "\n").replace("\r", "\n")


@cache
def _packed(script: str) -> str:
    """A script for `figures.js` to unpack: a third of its size, so that a page with a thousand rows can be sent."""
    return base64.b64encode(gzip.compress(script.encode(), 9, mtime=0)).decode()


def _template_text(environment: Environment, name: str) -> str:
    """A file beside the templates, as it is."""
    assert environment.loader is not None  # set by the caller
    return environment.loader.get_source(environment, name)[0]


def _hash(script: str) -> str:
    """A script's hash as content security policies write it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~!&$])")


def render_markdown(page: Page) -> str:
    """The whole page. Every value is escaped unless a filter has made it safe."""
    return _markdown_environment().get_template("page.md.j2").render(page=page, facts=FACTS)


def _markdown_environment() -> Environment:
    environment = Environment(  # escaped for Markdown by `finalize`, not for HTML
        loader=PackageLoader("harness.report"),
        finalize=lambda value: value if isinstance(value, Markup) else escape(str(value)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = code
    environment.filters["difference"] = difference
    return environment


def escape(text: str) -> str:
    """Text that Markdown shows as it is, on one line: no tag, link, cell or mention can begin in it."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> Markup:
    """A line of code, fenced by more backticks than it holds."""
    line = " ".join(text.split())
    return _fenced(line, "shell")


def difference(lines: Sequence[str]) -> Markup:
    """A difference between two files, each line on its own."""
    return _fenced("\n".join(" ".join(line.splitlines()) for line in lines), "diff")


def _fenced(text: str, language: str) -> Markup:
    """A block that shows text as it is."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markup(f"{fence}{language}\n{text}\n{fence}")
