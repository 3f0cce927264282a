"""The report as one HTML file that needs nothing else and asks for nothing else.

Names of studies, data sets and failures come from outside. Three walls keep them text: Jinja escapes
everything, JSON in the page carries no `<`, and a content security policy lets only the scripts whose
hashes are in the page run and forbids every request.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from harness.report.content import Content
from harness.report.interactive import plotly_figure


def render_html(content: Content, png: bytes) -> str:
    """The whole page.

    Args:
        content: What it says.
        png: The picture for readers without JavaScript.
    """
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scripts = (_plotly(), _template_text(environment, "report.js"))
    figures = {figure.axis.key: plotly_figure(figure) for figure in content.figures}
    return environment.get_template("report.html.j2").render(
        content=content,
        style=Markup(_template_text(environment, "report.css")),
        scripts=[Markup(script) for script in scripts],
        script_hashes=[_hash(script) for script in scripts],
        data=Markup(json_for_page(figures)),
        picture=base64.b64encode(png).decode(),
    )


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


def _template_text(environment: Environment, name: str) -> str:
    """A file beside the templates, as it is."""
    assert environment.loader is not None  # noqa: S101  # set two lines above
    return environment.loader.get_source(environment, name)[0]


def _hash(script: str) -> str:
    """A script's hash as content security policies write it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
