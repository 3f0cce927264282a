"""The one place where Ultralytics learns our blocks.

Ultralytics' `parse_model` has no hook. It looks a layer's class up among its module's globals; a
class that it does not know keeps its input's channels (`c2 = ch[f]`) and gets the YAML's arguments
untouched. Our blocks keep channels and stride and our YAMLs spell channels out, so making the name
known is all that it takes. Should a new Ultralytics parse differently, we refuse instead of
building something else than the YAML says.
"""

from __future__ import annotations

import inspect
from types import ModuleType

from harness.blocks import CloAttention, CloBlock
from harness.errors import UserError

_BLOCKS = (CloAttention, CloBlock)
_RELIED_ON = ("globals()[m]", "c2 = ch[f]", "m(*args)", 'd["backbone"] + d["head"]')


def register(tasks: ModuleType) -> None:
    """Make our blocks known to the parser in `ultralytics.nn.tasks`. Idempotent.

    Raises:
        UserError: This version of Ultralytics parses models in a way we do not know.
    """
    source = inspect.getsource(tasks.parse_model)
    missing = [line for line in _RELIED_ON if line not in source]
    if missing:
        import ultralytics

        raise UserError(
            f"Ultralytics {ultralytics.__version__} parses models differently from what clo-nas was checked "
            f"with (no `{missing[0]}` in parse_model); install ultralytics>=8.4.190,<8.5"
        )
    for block in _BLOCKS:
        known = tasks.__dict__.get(block.__name__)
        if known not in (None, block):
            raise UserError(f"Ultralytics has a layer named {block.__name__} of its own; clo-nas cannot add its one")
        setattr(tasks, block.__name__, block)
