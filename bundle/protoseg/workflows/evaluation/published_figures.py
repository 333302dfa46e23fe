"""Published figures of one-shot segmentation of abdominal organs, for comparison."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["PUBLISHED", "PUBLISHED_NOTE", "PublishedFigures"]


class PublishedFigures(NamedTuple):
    """Mean Dice in % of left kidney, right kidney, liver and spleen; None where none was published."""

    method: str
    source: str
    mri_setting_1: float | None  # MRI: CHAOS T2-SPIR
    ct_setting_1: float | None  # CT: BTCV, also called SABS
    mri_setting_2: float | None
    ct_setting_2: float | None
    trained: str
    remark: str = ""


PUBLISHED = (
    PublishedFigures("SSL-ALPNet", "Ouyang et al., arXiv 2007.09886", 78.84, 73.35, 73.02, 63.02, "yes"),
    PublishedFigures(
        "DINOv2-ALPNet + CCA + TTT",
        "arXiv 2403.03273",
        None,
        None,
        77.39,
        73.72,
        "yes",
        "setting not named in its summary",
    ),
    PublishedFigures("ProtoSAM", "arXiv 2407.07042", 81.56, 75.50, 77.83, 73.45, "no"),
    PublishedFigures("GMRD", "Generating Multiple Representative Descriptors", 82.90, 78.52, 79.70, 77.32, "yes"),
    PublishedFigures("AM-SAM", "paper of that name", 81.40, 86.19, 75.56, 84.04, "yes"),
    PublishedFigures("FoB + SAM", "Bo et al., arXiv 2603.21287", 84.46, 86.21, 80.46, 84.80, "yes"),
    PublishedFigures(
        "RE-SAM2", "paper of that name", 85.31, 86.12, None, None, "on the support only", "setting not named"
    ),
)

PUBLISHED_NOTE = (
    "Those whose code is public knew where the organ is in the query: compare them with the legacy rows of a run on "
    "the same data set, and with nothing else. Setting 1: organs of the test may be seen, unlabelled, in training; "
    "setting 2: they may not."
)
