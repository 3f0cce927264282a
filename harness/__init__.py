"""clo-nas: where, in which shape and whether Clo blocks pay in a detector.

Importing this package makes Ultralytics understand the Clo blocks, so that plain
`YOLO("architecture.yaml").train(...)` works. Ultralytics itself is not imported here: its parser
is extended at the moment it is first loaded (see `harness.import_hook`).
"""

from harness.import_hook import when_imported

when_imported("ultralytics.nn.tasks", "harness.detectors.parser:register")
