"""What Ultralytics would do beside a training, and does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from ultralytics.engine import trainer

from harness.common.errors import UserError
from harness.training.quiet import make_ultralytics_quiet


def test_the_code_that_a_data_set_downloads_itself_with_is_not_run(tmp_path: Path) -> None:
    make_ultralytics_quiet()
    make_ultralytics_quiet()
    code = f"open({str(tmp_path / 'ran')!r}, 'w').close()"
    yaml = tmp_path / "data.yaml"
    yaml.write_text(f"path: {tmp_path}\ntrain: gone\nval: gone\nnames: [a]\ndownload: |\n  {code}\n")
    with pytest.raises(UserError, match="must be downloaded first"):
        trainer.check_det_dataset(str(yaml))
    assert not (tmp_path / "ran").exists()
