"""The content of a world of random shapes, and the differences of its members."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from protoseg.synthesis.anatomy.tissues import Tissue
from protoseg.synthesis.shapes.forms import FORMS, TRAITS, rotation

__all__ = ["Ground", "Shape", "World", "draw_member", "draw_world"]

SOLID = [tissue for tissue in Tissue if tissue >= Tissue.SKIN]

SIZES = {"large": (32.0, 70.0), "medium": (15.0, 32.0), "small": (5.4, 13.5), "thin": (2.7, 5.0)}  # mm
SHARES = [0.45, 0.4, 0.1, 0.05]  # of the sizes

Item = TypeVar("Item")


@dataclass(frozen=True)
class Shape:
    """One shape; lengths in mm, vectors along x, y and z, angles in radians as `rotation` takes them."""

    label: int
    tissue: Tissue
    form: str
    centre: NDArray[np.float64]
    radii: NDArray[np.float64]
    angles: NDArray[np.float64]
    traits: NDArray[np.float64]
    roughness: float
    """Bumps of the surface, as a share of the smallest radius."""
    wall: float
    """Thickness, where the shape is hollow; otherwise 0."""
    grain: Tissue | None
    """What the tissue is mixed with, where the shape has a texture."""
    grain_size: float
    parent: int | None
    """Label of the shape that this one is nested in."""
    noise: int
    """Seed of the surface and of the texture."""


@dataclass(frozen=True)
class Ground:
    """The surroundings of the shapes: a body of some layers in air, or a frame filled by some regions."""

    body: bool
    tissues: tuple[Tissue, ...]
    """Of the layers from the outside in, or of the regions; the first region is the background."""
    half: NDArray[np.float64]
    """Half width and half height (mm) of the body, or of the part of the frame where shapes may be centered."""
    scale: float
    """Thickness of a body's outer layers, or width of a region's bumps, in mm."""
    noise: int
    """Seed of the outline, or of the regions."""


@dataclass(frozen=True)
class World:
    """An arrangement of shapes; later ones are in front."""

    ground: Ground
    shapes: tuple[Shape, ...]
    spacing: float
    """Distance of slices in mm."""


def draw_world(rng: np.random.Generator, half_frame: NDArray[np.float64]) -> World:
    """Draw a world of 8 to 14 structures: body layers or regions first, then shapes from large to thin.

    `half_frame` is half the width and half the height of the slices, in mm.
    """
    count = int(rng.integers(8, 15))
    palette = [SOLID[k] for k in rng.choice(len(SOLID), int(rng.integers(8, 15)), replace=False)]
    ground = _draw_ground(rng, palette, half_frame)
    first = len(ground.tissues) + ground.body  # the first region of a frame is the background
    sizes = [*rng.choice(list(SIZES), count - first - 1, p=SHARES), "small", "thin"]
    shapes: list[Shape] = []
    for label, size in enumerate(sorted(sizes, key=list(SIZES).index), start=first):
        shapes.append(_draw_shape(rng, label=label, size=size, ground=ground, palette=palette, others=shapes))
    return World(ground, tuple(shapes), spacing=rng.uniform(2, 5))


def draw_member(world: World, rng: np.random.Generator) -> World:
    """Move, resize and turn every shape of a world a little; three in ten members lack a shape."""
    ground = replace(world.ground, half=world.ground.half * rng.lognormal(0, 0.05, 2))
    varied: dict[int, Shape] = {}
    for shape in world.shapes:
        parent = next((other for other in world.shapes if other.label == shape.parent), None)
        if parent is not None:
            shape = _follow(shape, parent, varied[parent.label])
        varied[shape.label] = _vary(shape, rng, spread=2 if parent else 6)
    missing = _pick(rng, world.shapes).label if rng.random() < 0.3 else None
    return replace(
        world,
        ground=ground,
        shapes=tuple(
            shape for shape in varied.values() if missing is None or missing not in (shape.label, shape.parent)
        ),
    )


def _pick(rng: np.random.Generator, items: Sequence[Item]) -> Item:
    return items[rng.integers(len(items))]


def _draw_ground(rng: np.random.Generator, palette: Sequence[Tissue], half_frame: NDArray[np.float64]) -> Ground:
    body = bool(rng.random() < 0.5)
    parts = _pick(rng, (1, 2, 3) if body else (1, 3, 4, 5))
    return Ground(
        body=body,
        tissues=tuple(palette[:parts]),
        half=half_frame * (rng.uniform(0.7, 0.95, 2) if body else 0.9),
        scale=rng.uniform(4, 14) if body else rng.uniform(60, 110),
        noise=int(rng.integers(2**32)),
    )


def _draw_shape(
    rng: np.random.Generator,
    *,
    label: int,
    size: str,
    ground: Ground,
    palette: Sequence[Tissue],
    others: Sequence[Shape],
) -> Shape:
    hosts = [other for other in others if other.parent is None and other.form != "tube" and min(other.radii) > 18]
    parent = _pick(rng, hosts) if hosts and rng.random() < 0.25 else None
    long = parent is None and rng.random() < (0.5 if size == "thin" else 0.2)
    thickness = float(np.exp(rng.uniform(*np.log(SIZES[size]))))
    if parent is not None:
        radii = parent.radii * rng.uniform(0.3, 0.7, 3)
        centre = parent.centre + rotation(parent.angles) @ (parent.radii * rng.uniform(-0.3, 0.3, 3))
        angles = parent.angles + np.array([rng.normal(0, 0.5), 0, 0])
    else:
        radii = _draw_radii(rng, thickness, size=size, long=long)
        centre = _free_place(rng, ground, others, radii)
        lying = np.pi / 2 if long and rng.random() < 0.5 else 0  # a tube runs in the plane as often as along z
        angles = np.array([rng.uniform(0, 2 * np.pi), lying + rng.normal(0, 0.25), rng.normal(0, 0.25)])
    hollow = parent is None and not long and (size == "thin" or (size == "large" and rng.random() < 0.4))
    around = {*ground.tissues, *((parent.tissue,) if parent else ())}
    tissue = _pick(rng, [t for t in palette if t not in around])
    return Shape(
        label=label,
        tissue=tissue,
        form="tube" if long else _pick(rng, [form for form in FORMS if form != "tube"]),
        centre=centre,
        radii=radii,
        angles=angles,
        traits=rng.uniform(-1, 1, TRAITS),
        roughness=rng.uniform(0, 0.2),
        wall=min(2 * thickness, 0.4 * float(radii.min())) if hollow else 0,
        grain=_pick(rng, [t for t in palette if t != tissue]) if rng.random() < 0.3 else None,
        grain_size=rng.uniform(5, 16),
        parent=parent.label if parent else None,
        noise=int(rng.integers(2**32)),
    )


def _draw_radii(rng: np.random.Generator, thickness: float, *, size: str, long: bool) -> NDArray[np.float64]:
    if long:
        return np.array([min(thickness, 16), min(thickness, 16), rng.uniform(50, 150)])
    radius = rng.uniform(12, 45) if size == "thin" else thickness
    stretched: NDArray[np.float64] = radius * np.exp(rng.uniform(-0.35, 0.35, 3)) * (1, 1, rng.uniform(1.2, 3.5))
    return stretched


def _free_place(
    rng: np.random.Generator, ground: Ground, others: Sequence[Shape], radii: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The best of a dozen places: the farthest from the shapes that are there."""
    angle, reach = rng.uniform(0, 2 * np.pi, 12), np.sqrt(rng.uniform(0, 1, 12))
    room = np.maximum(ground.half - 0.7 * radii[:2].max() - 10, 30) if ground.body else ground.half
    places = np.stack([np.cos(angle), np.sin(angle)], axis=1) * reach[:, None] * room
    gaps = [np.linalg.norm(places - other.centre[:2], axis=1) - other.radii[:2].mean() for other in others]
    best = int(np.argmax(np.min(gaps, axis=0))) if gaps else 0
    return np.append(places[best], rng.uniform(-10, 10))


def _follow(shape: Shape, parent: Shape, moved: Shape) -> Shape:
    """A nested shape goes where its parent goes."""
    resized = moved.radii / parent.radii
    return replace(
        shape,
        centre=moved.centre + resized.mean() * (shape.centre - parent.centre),
        radii=shape.radii * resized,
        angles=shape.angles + moved.angles - parent.angles,
    )


def _vary(shape: Shape, rng: np.random.Generator, *, spread: float) -> Shape:
    return replace(
        shape,
        centre=shape.centre + rng.normal(0, (spread, spread, spread / 2)),
        radii=shape.radii * rng.lognormal(0, 0.13) * rng.lognormal(0, 0.06, 3),
        angles=shape.angles + rng.normal(0, (0.12, 0.06, 0.06)),
        traits=np.clip(shape.traits + rng.normal(0, 0.12, TRAITS), -1, 1),
    )
