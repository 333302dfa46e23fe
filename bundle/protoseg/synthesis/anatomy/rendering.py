"""Renders tissues as a scanner would show them: CT in HU, or T1- and T2-weighted MR."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.shapes import Array, SmoothNoise
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["CONTRASTS", "ENHANCEMENT", "HOUNSFIELD", "MAGNETIC", "render"]

CONTRASTS = ("ct", "t1", "t2")

# HU without contrast medium, and the texture (standard deviation) inside the tissue.
HOUNSFIELD: dict[Tissue, tuple[float, float]] = {
    Tissue.AIR: (-1000, 0),
    Tissue.TABLE_SHELL: (20, 0),
    Tissue.TABLE_FOAM: (-930, 0),
    Tissue.SKIN: (25, 5),
    Tissue.SUBCUTANEOUS_FAT: (-106, 5),
    Tissue.VISCERAL_FAT: (-100, 8),
    Tissue.MUSCLE: (56, 7),
    Tissue.LUNG: (-855, 22),
    Tissue.CARTILAGE: (95, 20),
    Tissue.CORTICAL_BONE: (450, 80),
    Tissue.SPONGY_BONE: (145, 40),
    Tissue.DISC: (80, 6),
    Tissue.SPINAL_CANAL: (28, 4),
    Tissue.HEART: (45, 4),
    Tissue.ARTERY: (42, 2),
    Tissue.VEIN: (42, 3),
    Tissue.PORTAL_VEIN: (42, 2),
    Tissue.LIVER: (60, 4),
    Tissue.SPLEEN: (50, 3),
    Tissue.RENAL_CORTEX: (33, 4),
    Tissue.RENAL_MEDULLA: (31, 4),
    Tissue.PANCREAS: (42, 9),
    Tissue.ADRENAL: (35, 3),
    Tissue.BILE: (8, 2),
    Tissue.CYST: (6, 2),
    Tissue.GUT_WALL: (42, 5),
    Tissue.GUT_FLUID: (16, 9),
    Tissue.STOOL: (25, 60),
    Tissue.GAS: (-960, 5),
    Tissue.URINE: (6, 2),
    Tissue.PROSTATE: (42, 5),
    Tissue.PERIPHERAL_PROSTATE: (36, 4),
    Tissue.UTERUS: (48, 5),
    Tissue.ENDOMETRIUM: (38, 4),
    Tissue.BREAST: (35, 12),
    Tissue.THYROID: (105, 8),
    Tissue.SALIVARY_GLAND: (20, 12),
    Tissue.MUCOSA: (38, 6),
    Tissue.TOOTH: (1600, 200),
    Tissue.GRAY_MATTER: (38, 3),
    Tissue.WHITE_MATTER: (29, 2),
    Tissue.CEREBROSPINAL_FLUID: (8, 2),
    Tissue.VITREOUS: (12, 2),
    Tissue.LENS: (75, 4),
}

# HU added by contrast medium: (arterial, portal-venous).
ENHANCEMENT: dict[Tissue, tuple[float, float]] = {
    Tissue.MUSCLE: (5, 10),
    Tissue.SPONGY_BONE: (10, 20),
    Tissue.HEART: (80, 75),
    Tissue.ARTERY: (260, 110),
    Tissue.VEIN: (35, 102),
    Tissue.PORTAL_VEIN: (65, 125),
    Tissue.LIVER: (15, 52),
    Tissue.SPLEEN: (75, 70),
    Tissue.RENAL_CORTEX: (150, 150),
    Tissue.RENAL_MEDULLA: (35, 115),
    Tissue.PANCREAS: (65, 50),
    Tissue.ADRENAL: (40, 40),
    Tissue.GUT_WALL: (35, 48),
    Tissue.PROSTATE: (20, 38),
    Tissue.PERIPHERAL_PROSTATE: (10, 22),
    Tissue.UTERUS: (50, 75),
    Tissue.ENDOMETRIUM: (15, 25),
    Tissue.BREAST: (8, 15),
    Tissue.THYROID: (95, 70),
    Tissue.SALIVARY_GLAND: (30, 35),
    Tissue.MUCOSA: (30, 42),
    Tissue.GRAY_MATTER: (3, 5),
    Tissue.WHITE_MATTER: (1, 2),
}

# Signal out of 100 and texture: (T1, T1 texture, T2, T2 texture).
MAGNETIC: dict[Tissue, tuple[float, float, float, float]] = {
    Tissue.AIR: (0, 0, 0, 0),
    Tissue.SKIN: (35, 3, 18, 3),
    Tissue.SUBCUTANEOUS_FAT: (92, 4, 72, 4),
    Tissue.VISCERAL_FAT: (86, 6, 66, 6),
    Tissue.MUSCLE: (36, 3, 15, 2),
    Tissue.LUNG: (4, 2, 4, 2),
    Tissue.CARTILAGE: (38, 4, 26, 3),
    Tissue.CORTICAL_BONE: (9, 3, 6, 2),
    Tissue.SPONGY_BONE: (52, 6, 33, 5),
    Tissue.DISC: (30, 3, 42, 7),
    Tissue.SPINAL_CANAL: (20, 3, 92, 8),
    Tissue.HEART: (38, 4, 26, 4),
    Tissue.ARTERY: (14, 4, 7, 2),
    Tissue.VEIN: (20, 4, 16, 5),
    Tissue.PORTAL_VEIN: (22, 4, 18, 5),
    Tissue.LIVER: (56, 3, 22, 2),
    Tissue.SPLEEN: (33, 2, 50, 3),
    Tissue.RENAL_CORTEX: (42, 3, 55, 4),
    Tissue.RENAL_MEDULLA: (31, 3, 68, 5),
    Tissue.PANCREAS: (60, 6, 34, 5),
    Tissue.ADRENAL: (38, 3, 30, 3),
    Tissue.BILE: (22, 3, 98, 3),
    Tissue.CYST: (14, 2, 100, 3),
    Tissue.GUT_WALL: (34, 4, 26, 4),
    Tissue.GUT_FLUID: (22, 6, 80, 12),
    Tissue.STOOL: (44, 14, 30, 12),
    Tissue.GAS: (2, 1, 2, 1),
    Tissue.URINE: (15, 2, 99, 3),
    Tissue.PROSTATE: (37, 4, 34, 7),
    Tissue.PERIPHERAL_PROSTATE: (35, 3, 72, 7),
    Tissue.UTERUS: (36, 3, 36, 5),
    Tissue.ENDOMETRIUM: (37, 3, 80, 6),
    Tissue.BREAST: (40, 8, 42, 10),
    Tissue.THYROID: (46, 4, 48, 5),
    Tissue.SALIVARY_GLAND: (62, 6, 46, 6),
    Tissue.MUCOSA: (36, 4, 74, 8),
    Tissue.TOOTH: (2, 1, 2, 1),
    Tissue.GRAY_MATTER: (44, 3, 44, 3),
    Tissue.WHITE_MATTER: (63, 2, 29, 2),
    Tissue.CEREBROSPINAL_FLUID: (13, 2, 97, 3),
    Tissue.VITREOUS: (13, 1, 98, 2),
    Tissue.LENS: (34, 2, 14, 2),
}


def render(canvas: Canvas, rng: np.random.Generator, *, contrast: str) -> Array:
    """Draw one acquisition of a painted person: float32 (X, Y, Z), HU for "ct", arbitrary units for MR."""
    if contrast == "ct":
        return _computed_tomography(canvas, rng)
    return _magnetic_resonance(canvas, rng, contrast=contrast)


def _computed_tomography(canvas: Canvas, rng: np.random.Generator) -> Array:
    mean, texture = np.array([HOUNSFIELD[tissue] for tissue in Tissue], dtype=float).T
    mean += rng.normal(0, 0.6, len(mean)) * np.sqrt(texture)
    phase = int(rng.choice([-1, 0, 1], p=[0.2, 0.25, 0.55]))
    if phase >= 0:
        dose = rng.uniform(0.8, 1.15)
        for tissue, added in ENHANCEMENT.items():
            mean[tissue] += dose * added[phase] * rng.uniform(0.92, 1.08)
    mean[Tissue.LIVER] -= rng.choice([0, 0, 0, 15])  # a fatty liver
    image = gaussian_filter(_mix(canvas, mean, texture, rng), (0.5, 0.5, 0.3))
    # The reconstruction kernel correlates the noise in the plane; the body's middle gets the least light.
    noise = gaussian_filter(rng.standard_normal(canvas.shape, dtype=np.float32), (0.75, 0.75, 0))
    middle = np.exp(-(canvas.axes[0][:, None, None] ** 2 + canvas.axes[1][None, :, None] ** 2) / 150**2)
    image += noise / noise.std() * rng.uniform(6, 16) * (0.6 + 0.6 * middle)
    return np.clip(np.round(image), -1024, 3071).astype(np.float32)


def _magnetic_resonance(canvas: Canvas, rng: np.random.Generator, *, contrast: str) -> Array:
    none = (0.0,) * 4  # a scanner's table gives no signal
    signal = np.array([MAGNETIC.get(tissue, none) for tissue in Tissue], dtype=float).T
    mean, texture = signal[:2] if contrast == "t1" else signal[2:]
    mean *= rng.lognormal(0, 0.06, len(mean))
    if contrast == "t2" and rng.random() < 0.5:
        mean[[Tissue.SUBCUTANEOUS_FAT, Tissue.VISCERAL_FAT]] *= 0.14  # spectral fat suppression
        mean[Tissue.SPONGY_BONE] *= 0.4
    image = gaussian_filter(_mix(canvas, mean, texture, rng), (0.6, 0.6, 0.3))
    bias = SmoothNoise(rng, 130.0)(canvas.axes)
    image *= np.exp(rng.uniform(0.1, 0.22) * bias)
    level = rng.uniform(1.5, 4.0)
    real, imaginary = (level * rng.standard_normal(canvas.shape, dtype=np.float32) for _ in range(2))
    magnitude = np.hypot(image + real, imaginary)  # Rician
    return (magnitude * rng.lognormal(np.log(8), 0.5)).astype(np.float32)


def _mix(canvas: Canvas, mean: NDArray[np.float64], texture: NDArray[np.float64], rng: np.random.Generator) -> Array:
    """Mean plus two scales of texture in every voxel; voxels on a surface mix their two tissues."""
    fine = gaussian_filter(rng.standard_normal(canvas.shape, dtype=np.float32), (1.0, 1.0, 0.5))
    grain = 0.8 * fine / fine.std() + 0.6 * SmoothNoise(rng, 14.0)(canvas.template_axes)
    mean32, texture32 = mean.astype(np.float32), texture.astype(np.float32)
    own = mean32[canvas.tissue] + texture32[canvas.tissue] * grain
    other = mean32[canvas.neighbour] + texture32[canvas.neighbour] * grain
    return canvas.coverage * own + (1 - canvas.coverage) * other
