"""The bundle as a user starts it, in a process of its own."""

import subprocess
import sys
from pathlib import Path

from PIL import Image

from protoseg.data.io.volumes import EXPECTED

CONFIGS = Path(__file__).resolve().parents[2] / "bundle" / "configs"


def test_bad_input_ends_with_one_sentence_and_no_traceback(tmp_path: Path) -> None:
    Image.linear_gradient("L").save(tmp_path / "photo.png")
    command = [sys.executable, "-m", "monai.bundle", "run", "inference"]
    command += ["--config_file", str(CONFIGS / "inference.yaml")]
    command += ["--logging_file", str(CONFIGS / "logging.conf")]
    command += ["--support_image", str(tmp_path / "none.nii.gz"), "--query", str(tmp_path / "photo.png")]
    command += ["--output_dir", str(tmp_path / "out"), "--weights", "$None"]
    finished = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=tmp_path, check=False)
    assert finished.returncode == 1
    message = f"Error: {tmp_path / 'none.nii.gz'} does not exist. Check the path. {EXPECTED}"
    assert finished.stderr.splitlines()[-1] == message
    assert "Traceback" not in finished.stdout + finished.stderr
    assert not (tmp_path / "out").exists()
