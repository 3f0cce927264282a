"""Blocks of a user's own, trained for one step at the smallest batch that a training will see, before any training.

The last batch of an epoch holds what is left of the images. A batch norm behind a global pooling, for instance, needs
two images, and every candidate with it would fail at the end of its first epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.architecture.placement import Placement
from harness.blocks import import_block_file
from harness.blocks.probe import probe_training
from harness.common.errors import UserError
from harness.detectors import Site


def smallest_batch(images: int, batch: int) -> int:
    """Return the images of an epoch's smallest batch: Ultralytics' loader keeps the rest that fills no batch."""
    return images % batch or batch if images >= batch else images


def check_trainable(
    placements: Iterable[Placement], sites: Mapping[str, Site], *, imgsz: int, batch: int, images: int
) -> None:
    """Refuse registered blocks that cannot be trained at every batch of an epoch.

    Args:
        placements: What may be trained.
        sites: The base's.
        imgsz: Side of the square input, in pixels.
        batch: Images of a full batch.
        images: Training images.

    Raises:
        UserError: One cannot: which block, where, why, and what would be right.
    """
    fewest = smallest_batch(images, batch)
    for placement in placements:
        if placement.is_clo or placement.site not in sites:
            continue
        if placement.block_file:
            import_block_file(placement.block_file)
        site = sites[placement.site]
        for channels in sorted(set(site.block_channels(placement.mode))):
            tried = (placement.block_name, placement.options, channels, site.map_size(imgsz))
            if why := probe_training(*tried, fewest):
                fitting = [b for b in _near(batch) if not probe_training(*tried, smallest_batch(images, b))]
                raise UserError(
                    f"block '{placement.block_name}' at {placement.site} cannot be trained with a batch of {fewest} "
                    f"({why}), and {images} training images in batches of {batch} have one; {_right(fitting, fewest)}"
                )


def _near(batch: int) -> list[int]:
    """List other batches, the nearest first."""
    return sorted({*range(max(1, batch - 8), batch + 9), 2 * batch}, key=lambda other: abs(other - batch))


def _right(fitting: list[int], fewest: int) -> str:
    if fitting:
        return f"--batch {fitting[0]} would do, or a block that takes {fewest}"
    return "the block has to be changed, since no other batch helps"
