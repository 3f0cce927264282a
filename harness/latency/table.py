"""The latency of many architectures at once, estimated: never a measured number, and never recorded as one.

Insertion is local, so that a block takes about the same time whatever stands at other sites. An architecture's ratio
to the base is 1 plus what each of its blocks adds (`survey`), corrected by architectures that were measured
end to end; they also give the error that the table carries. It is for choosing whom to try: what
is trained is measured for real.

What blocks take that there was no time to measure is estimated from those that were. A space's blocks are combinations
of few choices, and what a choice costs is about the same factor whatever stands beside it: the logarithm of a block's
time is a sum over its class, its arguments and its map's size, fitted by ridge regression. (Of the 620 blocks of the
default space on YOLOv5n at 128 px, whose times scatter by 31 %, a tenth foretold the others to 18 %, a half to 16 %;
all were timed on two cores with a load of 10, whose noise is in these figures.)

How far an estimate lies from what was measured is told by architectures that were really built. The estimated ratio to
the base is 1 + offset + factor × what the table adds; of the base itself it is 1. Both are fitted by least squares to
the calibration's measurements, and take in what no block shows alone, such as layers of the base that find their caches
swept. Each error is leave-one-out: that of the estimate fitted to all the others, so that nothing is judged by itself.
It holds the measurements' own error, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats

from harness.architecture import Mode
from harness.common.errors import UserError
from harness.detectors import Site
from harness.latency.intervals import Samples
from harness.latency.survey import Measurements, block_id
from harness.space import SearchSpace
from harness.space.table import Indices, SpaceTable

# Weight of each choice's squared effect beside one squared error: a choice seen twice is believed mostly.
_RIDGE = 0.1


def estimated(measured: Mapping[str, float], missing: Iterable[str]) -> dict[str, float]:
    """Estimate times of blocks from those that were measured.

    Args:
        measured: By `block_id`, above 0, at least one; in any unit.
        missing: Names of the same kind.

    Returns:
        In the same unit. What no measured block has in common counts for nothing.
    """
    missing = [*missing]
    choices = {name: set(_choices(json.loads(name))) for name in (*measured, *missing)}
    columns = {choice: place for place, choice in enumerate(sorted(set().union(*choices.values())))}

    def rows(names: Iterable[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.array([[choice in choices[name] for choice in columns] for name in names], dtype=np.float64)

    if not missing:
        return {}
    seen, logs = rows(measured), np.log([*measured.values()])
    middle = seen.mean(axis=0)
    centred = seen - middle
    effects = np.linalg.solve(centred.T @ centred + _RIDGE * np.eye(len(columns)), centred.T @ (logs - logs.mean()))
    return dict(zip(missing, np.exp(logs.mean() + (rows(missing) - middle) @ effects).tolist(), strict=True))


def _choices(value: Any, place: str = "") -> Iterator[str]:
    """Yield what a block is made of, each as its place and its value."""
    if isinstance(value, list | dict):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        yield f"{place}: {len(value)}"
        for key, each in items:
            yield from _choices(each, f"{place}.{key}")
    else:
        yield f"{place} = {value!r}"


# Architectures without which there is no error to speak of.
FEWEST = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """Architectures with at least one block and both figures; ratios are to the base.

    Attributes:
        added: What the table adds, in passes of the base, (n,).
        measured: Ratio measured end to end, (n,).

    Raises:
        UserError: Fewer than four architectures.
    """

    added: Samples
    measured: Samples

    def __post_init__(self) -> None:
        if len(self.measured) < FEWEST:
            raise UserError(f"latency table: {len(self.measured)} architectures to calibrate on; {FEWEST} or more do")

    @cached_property
    def fit(self) -> tuple[float, float]:
        """Offset and factor."""
        return self._fit(np.ones(len(self.measured), dtype=np.bool_))

    @cached_property
    def estimated(self) -> Samples:
        """Ratio of each by the fit to all the others, (n,)."""
        others = ~np.eye(len(self.measured), dtype=np.bool_)
        fits = np.array([self._fit(rows) for rows in others])
        estimated: Samples = 1 + fits[:, 0] + fits[:, 1] * self.added
        return estimated

    def _fit(self, rows: npt.NDArray[np.bool_]) -> tuple[float, float]:
        columns = np.stack([np.ones(rows.sum()), self.added[rows]], axis=1)
        offset, factor = np.linalg.lstsq(columns, self.measured[rows] - 1)[0]
        return float(offset), float(factor)

    @property
    def errors(self) -> Samples:
        """Estimated over measured ratio, less 1, (n,)."""
        errors: Samples = self.estimated / self.measured - 1
        return errors

    @property
    def bias(self) -> float:
        """Mean error; above 0 estimates are too slow."""
        return float(self.errors.mean())

    @property
    def rmse(self) -> float:
        """Root mean square of the errors."""
        return float(np.sqrt(np.mean(self.errors**2)))

    @property
    def max_error(self) -> float:
        """The greatest error, without its sign."""
        return float(np.abs(self.errors).max())

    @property
    def kendall(self) -> float:
        """Kendall's τ-b of estimate and measurement: 1 when all pairs are in the same order."""
        return float(scipy.stats.kendalltau(self.estimated, self.measured).statistic)

    @property
    def spearman(self) -> float:
        """Spearman's ρ of estimate and measurement."""
        return float(scipy.stats.spearmanr(self.estimated, self.measured).statistic)

    def to_dict(self) -> dict[str, float]:
        """Return the summary as plain data."""
        offset, factor = self.fit
        names = ("bias", "rmse", "max_error", "kendall", "spearman")
        return {
            "architectures": len(self.measured),
            "offset": offset,
            "factor": factor,
            **{name: getattr(self, name) for name in names},
        }


class LatencyTable(SpaceTable):
    """Milliseconds of architectures of a space on one device, batch 1, estimated.

    Args:
        space: The space.
        sites: The base's sites.
        measured: Blocks of the space, and architectures to calibrate on. Blocks that are missing are estimated from
            the others; what that adds to the error, the architectures tell.

    Attributes:
        blocks: Number of different blocks of the space.
        estimated_blocks: How many of these were not measured.

    Raises:
        UserError: A site or a replaced layer was not measured, or no block, or there is too little to calibrate on.
    """

    def __init__(self, space: SearchSpace, sites: Mapping[str, Site], measured: Measurements) -> None:
        super().__init__(space)
        if missing := [site for site in space.sites if site not in sites]:
            raise UserError(f"latency table: no time was measured at {', '.join(missing)} of {space.base}")
        names = {name for site in space.sites for each in _blocks(space, sites[site]) for name in each}
        missing = sorted(names - measured.blocks.keys())
        if missing and not measured.blocks:
            raise UserError("latency table: no block's time was measured")
        self.blocks, self.estimated_blocks = len(names), len(missing)
        complete = measured.model_copy(update={"blocks": measured.blocks | estimated(measured.blocks, missing)})
        self._added = np.array(
            [share for site in space.sites for share in (0.0, *_shares(space, sites[site], complete))]
        )
        self.end_to_end = measured.end_to_end
        rows = np.array([each.numbers for each in measured.end_to_end], dtype=np.int64).reshape(-1, len(space.sites))
        self._check(rows)
        self.calibration = Calibration(
            added=self._sum(rows), measured=np.array([each.ratio for each in measured.end_to_end])
        )
        self.base_ms = float(np.median([each.base_ms for each in measured.end_to_end]))

    @property
    def relative_error(self) -> float:
        """Root mean square of estimated over measured ratio, less 1, on architectures the estimate had not seen."""
        return self.calibration.rmse

    def of(self, indices: Indices) -> npt.NDArray[np.float64]:
        """Estimate the milliseconds of a pass of each architecture.

        Args:
            indices: (N, sites).

        Returns:
            (N,); `base_ms` for the base.

        Raises:
            ValueError: The array is no whole numbers, has another shape, or names a placement that is not there.
        """
        return self.base_ms * self.ratio(indices)

    def ratio(self, indices: Indices) -> npt.NDArray[np.float64]:
        """Estimate the ratio of each architecture to the base, (N,); see `of`."""
        self._check(indices)
        offset, factor = self.calibration.fit
        has_block = (indices > 0).any(axis=1)
        return 1 + offset * has_block + factor * self._sum(indices)

    def ratio_ci95(self, indices: Indices) -> npt.NDArray[np.float64]:
        """Return the ends of each ratio's 95 % interval for one more such measurement, (N, 2); see `of`."""
        degrees = len(self.calibration.measured) - 2  # an offset and a factor are fitted
        width = scipy.stats.t.ppf(0.975, degrees) * self.relative_error
        return self.ratio(indices)[:, None] * np.exp([-width, width])

    def _sum(self, indices: Indices) -> Samples:
        total: Samples = np.zeros(len(indices))
        for site, first in enumerate(self._first):
            total += self._added[first + indices[:, site]]
        return total


def _blocks(space: SearchSpace, site: Site) -> list[list[str]]:
    """List the blocks of each of a site's placements."""
    size = space.maps[site.name]
    return [
        [block_id(placement, channels, size) for channels in site.block_channels(placement.mode)]
        for placement in space.placements[site.name]
    ]


def _shares(space: SearchSpace, site: Site, measured: Measurements) -> list[float]:
    """Return what each of a site's placements adds, in passes of the base; below 0 where it replaces a slower layer."""
    shares = []
    for placement, names in zip(space.placements[site.name], _blocks(space, site), strict=True):
        replaces = placement.mode is Mode.REPLACE
        if replaces and site.name not in measured.layers:
            raise UserError(f"latency table: no time was measured of {placement.describe()}")
        without = measured.layers[site.name] if replaces else 0.0
        shares.append(sum(measured.blocks[name] for name in names) - without)
    return shares
