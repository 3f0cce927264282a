"""The latency of many architectures at once, estimated: never a measured number, and never recorded as one.

Insertion is local, so that a block takes about the same time whatever stands at other sites. An architecture's ratio
to the base is 1 plus what each of its blocks adds (`latency_survey`), corrected by architectures that were measured
end to end (`estimate_error`); they also give the error that the table carries. It is for choosing whom to try: what
is trained is measured for real.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import scipy.stats

from harness.architecture import Mode
from harness.detectors import Site
from harness.errors import UserError
from harness.measure.intervals import Samples
from harness.search.block_estimate import estimated
from harness.search.estimate_error import Calibration
from harness.search.latency_survey import Measurements, block_id
from harness.search.space_table import Indices, SpaceTable
from harness.space import SearchSpace


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
        """Estimated milliseconds of a pass of each architecture.

        Args:
            indices: (N, sites).

        Returns:
            (N,); `base_ms` for the base.

        Raises:
            ValueError: The array is no whole numbers, has another shape, or names a placement that is not there.
        """
        return self.base_ms * self.ratio(indices)

    def ratio(self, indices: Indices) -> npt.NDArray[np.float64]:
        """Estimated ratio of each architecture to the base, (N,); see `of`."""
        self._check(indices)
        offset, factor = self.calibration.fit
        has_block = (indices > 0).any(axis=1)
        return 1 + offset * has_block + factor * self._sum(indices)

    def ratio_ci95(self, indices: Indices) -> npt.NDArray[np.float64]:
        """Lower and upper end of each ratio's 95 % interval for one more such measurement, (N, 2); see `of`."""
        degrees = len(self.calibration.measured) - 2  # an offset and a factor are fitted
        width = scipy.stats.t.ppf(0.975, degrees) * self.relative_error
        return self.ratio(indices)[:, None] * np.exp([-width, width])

    def _sum(self, indices: Indices) -> Samples:
        total: Samples = np.zeros(len(indices))
        for site, first in enumerate(self._first):
            total += self._added[first + indices[:, site]]
        return total


def _blocks(space: SearchSpace, site: Site) -> list[list[str]]:
    """The blocks of each of a site's placements."""
    size = space.maps[site.name]
    return [
        [block_id(placement, channels, size) for channels in site.block_channels(placement.mode)]
        for placement in space.placements[site.name]
    ]


def _shares(space: SearchSpace, site: Site, measured: Measurements) -> list[float]:
    """What each of a site's placements adds, in passes of the base; below 0 where it replaces a slower layer."""
    shares = []
    for placement, names in zip(space.placements[site.name], _blocks(space, site), strict=True):
        replaces = placement.mode is Mode.REPLACE
        if replaces and site.name not in measured.layers:
            raise UserError(f"latency table: no time was measured of {placement.describe()}")
        without = measured.layers[site.name] if replaces else 0.0
        shares.append(sum(measured.blocks[name] for name in names) - without)
    return shares
