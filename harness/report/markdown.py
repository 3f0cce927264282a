"""A page as Markdown that GitHub renders, beside its pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.report.comparison import FACTS
from harness.report.page import Page

_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~!&$])")


def render_markdown(page: Page) -> str:
    """The whole page. Every value is escaped unless a filter has made it safe."""
    return _environment().get_template("page.md.j2").render(page=page, facts=FACTS)


def _environment() -> Environment:
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
