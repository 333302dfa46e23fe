"""One DICOM series, a folder of slices, as one volume."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from protoseg.errors import InputError

__all__ = [
    "LPS_TO_RAS",
    "SeriesGrid",
    "dicom_files",
    "is_dicom",
    "read_series",
    "series_grid",
    "series_modality",
    "slice_files",
]

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
ROUNDING = 0.051  # mm; some writers round positions to a tenth of a mm
ON_THE_LINE = 0.12  # of the distance between slices; if a slice is missing, others are farther off the line


class _Slice(NamedTuple):
    """The header of one DICOM file; lengths in mm, LPS."""

    name: str
    series: str
    description: str
    size: tuple[int, ...]
    spacing: tuple[float, ...]
    direction: tuple[float, ...]
    position: tuple[float, ...]
    thickness: float
    modality: str


class SeriesGrid(NamedTuple):
    """The grid of a series."""

    files: list[Path]  # one a slice, in the order in which `read_series` stacks them
    size: tuple[int, int, int]  # X, Y, Z
    affine: np.ndarray  # voxel index -> LPS mm, 4 x 4


def is_dicom(path: Path) -> bool:
    """Tell whether a path is a DICOM file, by its content."""
    if not path.is_file() or path.name == "DICOMDIR":
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def dicom_files(folder: Path) -> list[Path]:
    """List the DICOM files of a folder, recognized by content, not by name."""
    return [path for path in sorted(folder.iterdir()) if is_dicom(path)]


def read_series(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the series in a folder: float32 (X, Y, Z), CT in HU, and its affine from voxel index to LPS mm.

    Slices are put in order by their position, never by their name.

    Raises:
        InputError: the files are not one series with slices of one size at equal distances, or one of them
            is damaged.
    """
    import SimpleITK  # here and below: it is not needed to tell that a file is no DICOM

    files, _, affine = series_grid(folder)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetOutputPixelType(SimpleITK.sitkFloat32)  # each slice may have a rescale slope of its own
    reader.SetFileNames([str(file) for file in files])
    warns = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)  # of single gaps between rounded positions
    try:
        return SimpleITK.GetArrayFromImage(reader.Execute()).T, affine
    finally:
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(warns)


def series_grid(folder: Path) -> SeriesGrid:
    """Read the grid of the series in a folder from its headers; errors as of `read_series`."""
    slices = _slices(folder)
    direction = np.reshape(slices[0].direction, (3, 3))
    affine = np.eye(4)
    affine[:3, :2] = direction[:, :2] * slices[0].spacing
    affine[:3, 3], affine[:3, 2] = _slice_line(slices, direction[:, 2], folder)
    size = (slices[0].size[0], slices[0].size[1], len(slices))
    return SeriesGrid([folder / s.name for s in slices], size, affine)


def slice_files(folder: Path) -> list[Path]:
    """List the files of the series in a folder, in the order in which `read_series` stacks them.

    Raises:
        InputError: the files are not one series, or one of them is damaged.
    """
    return [folder / s.name for s in _slices(folder)]


def series_modality(folder: Path) -> str:
    """Read the modality (0008,0060) in the first file of a series, such as "CT"; "" if there is none."""
    return _read_header(dicom_files(folder)[0]).modality


def _slices(folder: Path) -> list[_Slice]:
    """Read the headers of a series, in the order of their positions."""
    slices = [_read_header(file) for file in dicom_files(folder)]
    _check_one_series(slices, folder)
    normal = np.reshape(slices[0].direction, (3, 3))[:, 2]
    return sorted(slices, key=lambda s: float(np.dot(s.position, normal)))


def _read_header(path: Path) -> _Slice:
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(
            f"{path} is damaged or holds no pixels, expected a DICOM image. Take it out of the folder."
        ) from error

    def tag(key: str) -> str:
        return reader.GetMetaData(key).strip() if reader.HasMetaDataKey(key) else ""

    description = tag("0008|103e")
    return _Slice(
        name=path.name,
        # Anonymized files may have lost their UID; series number and description then tell series apart.
        series=tag("0020|000e") or f"{tag('0020|0011')} {description}",
        description=description or tag("0020|0011"),
        size=reader.GetSize(),
        spacing=reader.GetSpacing()[:2],
        direction=reader.GetDirection(),
        position=reader.GetOrigin(),
        thickness=float(tag("0018|0050") or 1),
        modality=tag("0008|0060"),
    )


def _check_one_series(slices: list[_Slice], folder: Path) -> None:
    series: dict[str, list[_Slice]] = {}
    for s in slices:
        series.setdefault(s.series, []).append(s)
    if len(series) > 1:
        found = ", ".join(sorted(f"{s[0].description!r} ({len(s)} slices)" for s in series.values()))
        raise InputError(f"{folder} holds {len(series)} DICOM series: {found}. Keep one series in a folder.")
    first = slices[0]
    for s in slices:
        if len(s.size) > 2 and s.size[2] > 1:
            raise InputError(
                f"{folder}: {s.name} holds {s.size[2]} DICOM frames, expected one slice a file. Convert it to NIfTI."
            )
        same_geometry = s.size == first.size and np.allclose(
            (*s.spacing, *s.direction), (*first.spacing, *first.direction), atol=1e-3
        )
        if not same_geometry:
            raise InputError(
                f"{folder}: {s.name} and {first.name} differ in size, spacing or orientation, "
                "expected slices of one stack. Keep one stack in a folder."
            )


def _slice_line(slices: list[_Slice], normal: np.ndarray, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Fit a straight line through the positions of the slices: the place of the first, and the step to the next.

    Both are in mm, LPS; with a tilted gantry the step is not along the normal. Single gaps tell little: positions
    1.25 mm apart are written as 0, 1.2, 2.5, 3.8.
    """
    positions = np.array([s.position for s in slices])
    if len(slices) == 1:
        return positions[0], normal * slices[0].thickness
    indices = np.arange(len(slices))
    gaps = np.diff(positions @ normal)
    for previous, following, gap in zip(slices, slices[1:], gaps):
        if gap < 1e-3:
            raise InputError(
                f"{folder}: {previous.name} and {following.name} lie at the same position, expected one "
                "volume. Keep one volume in a folder."
            )
    step, first = np.polyfit(indices, positions, 1)
    off = positions - first - indices[:, None] * step
    distance = float(step @ normal)
    if np.abs(off @ normal).max() > max(ON_THE_LINE * distance, ROUNDING) or gaps.max() > 1.5 * distance:
        usual = float(np.median(gaps))
        widest = int(np.abs(gaps - usual).argmax())
        raise InputError(
            f"{folder}: {slices[widest].name} and {slices[widest + 1].name} are {gaps[widest]:g} mm apart, expected "
            f"{usual:g} mm as between the other slices. Export the whole series again."
        )
    aside = np.linalg.norm(off - np.outer(off @ normal, normal), axis=1)
    if aside.max() > max(slices[0].spacing):
        raise InputError(
            f"{folder}: {slices[int(aside.argmax())].name} lies {aside.max():.1f} mm beside the straight line through "
            "the slices, expected slices in one stack. Keep one stack in a folder."
        )
    return first, step
