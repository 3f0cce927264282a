"""clo-nas: where, in which shape and whether Clo blocks pay in a detector.

Importing this package makes Ultralytics understand the Clo blocks, so that plain
`YOLO("architecture.yaml").train(...)` works. Ultralytics itself is not imported here: its parser
is extended at the moment it is first loaded (see `harness.common.import_hook`).
"""

from harness.common.import_hook import moved, when_imported

moved("harness.choices", "harness.architecture.choices")
when_imported("ultralytics.nn.tasks", "harness.detectors.parser:register")
