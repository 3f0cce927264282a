"""What a part of a record is made of: typed where something reads it, and kept whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

Count = Annotated[int, Field(ge=0, strict=True)]


class Form(BaseModel):
    """What storage may hold beyond the fields is let be: it is another version's."""

    model_config = ConfigDict(extra="allow")


class Kept(Form):
    """A part of a record that knows what it was parsed from: what no report asks for is kept too, unread."""

    _kept: dict[str, Any] = PrivateAttr(default_factory=dict)

    def model_post_init(self, _context: Any) -> None:
        """Keep what was given, of one that is made and not parsed."""
        self._kept = self.model_dump(mode="json", exclude_unset=True)

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Self:
        """Parse what storage or a study's folder holds.

        Raises:
            pydantic.ValidationError: It is of another form than clo-nas writes.
        """
        made = cls.model_validate(dict(kept))
        made._kept = dict(kept)
        return made

    def to_dict(self) -> dict[str, Any]:
        """Return what was parsed, unchanged."""
        return dict(self._kept)

    def __or__(self, changes: Mapping[str, Any]) -> Self:
        """Return the same with some values changed."""
        return self.of(self._kept | dict(changes))
