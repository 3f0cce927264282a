"""Runs an export's script as somebody else would, and keeps what the model says of one image.

A program of its own, started by its path, so that nothing of the harness is imported unless the script does:

    python fresh_process.py FOLDER IMAGE.npy OUTPUT.npy THREADS
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor, nn


def main(folder: Path, image: Path, output: Path, threads: int) -> None:
    """Write the output; standard output has the engine that made it and what of ours was imported."""
    sys.path.insert(0, str(folder))  # as where the script is started by its name
    script = next(folder / name for name in ("load.py", "train.py") if (folder / name).is_file())
    loaded = runpy.run_path(str(script))
    pixels = np.load(image)
    if "session" in loaded:
        import onnxruntime

        session = loaded["session"]
        found = session.run(None, {session.get_inputs()[0].name: pixels})[0]
        engine = f"onnxruntime {onnxruntime.__version__}"
    else:
        import torch

        torch.set_num_threads(threads)
        network = loaded["model"].model
        if not list(folder.glob("*.pt")):
            fill(network)
        found = first_output(network, torch.from_numpy(pixels)).numpy()
        engine = f"torch {torch.__version__}"
    np.save(output, found)
    print(json.dumps({"engine": engine, "needs_harness": "harness" in sys.modules}))


def fixed_image(side: int) -> NDArray[np.float32]:
    """Draw the same random pixels always, (1, 3, side, side), 0 to 1."""
    return np.random.default_rng(0).random((1, 3, side, side), dtype=np.float32)


def fill(network: nn.Module) -> None:
    """Give a network without weights the same ones everywhere.

    Blocks that start as the identity would hide what is in them, so that no weight stays zero; and the further a
    signal fades, the less a difference in an early layer is to be seen at the end, hence He's gain.

    References:
        1. He et al., "Delving deep into rectifiers", ICCV 2015.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            drawn = torch.randn(parameter.shape, generator=generator)
            if name.endswith("bias"):
                drawn *= 0.1
            elif parameter.ndim > 1:
                drawn *= (2 * len(parameter) / parameter.numel()) ** 0.5
            else:
                drawn = 1 + 0.1 * drawn
            if parameter.requires_grad:
                parameter.copy_(drawn)


def first_output(network: nn.Module, image: Tensor) -> Tensor:
    """Return the first of all that a network gives in eval mode: the decoded detections in Ultralytics' case."""
    import torch

    network.eval()
    with torch.inference_mode():
        outputs: Any = network(image)
    while not isinstance(outputs, torch.Tensor):
        outputs = outputs[0]
    return outputs


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
