"""Synthetic people: shapes are painted onto a grid of tissues, and a scanner's view of it is rendered.

- `tissues` names what there is; `shapes` and `canvas` paint.
- `abdomen`, `chest`, `pelvis` and `head` hold the anatomy, and in each `person` puts it together; `regions` lists them.
- `rendering` turns tissues into HU or MR signal; `scan` goes from a seed to an image with labels.
"""

from protoseg.data.anatomy.scan import SyntheticScan, synthesise
from protoseg.data.anatomy.tissues import ORGANS

__all__ = ["ORGANS", "SyntheticScan", "synthesise"]
