"""Trainings whose loss stops being a number: by a learning rate, by a block of a user's own."""

from __future__ import annotations

import random

from benchmarks.fault_checks.ground import Ground
from benchmarks.fault_checks.rows import FAILURES
from benchmarks.fault_checks.scenario import Tally, scenario, until
from benchmarks.fault_checks.watched import Watched

BLOCK = '''
"""A block that yields NaN from a certain pass in training on."""
from torch import Tensor, nn
from harness.blocks import register_block


@register_block("poison")
class Poison(nn.Module):
    def __init__(self, channels: int, good_passes: int = 1) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 1)
        self.left = good_passes

    def forward(self, x: Tensor) -> Tensor:
        self.left -= self.training
        return self.mix(x) * (float("nan") if self.left < 0 else 1.0)
'''
PASSES = (1, 3, 5)
SPACE = f"""
name: poisoned
sites: [neck.P4_up, backbone.P5, neck.P4]
max_blocks: 1
placement:
  kind: ["poison.py:poison", attention, block]
  options: {{poison: {{good_passes: {list(PASSES)}}}}}
  kernel: [5, 7]
  kv_pool: [1]
  heads: [4, 8]
  local_share: [0.25, 0.5]
  ffn_ratio: [2]
"""
"""Holds the ground's candidates, too."""


@scenario("NaN in a block", faults=1)
def block(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """The candidate fails with its reason and is never trained again; the others aren't touched."""
    (ground.folder / "poison.py").write_text(BLOCK)
    (ground.folder / "poisoned.yaml").write_text(SPACE)
    for _ in until(tally, faults):
        passes = generator.choice(PASSES)
        placement = f"{{site: neck.P4, kind: 'poison.py:poison', init: residual, options: {{good_passes: {passes}}}}}"
        (ground.folder / "p.yaml").write_text(f"base: yolov5n\nplacements: [{placement}]\n")
        study = Watched(ground=ground, tally=tally)
        included = [
            f"{name}.yaml" for name in generator.sample(["p", *ground.architectures], k=1 + len(ground.architectures))
        ]
        counts = {"trials": str(len(included)), "finalists": str(len(included))}
        study.options = {"space": "poisoned.yaml", "include": " ".join(included), **counts}
        program = study.start()
        tally.expect(program.wait() == 0, f"{study.name}: exit code {program.wait()}: {program.said()[-300:]}")
        tally.faults += 1
        wrong = [row for row in study.check() if row.state in FAILURES]
        said = [row.content["reason"] for row in wrong]
        tally.expect(len(wrong) == 1 and "loss is nan" in said[0], f"{study.name}: failed: {said}")
        before = study.rows()
        tally.expect(study.finish(failed=1) == before, f"{study.name}: the next start changed something")
        study.remove()


@scenario("learning rate absurd", faults=1)
def learning_rate(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """The baseline itself fails: said in a sentence, with the loss, each time."""
    for _ in until(tally, faults):
        study = Watched(ground=ground, tally=tally, options={"learning-rate": f"1e{generator.randint(20, 30)}"})
        for _ in range(2):
            program = study.start()
            study.expect_refusal(program, "loss is")
            rows = study.check()
            tally.expect(all(row.state == "failed" and "map50_95" not in row.content for row in rows), f"{rows}")
        tally.expect(len(rows) == 2, f"{study.name}: the baseline was trained {len(rows)} times, not at each start")
        tally.faults += 1
        tally.restarts += 1
        tally.checked += len(rows)
        study.remove()
