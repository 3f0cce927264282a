"""The trainer of one of several processes that share every batch: see `data_parallel`."""

from __future__ import annotations

import time
from typing import Any

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from ultralytics.utils.torch_utils import TORCH_2_13

from harness.measure.accuracy import Trainer, judged, trained
from harness.measure.training import Accuracy, Progress, Training

_KEEP_OWN_STATISTICS: dict[str, Any] = {"forward_sync_buffers" if TORCH_2_13 else "broadcast_buffers": False}
"""Torch's argument by its new name, or its old one."""


class RankTrainer(Trainer):
    """A trainer that averages its gradients with the other processes'.

    Ultralytics' own code for several processes is used where it is one's process number that counts (dealing out
    images, bringing detections together). It does not wrap the network, since it knows CUDA alone.
    """

    def _build_train_pipeline(self) -> None:
        """Just before the images are dealt out: the network is on its device, and nothing has been trained."""
        if self.optimizer is None:
            self.world_size = dist.get_world_size()
            index = self.device.index
            self.model = DistributedDataParallel(
                self.model,
                device_ids=None if index is None else [index],
                **_KEEP_OWN_STATISTICS,
                find_unused_parameters=True,
            )
        super()._build_train_pipeline()

    def loss_is_finite(self) -> bool:
        """Of all processes: they stop together."""
        failed = (~torch.isfinite(self.loss.detach())).float()
        dist.all_reduce(failed)
        return not failed


def train_rank(training: Training, progress: Progress | None) -> Accuracy | None:
    """This process's part of a training.

    Args:
        training: Its device is this process's own.
        progress: Called with finished and total iterations.

    Returns:
        What the training came to, from the process that judges; None from the others.
    """
    started = time.perf_counter()
    trainer, moved = trained(RankTrainer, training, progress)
    return judged(trainer, training, moved, started) if dist.get_rank() == 0 else None
