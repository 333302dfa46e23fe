"""Superpixels inside the body: the pseudo-labels of self-supervised episodes (SSL-ALPNet, arXiv 2007.09886).

The published numbers hold for slices of 256 x 256 pixels with intensities from 0 to 255.
"""

import numpy as np
from scipy.ndimage import binary_fill_holes
from skimage.filters import threshold_otsu
from skimage.measure import label
from skimage.segmentation import felzenszwalb

__all__ = ["CT_THRESHOLD", "body_mask", "otsu_body_threshold", "superpixel_intensity", "superpixels"]

CT_THRESHOLD = 1e-4
"""Published body threshold of a windowed CT on the scale 0..255: all that is not clipped to black."""


def superpixel_intensity(scan: np.ndarray) -> np.ndarray:
    """Map a whole scan linearly from its minimum..maximum to 0..255.

    A CT that was windowed touches both ends of its window (air and bone), so that this undoes any later
    linear normalization (z-score, 0..1) and restores the published scale, whatever the window was.

    Args:
        scan: intensities of a scan, of any shape and scale. All slices together: single slices would each get a scale
            of their own.

    Returns:
        float32 of the same shape; zeros if the scan is constant.
    """
    lowest, highest = float(scan.min()), float(scan.max())
    if highest == lowest:
        return np.zeros(scan.shape, dtype=np.float32)
    return ((scan.astype(np.float64) - lowest) * (255 / (highest - lowest))).astype(np.float32)


def otsu_body_threshold(scan: np.ndarray) -> float:
    """Find the body threshold of a scan without a fixed scale (MR) by Otsu's method on log intensities.

    The published value, 50 on raw MR intensities, holds for one scanner and sequence. On a linear scale Otsu
    separates bright tissue from dark tissue and air; on a logarithmic one dark tissue joins the bright.

    Args:
        scan: intensities from 0 to 255, see `superpixel_intensity`; any shape, all slices together.

    Returns:
        The threshold on that scale; for a constant scan its intensity, which leaves no body.
    """
    return float(np.expm1(threshold_otsu(np.log1p(scan))))


def body_mask(slice_: np.ndarray, *, threshold: float) -> np.ndarray:
    """Find the body: the largest component brighter than `threshold`, its holes filled.

    Args:
        slice_: (H, W) intensities.
        threshold: intensity threshold, on the slice's own scale.

    Returns:
        Bool mask (H, W); all False if nothing is brighter.
    """
    components = label(slice_ > threshold)  # 8-connected, as published
    sizes = np.bincount(components.ravel())[1:]
    if sizes.size == 0:
        return np.zeros(slice_.shape, dtype=bool)
    return binary_fill_holes(components == sizes.argmax() + 1)


def superpixels(slice_: np.ndarray, *, threshold: float, min_size: int = 400, sigma: float = 1.0) -> np.ndarray:
    """Find Felzenszwalb superpixels inside the body.

    As published, the segment that holds the first pixel (the air around the body) never becomes a superpixel,
    even where it reaches into the body, and segments that cross the body's edge are cut there.

    Args:
        slice_: (H, W) intensities from 0 to 255, see `superpixel_intensity`.
        threshold: intensity threshold of the body, on that scale.
        min_size: smallest segment in pixels, before it is cut at the body's edge.
        sigma: standard deviation in pixels of the Gaussian smoothing before segmentation.

    Returns:
        int16 (H, W): 0 outside, superpixels numbered from 1 without gaps. All 0 where the slice is constant.
    """
    body = body_mask(slice_, threshold=threshold)
    if not body.any():
        return np.zeros(slice_.shape, dtype=np.int16)
    segments = felzenszwalb(slice_, min_size=min_size, sigma=sigma)
    # The first pixel is in segment 0, so that 0 takes the first rank even where the body fills the slice.
    return np.unique(segments * body, return_inverse=True)[1].reshape(slice_.shape).astype(np.int16)
