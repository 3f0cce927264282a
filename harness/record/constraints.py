"""What a candidate must fulfil: bounds on what it costs and yields, and where its blocks stand.

What is known before training (parameters, MACs, sites) excludes a candidate before it is trained; what is measured
(latency) or learnt (mAP) takes it off the front afterwards.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Bound(NamedTuple):
    """One limit, itself allowed.

    Attributes:
        name: The field of `Constraints`.
        column: What it limits: a column of a study's trials and of their summary.
        limit: In the column's unit.
        is_upper: Whether more breaks it, or less.
    """

    name: str
    column: str
    limit: float
    is_upper: bool

    def broken_by(self, values: Any) -> Any:
        """Return whether a number, or which of many, is beyond the limit; NaN, which was not measured, is not."""
        return values > self.limit if self.is_upper else values < self.limit


class Constraints(BaseModel):
    """The region of interest: a box of bounds, None where there is none, and sites.

    Latency is bounded by its ratio to the baseline's, as it is measured: the two are timed in turns, so that a
    machine that slows down slows both. Milliseconds would let one and the same candidate pass or fail with the
    machine's clock.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_params: float | None = Field(
        default=None, gt=0, description="Maximum number of parameters, as 2e6 or 2M; larger candidates are skipped."
    )
    max_macs: float | None = Field(
        default=None, gt=0, description="Maximum MACs per image, as 5e8 or 500M; larger candidates are skipped."
    )
    max_latency_ratio: float | None = Field(
        default=None, gt=0, description="Maximum latency, × the baseline's; slower candidates are never finalists."
    )
    min_map50_95: float | None = Field(
        default=None, ge=0, le=1, description="Minimum mAP50-95; candidates below are never finalists."
    )
    required_sites: tuple[str, ...] = Field(
        default=(), description="Every candidate has a block at this site. Repeatable."
    )
    forbidden_sites: tuple[str, ...] = Field(
        default=(), description="No candidate has a block at this site. Repeatable."
    )

    @field_validator("required_sites", "forbidden_sites")
    @classmethod
    def _in_one_order(cls, sites: tuple[str, ...]) -> tuple[str, ...]:
        """Sort the sites: the order in which somebody typed them says nothing."""
        return tuple(sorted(set(sites)))

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """Those that were given."""
        limits = ((name, column, getattr(self, name)) for name, column in _COLUMNS.items())
        return tuple(
            Bound(name, column, limit, name.startswith("max_")) for name, column, limit in limits if limit is not None
        )

    @property
    def bounds_cost(self) -> bool:
        """Whether parameters or MACs are bounded."""
        return self.max_params is not None or self.max_macs is not None


_COLUMNS = {
    "max_params": "params",
    "max_macs": "macs",
    "max_latency_ratio": "latency_ratio",
    "min_map50_95": "map50_95",
}
UNBOUNDED = Constraints()
# The fields that decide what a sampler is asked: all trials of a study share them. Bounds may change.
SITE_FIELDS = ("required_sites", "forbidden_sites")
