"""The parts of the body that can be drawn."""

from protoseg.data.anatomy.abdomen.person import ABDOMEN
from protoseg.data.anatomy.chest.person import CHEST
from protoseg.data.anatomy.head.person import HEAD
from protoseg.data.anatomy.pelvis.person import PELVIS
from protoseg.data.anatomy.region import Region

__all__ = ["REGIONS"]

REGIONS: dict[str, Region] = {region.name: region for region in (ABDOMEN, CHEST, PELVIS, HEAD)}
"""By name."""
