"""The tissues of a body."""

from enum import IntEnum, auto

__all__ = ["Tissue"]


class Tissue(IntEnum):
    """A tissue, which determines a voxel's brightness; an organ may hold several."""

    AIR = 0
    TABLE_SHELL = auto()
    TABLE_FOAM = auto()
    SKIN = auto()
    SUBCUTANEOUS_FAT = auto()
    VISCERAL_FAT = auto()
    MUSCLE = auto()
    LUNG = auto()
    CARTILAGE = auto()
    CORTICAL_BONE = auto()
    SPONGY_BONE = auto()
    DISC = auto()
    SPINAL_CANAL = auto()
    HEART = auto()
    ARTERY = auto()
    VEIN = auto()
    PORTAL_VEIN = auto()
    LIVER = auto()
    SPLEEN = auto()
    RENAL_CORTEX = auto()
    RENAL_MEDULLA = auto()
    PANCREAS = auto()
    ADRENAL = auto()
    BILE = auto()
    CYST = auto()
    GUT_WALL = auto()
    GUT_FLUID = auto()
    STOOL = auto()
    GAS = auto()
    URINE = auto()
    PROSTATE = auto()
    PERIPHERAL_PROSTATE = auto()
    UTERUS = auto()
    ENDOMETRIUM = auto()
    BREAST = auto()
    THYROID = auto()
    SALIVARY_GLAND = auto()
    MUCOSA = auto()
    TOOTH = auto()
    GRAY_MATTER = auto()
    WHITE_MATTER = auto()
    CEREBROSPINAL_FLUID = auto()
    VITREOUS = auto()
    LENS = auto()
