"""The settings of a study that does not exist yet."""

from tests.search.conftest import settings, tables

__all__ = ["settings", "tables"]
