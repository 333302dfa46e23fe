"""Synthetic people: shapes are painted onto a grid of tissues, and a scanner's view of it is rendered.

- `tissues` names the tissues; `shapes` and `canvas` paint.
- `bone`, `bowel_loops` and `table` paint parts that several regions have.
- `abdomen`, `chest`, `pelvis` and `head` hold the anatomy, and in each `person` puts it together; `regions` lists them.
- `rendering` turns tissues into HU or MR signal; `scan` goes from a seed to an image with labels.
"""

from protoseg.synthesis.anatomy.abdomen.labels import ABDOMEN_LABELS
from protoseg.synthesis.anatomy.scan import SyntheticScan, synthesise

__all__ = ["ABDOMEN_LABELS", "SyntheticScan", "synthesise"]
