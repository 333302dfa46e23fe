"""The parts of the body that can be drawn."""

from protoseg.synthesis.anatomy.abdomen.person import ABDOMEN
from protoseg.synthesis.anatomy.chest.person import CHEST
from protoseg.synthesis.anatomy.head.person import HEAD
from protoseg.synthesis.anatomy.pelvis.person import PELVIS
from protoseg.synthesis.anatomy.region import Region

__all__ = ["REGIONS"]

REGIONS: dict[str, Region] = {region.name: region for region in (ABDOMEN, CHEST, PELVIS, HEAD)}
"""By name."""
