"""URLs of a study's storage: SQLite's and PostgreSQL's, with their passwords kept from what is written."""

from __future__ import annotations

import re
from pathlib import Path

from harness.common.errors import UserError


def is_server(url: str) -> bool:
    """Return whether a storage is PostgreSQL's, where any number of searches may work on one study."""
    return url.startswith(("postgresql", "postgres:"))


def with_driver(url: str) -> str:
    """Return the URL of a PostgreSQL storage with the driver that clo-nas brings, where it names none."""
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)


def sqlite_url(file: Path) -> str:
    """Return the URL of a SQLite file; `?` and `%` of its path are no part of the URL's own grammar."""
    from sqlalchemy import URL

    return URL.create("sqlite", database=file.as_posix()).render_as_string(hide_password=False)


_SECRETS = r"pass(?:word|wd)?|pwd|sslpassword|secret|token|api_?key"


def without_password(text: str) -> str:
    """Return the text with the password of every URL in it masked: reports and error messages are passed on.

    A password ends at the last `@` of its word, so that one which holds an `@` is masked whole.
    """
    masked = re.sub(r"(://[^:/\s]*):\S*@", r"\1:***@", text)
    return re.sub(rf"([?&](?:{_SECRETS})=)[^&\s]*", r"\1***", masked, flags=re.IGNORECASE)


def require_storage_url(url: str) -> None:
    """Refuse what is no storage URL, before a library says so in its own words and repeats a password.

    Raises:
        UserError: It is a plain path, or its password has characters that end it early.
    """
    if not re.match(r"[a-z][a-z0-9+.]*://", url):
        right = without_password(sqlite_url(Path(url).absolute()))
        raise UserError(f"storage {without_password(url)}: not a URL; of a SQLite file write {right}")
    authority = url.partition("://")[2].partition("?")[0]
    if authority.count("@") > 1:
        raise UserError(f"storage {without_password(url)}: user or password holds an '@'; write %40 for it")
