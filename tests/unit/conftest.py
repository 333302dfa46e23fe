"""Small sources of data sets, and a folder for synthetic subjects that are painted in a moment."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from protoseg.synthesis import subjects
from protoseg.synthesis.anatomy.regions import REGIONS

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode does not


@pytest.fixture(scope="session")
def chaos_source(write_chaos, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_chaos(tmp_path_factory.mktemp("chaos"), mr=["1", "2", "3"])


@pytest.fixture(scope="session")
def btcv_source(write_btcv, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_btcv(tmp_path_factory.mktemp("btcv"), [1, 2, 3])


@pytest.fixture(scope="module")
def subjects_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of subjects, the same for every module; while one uses it, they are coarse and have few slices."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subjects, "FRAME", 72)
        patch.setattr(subjects, "ROWS", 56)
        patch.setattr(subjects, "SLICES", 6)
        patch.setattr(subjects, "SPACINGS", dict.fromkeys(REGIONS, (5.4, 36.0)))
        yield tmp_path_factory.getbasetemp() / "subjects"
