"""Volumes and pictures in, label maps out.

Everything read is a `MetaTensor` (C, X, Y, Z) on its native grid whose affine maps a voxel index to
RAS+ mm; `meta["filename_or_obj"]` is the path and `meta["kind"]` is "volume" or "picture".
"""

import os
import uuid
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import nibabel
import numpy as np
import SimpleITK
import torch
from monai.config import KeysCollection, NdarrayOrTensor, PathLike
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from PIL import Image

from protoseg.data.grids import align_labels
from protoseg.errors import InputError

__all__ = [
    "LoadLabels",
    "LoadLabelsd",
    "LoadVolume",
    "LoadVolumed",
    "SaveLabelMap",
    "SaveLabelMapd",
    "find_queries",
    "query_id",
    "read_image",
    "read_labels",
    "write_label_map",
]

NIFTI_SUFFIXES = (".nii.gz", ".nii")
ITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
IMAGE_SUFFIXES = NIFTI_SUFFIXES + ITK_SUFFIXES + PICTURE_SUFFIXES
EXPECTED = f"Give a {', '.join(IMAGE_SUFFIXES)} file, or a folder that holds one DICOM series."

SMALLEST_SLICE = 8  # pixels each way
GREY_MODES = ("L", "I", "F")  # as Pillow names them; the 16-bit ones are "I;16" and its byte orders
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


class _Grid(NamedTuple):
    """Voxels (C, X, Y, Z), their affine to RAS+ mm, and "volume" or "picture"."""

    voxels: np.ndarray
    affine: np.ndarray
    kind: str = "volume"


def read_image(path: PathLike) -> MetaTensor:
    """Read a volume, a DICOM series (a folder) or a picture: float32 (C, X, Y, Z), intensities as stored.

    C is 1, or 3 for a colour picture, whose axes are (3, W, H, 1) with pixels of 1 mm.

    Raises:
        InputError: the file is missing, damaged, of another format, not 3D, constant, smaller than
            8 x 8 pixels, or holds NaN or infinity; the DICOM folder is not one complete series.
    """
    grid = _read(Path(path))
    voxels = grid.voxels
    unusable = int(voxels.size - np.isfinite(voxels).sum())
    if unusable:
        raise InputError(
            f"{path}: {unusable} of {voxels.size} voxels are NaN or infinite, expected finite intensities. "
            "Replace them, for example with numpy.nan_to_num, and save the image again."
        )
    size = voxels.shape[1:]
    if sorted(size)[1] < SMALLEST_SLICE:
        raise InputError(
            f"{path}: the image has {_times(size)} voxels, expected slices of at least "
            f"{SMALLEST_SLICE} x {SMALLEST_SLICE} pixels. Give an image with its slices whole."
        )
    if voxels.min() == voxels.max():
        raise InputError(
            f"{path}: every voxel is {voxels.min():g}, expected an image with contrast. "
            "Export the image again from its source."
        )
    return _meta_tensor(grid, path, torch.float32)


def read_labels(path: PathLike) -> MetaTensor:
    """Read a label map: int16 (1, X, Y, Z), 0 is background.

    Label pictures keep their grey values or palette indices; a black-and-white mask becomes 0 and 1.

    Raises:
        InputError: as `read_image` for files and formats; a value is not an integer in 0..32767;
            the picture is in colour or a JPEG.
    """
    grid = _read(Path(path), palette_indices=True)
    voxels = grid.voxels
    if grid.kind == "picture":
        voxels = _grey_labels(voxels, path)
    whole = np.isfinite(voxels) & (voxels == np.round(voxels))
    if not whole.all():
        raise InputError(
            f"{path}: {int((~whole).sum())} voxels are no whole numbers, such as {voxels[~whole][0]:g}, "
            "expected one integer a voxel. Resample label maps with nearest neighbour and save them again."
        )
    if voxels.min() < 0 or voxels.max() > np.iinfo(np.int16).max:
        raise InputError(
            f"{path}: the label values run from {voxels.min():g} to {voxels.max():g}, expected 0 to 32767. "
            "Check that this is the label map and not the image."
        )
    return _meta_tensor(grid._replace(voxels=voxels), path, torch.int16)


def write_label_map(path: PathLike, labels: NdarrayOrTensor, affine: NdarrayOrTensor) -> None:
    """Write labels (X, Y, Z) or (1, X, Y, Z) as a uint8 NIfTI; affine maps a voxel index to RAS+ mm.

    A reader never sees half a file: it is written beside its place and moved there.

    Raises:
        InputError: the file name does not end in .nii or .nii.gz, or a value is outside 0..255.
    """
    path = Path(path)
    suffix = _suffix(path, NIFTI_SUFFIXES)
    if suffix is None:
        raise InputError(
            f"{path}: label maps are written as NIfTI. Give a name that ends in .nii.gz or .nii."
        )
    values = torch.as_tensor(labels).cpu().numpy()
    values = values[0] if values.ndim == 4 else values
    if values.min() < 0 or values.max() > 255:
        raise InputError(
            f"{path}: the label values run from {values.min():g} to {values.max():g}, expected 0 to 255. "
            "Renumber the labels."
        )
    matrix = torch.as_tensor(affine).cpu().numpy()
    image = nibabel.Nifti1Image(values.astype(np.uint8), matrix)
    image.set_sform(matrix, code="scanner")
    image.set_qform(matrix, code="scanner")
    image.header.set_xyzt_units("mm")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{uuid.uuid4().hex}{suffix}")
    try:
        nibabel.save(image, unfinished)
        os.replace(unfinished, path)  # noqa: PTH105 - the one that is documented as atomic
    finally:
        unfinished.unlink(missing_ok=True)


def query_id(path: PathLike) -> str:
    """Name of a query without its image suffix: "scan.nii.gz" -> "scan"; a DICOM folder's own name."""
    path = Path(path).absolute()
    suffix = _suffix(path, IMAGE_SUFFIXES)
    return path.name[: -len(suffix)] if suffix else path.name


def find_queries(path: PathLike) -> list[Path]:
    """Images to segment: a file, a DICOM folder (one query), or all images and DICOM folders in a folder.

    Sorted by name; hidden files and files of other formats are passed over.

    Raises:
        InputError: nothing is there, or two images of the folder would give one name of result.
    """
    path = Path(path)
    if not path.is_dir():
        _check_file(path)
        return [path]
    if _dicom_files(path):
        return [path]
    visible = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    queries = [e for e in visible if (_dicom_files(e) if e.is_dir() else _suffix(e, IMAGE_SUFFIXES))]
    if not queries:
        raise InputError(f"{path} holds no image and no DICOM series. {EXPECTED}")
    first: dict[str, Path] = {}
    for query in queries:
        same = first.setdefault(query_id(query), query)
        if same != query:
            raise InputError(
                f"{path}: the results of {same.name} and {query.name} would be named {query_id(query)!r}. "
                "Rename one of them."
            )
    return queries


class LoadVolume(Transform):
    """Array form of `read_image`.

    Example::

        LoadVolume()("scan.nii.gz").shape  # (1, 512, 512, 90)
        LoadVolume()("photo.png").shape  # (3, 640, 480, 1)
    """

    def __call__(self, path: PathLike) -> MetaTensor:
        """Read the image at `path`."""
        return read_image(path)


class LoadVolumed(MapTransform):
    """Dictionary form of `LoadVolume`: each key's path becomes its image."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Read the image at each key's path."""
        return {**data, **{key: read_image(data[key]) for key in self.key_iterator(data)}}


class LoadLabels(Transform):
    """Array form of `read_labels`.

    Example::

        LoadLabels()("organs.nii.gz").unique()  # [0, 1, 4]
        LoadLabels()("black_and_white.png").unique()  # [0, 1]
    """

    def __call__(self, path: PathLike) -> MetaTensor:
        """Read the label map at `path`."""
        return read_labels(path)


class LoadLabelsd(MapTransform):
    """Dictionary form of `LoadLabels`: each key's path becomes its label map, on the grid of an image.

    Args:
        keys: the label maps' paths.
        image_key: an image that is already loaded, as by `LoadVolumed`; see `align_labels`.
        allow_missing_keys: pass over a key that is not there.
    """

    def __init__(
        self, keys: KeysCollection, image_key: str = "image", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Read the label map at each key's path and align it."""
        image = data[self.image_key]
        labels = {key: align_labels(read_labels(data[key]), image) for key in self.key_iterator(data)}
        return {**data, **labels}


class SaveLabelMap(Transform):
    """Write a label map (1, X, Y, Z) into a folder, named after the image it came from.

    The name comes from `meta["filename_or_obj"]`; the file's path is left in `meta["saved_to"]`.

    Example::

        labels.meta["filename_or_obj"]  # "scans/anna.nii.gz"
        SaveLabelMap("out")(labels).meta["saved_to"]  # "out/anna_seg.nii.gz"
    """

    def __init__(self, output_dir: PathLike, postfix: str = "_seg") -> None:
        self.output_dir = Path(output_dir)
        self.postfix = postfix

    def __call__(self, labels: MetaTensor) -> MetaTensor:
        """Write the label map and return it."""
        target = self.output_dir / f"{query_id(labels.meta['filename_or_obj'])}{self.postfix}.nii.gz"
        write_label_map(target, labels, labels.affine)
        labels.meta["saved_to"] = str(target)
        return labels


class SaveLabelMapd(MapTransform):
    """Dictionary form of `SaveLabelMap`."""

    def __init__(
        self,
        keys: KeysCollection,
        output_dir: PathLike,
        postfix: str = "_seg",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.saver = SaveLabelMap(output_dir, postfix)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the label map of each key."""
        return {**data, **{key: self.saver(data[key]) for key in self.key_iterator(data)}}


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _suffix(path: Path, suffixes: tuple[str, ...]) -> str | None:
    return next((suffix for suffix in suffixes if path.name.lower().endswith(suffix)), None)


def _check_file(path: Path) -> None:
    if not path.exists():
        raise InputError(f"{path} does not exist. Check the path. {EXPECTED}")
    if _suffix(path, IMAGE_SUFFIXES) is None:
        raise InputError(f"{path}: no image format has the suffix {path.suffix!r}. {EXPECTED}")


def _read(path: Path, *, palette_indices: bool = False) -> _Grid:
    if not path.is_dir():
        _check_file(path)
    try:
        if path.is_dir():
            grid = _read_dicom(path)
        elif _suffix(path, NIFTI_SUFFIXES):
            grid = _read_nifti(path)
        elif _suffix(path, ITK_SUFFIXES):
            grid = _read_itk(path)
        else:
            grid = _read_picture(path, palette_indices)
    except InputError:
        raise
    except Exception as error:  # a decoder raises whatever a damaged file makes it stumble over
        raise InputError(
            f"{path} cannot be read: it is damaged, incomplete, or not in the format of its name. "
            "Get a fresh copy."
        ) from error
    if not np.isfinite(grid.affine).all() or abs(np.linalg.det(grid.affine)) < 1e-9:
        raise InputError(
            f"{path}: the affine {grid.affine.tolist()} cannot be inverted, expected spacings above 0 mm. "
            "Export the image again with its geometry."
        )
    return grid


def _meta_tensor(grid: _Grid, path: PathLike, dtype: torch.dtype) -> MetaTensor:
    return MetaTensor(
        torch.as_tensor(np.ascontiguousarray(grid.voxels), dtype=dtype),
        affine=torch.as_tensor(grid.affine, dtype=torch.float64),
        meta={"filename_or_obj": str(path), "kind": grid.kind},
    )


def _volume(voxels: np.ndarray, affine: np.ndarray, path: Path) -> _Grid:
    while voxels.ndim > 3 and voxels.shape[-1] == 1:
        voxels = voxels[..., 0]
    if voxels.ndim > 3:
        raise InputError(
            f"{path}: the image has {_times(voxels.shape)} voxels in {voxels.ndim} dimensions, expected one "
            "3D volume. Extract one, such as the first, [..., 0], into a file of its own."
        )
    voxels = voxels.reshape(voxels.shape + (1,) * (3 - voxels.ndim))
    return _Grid(voxels[None].astype(np.float32, copy=False), affine)


def _read_nifti(path: Path) -> _Grid:
    image = cast(nibabel.Nifti1Image, nibabel.load(path))  # NIfTI-2 is a subclass
    return _volume(np.asarray(image.dataobj), image.affine, path)


def _read_itk(path: Path) -> _Grid:
    image = SimpleITK.ReadImage(str(path))
    values = image.GetNumberOfComponentsPerPixel()
    if values > 1:
        raise InputError(f"{path}: each voxel has {values} values, expected one. Extract one channel.")
    dimensions = image.GetDimension()
    spatial = min(dimensions, 3)
    affine = np.eye(4)
    columns = np.reshape(image.GetDirection(), (dimensions, dimensions)) * image.GetSpacing()
    affine[:spatial, :spatial] = columns[:spatial, :spatial]
    affine[:spatial, 3] = image.GetOrigin()[:spatial]
    return _volume(SimpleITK.GetArrayFromImage(image).T, LPS_TO_RAS @ affine, path)


def _read_picture(path: Path, palette_indices: bool) -> _Grid:
    with Image.open(path) as file:
        pages = getattr(file, "n_frames", 1)
        if pages > 1:
            raise InputError(f"{path}: the picture has {pages} pages, expected one. Save one page a file.")
        grey = file.mode.split(";")[0] in GREY_MODES or (palette_indices and file.mode == "P")
        picture = file if grey else file.convert("L" if file.mode in ("1", "LA") else "RGB")
        pixels = np.asarray(picture, dtype=np.float32)
    channels_last = pixels.reshape(*pixels.shape[:2], -1)  # H x W x C
    # A picture is an axial slice as radiology shows it: columns run to the patient's left, rows to the back.
    return _Grid(channels_last.transpose(2, 1, 0)[..., None], LPS_TO_RAS.copy(), "picture")


def _grey_labels(pixels: np.ndarray, path: PathLike) -> np.ndarray:
    if _suffix(Path(path), (".jpg", ".jpeg")):
        raise InputError(f"{path}: JPEG changes the values of labels. Save the label picture as PNG.")
    if (pixels != pixels[:1]).any():
        raise InputError(f"{path}: the label picture is in colour, expected grey. Save it in grey values.")
    pixels = pixels[:1]
    white = pixels.max()
    only_black_and_white = white in (255, 65535) and np.isin(pixels, (0, white)).all()
    return (pixels > 0).astype(np.float32) if only_black_and_white else pixels


class _Slice(NamedTuple):
    """What the header of one DICOM file says; lengths in mm, LPS."""

    name: str
    series: str
    description: str
    size: tuple[int, ...]
    spacing: tuple[float, ...]
    direction: tuple[float, ...]
    position: tuple[float, ...]
    thickness: float


def _dicom_files(folder: Path) -> list[Path]:
    def is_dicom(path: Path) -> bool:
        if not path.is_file() or path.name == "DICOMDIR":
            return False
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"

    return [path for path in sorted(folder.iterdir()) if is_dicom(path)]


def _read_slice_header(path: Path) -> _Slice:
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
        # Anonymised files may have lost their UID; series number and description then tell series apart.
        series=tag("0020|000e") or f"{tag('0020|0011')} {description}",
        description=description or tag("0020|0011"),
        size=reader.GetSize(),
        spacing=reader.GetSpacing()[:2],
        direction=reader.GetDirection(),
        position=reader.GetOrigin(),
        thickness=float(tag("0018|0050") or 1),
    )


def _read_dicom(folder: Path) -> _Grid:
    files = _dicom_files(folder)
    if not files:
        raise InputError(f"{folder} holds no DICOM files. {EXPECTED}")
    slices = [_read_slice_header(file) for file in files]
    _check_one_series(slices, folder)
    direction = np.reshape(slices[0].direction, (3, 3))
    slices.sort(key=lambda s: float(np.dot(s.position, direction[:, 2])))
    affine = np.eye(4)
    affine[:3, :2] = direction[:, :2] * slices[0].spacing
    affine[:3, 2] = _slice_step(slices, direction[:, 2], folder)
    affine[:3, 3] = slices[0].position
    reader = SimpleITK.ImageSeriesReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetOutputPixelType(SimpleITK.sitkFloat32)  # each slice may have a rescale slope of its own
    reader.SetFileNames([str(folder / s.name) for s in slices])
    return _volume(SimpleITK.GetArrayFromImage(reader.Execute()).T, LPS_TO_RAS @ affine, folder)


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
                f"{folder}: {s.name} holds {s.size[2]} DICOM frames, expected one slice a file. "
                "Convert it to NIfTI."
            )
        same_geometry = s.size == first.size and np.allclose(
            (*s.spacing, *s.direction), (*first.spacing, *first.direction), atol=1e-3
        )
        if not same_geometry:
            raise InputError(
                f"{folder}: {s.name} and {first.name} differ in size, spacing or orientation, "
                "expected slices of one stack. Keep one stack in a folder."
            )


def _slice_step(slices: list[_Slice], normal: np.ndarray, folder: Path) -> np.ndarray:
    """Vector from one slice to the next, mm, LPS; not along the normal where the gantry was tilted."""
    if len(slices) == 1:
        return normal * slices[0].thickness
    positions = np.array([s.position for s in slices])
    steps = np.diff(positions, axis=0)
    gaps = steps @ normal
    usual = float(np.median(gaps))
    for previous, following, gap in zip(slices, slices[1:], gaps):
        if gap < 1e-3:
            raise InputError(
                f"{folder}: {previous.name} and {following.name} lie at the same position, expected one "
                "volume. Keep one volume in a folder."
            )
        if abs(gap - usual) > 0.05 * usual:
            raise InputError(
                f"{folder}: {previous.name} and {following.name} are {gap:g} mm apart, expected {usual:g} mm "
                "as between the other slices. Export the whole series again."
            )
    return (positions[-1] - positions[0]) / (len(slices) - 1)
