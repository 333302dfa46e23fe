"""From a world's seed to the maps of one member: ground and shapes painted onto a grid of tissues."""

import numpy as np
from numpy.typing import NDArray

from protoseg.synthesis.anatomy.canvas import Box, Canvas
from protoseg.synthesis.anatomy.shapes import Array, SmoothNoise
from protoseg.synthesis.anatomy.tissues import Tissue
from protoseg.synthesis.shapes.forms import FORMS, rotation
from protoseg.synthesis.shapes.world import Ground, Shape, draw_member, draw_world

__all__ = ["paint_shapes"]

SPACING = 1.8  # mm in the plane, as in slices of the abdomen
OWN_BUMPS, OWN_GROUND = 0.5, 0.25  # shares of the unevenness of a shape, and of the ground, that are the member's own
MARGIN = 2.0  # mm between shapes and the surface of what they are in

Solid = tuple[Box, Array]
"""A box of the canvas and the distance to a shape in it."""


def paint_shapes(seed: int, member: int, *, shape: tuple[int, int], slices: int = 8) -> NDArray[np.uint8]:
    """Paint one member of a world: maps (slices, 4, H, W) in the order of `Subject.slice`.

    Args:
        seed: seed of the world, which its members share: 8 to 14 structures with their places, forms and tissues.
        member: index of the member, >= 0; members differ as people do, and some lack a structure.
        shape: number of pixels of 1.8 mm along x and y (W, H).
        slices: number of slices, which are 2 to 5 mm apart, depending on the world.
    """
    world = draw_world(np.random.default_rng(seed), SPACING / 2 * np.array(shape))
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(member,)))
    spacing = (SPACING, SPACING, world.spacing)
    axes = [step * (np.arange(count) - (count - 1) / 2) for step, count in zip(spacing, (*shape, slices))]
    proportions = tuple(rng.lognormal(0, 0.05, 3).tolist())
    canvas = Canvas(rng, axes=axes, proportions=proportions, deformation=rng.uniform(3, 8))
    own = draw_member(world, rng)
    ground = canvas.everywhere, _paint_ground(canvas, own.ground, rng)
    solids: dict[int, Solid] = {}
    for thing in own.shapes:
        host = ground if thing.parent is None else solids[thing.parent]
        solids[thing.label] = _paint_shape(canvas, thing, rng, host=host)
    coverage = np.round(255 * canvas.coverage).astype(np.uint8)
    volume = np.stack([canvas.tissue, canvas.neighbour, coverage, canvas.labels])  # 4 x X x Y x Z
    return np.ascontiguousarray(volume.transpose(3, 0, 2, 1))


def _paint_ground(canvas: Canvas, ground: Ground, rng: np.random.Generator) -> Array:
    """Paint what the shapes lie in; returns the distance to where they may lie."""
    everywhere = canvas.everywhere
    if ground.body:
        outline = _flanks(canvas.x / ground.half[0], canvas.y / ground.half[1]) * ground.half.min()
        outline += 4 * _bumps(canvas, everywhere, rng, seed=ground.noise, scale=60, own=OWN_GROUND)
        for depth, tissue in enumerate(ground.tissues):
            canvas.paint(everywhere, outline + depth * ground.scale, tissue, label=depth + 1)
        return outline + (len(ground.tissues) - 1) * ground.scale
    canvas.tissue[:] = ground.tissues[0]
    seeds = range(ground.noise, ground.noise + len(ground.tissues))
    fields = np.stack([_bumps(canvas, everywhere, rng, seed=s, scale=ground.scale, own=OWN_GROUND) for s in seeds])
    for region, tissue in enumerate(ground.tissues[1:], start=1):
        lead = fields[region] - np.delete(fields, region, axis=0).max(axis=0)
        canvas.paint(everywhere, -0.5 * ground.scale * lead, tissue, label=region)
    return np.broadcast_to(np.float32(-np.inf), canvas.shape)


def _flanks(x: Array, y: Array) -> Array:
    """Below 0 inside of an outline between an ellipse and a rectangle."""
    x2, y2 = x * x, y * y
    return (np.sqrt(x2 + y2) + np.sqrt(np.sqrt(x2 * x2 + y2 * y2))) / 2 - 1


def _paint_shape(canvas: Canvas, shape: Shape, rng: np.random.Generator, *, host: Solid) -> Solid:
    """Paint a shape, as far as it lies inside of its host; returns it with its hollow filled."""
    reach = np.linalg.norm(shape.radii) if shape.form == "tube" else 1.2 * shape.radii.max()
    box = host[0] if shape.parent is not None else canvas.around(shape.centre, reach)
    position = [c - m for c, m in zip(canvas.coordinates(box), shape.centre)]
    u, v, w = (sum(a * c for a, c in zip(axis, position)) for axis in rotation(shape.angles).T.astype(np.float32))
    solid = FORMS[shape.form](u, v, w, (shape.radii[0], shape.radii[1], shape.radii[2]), shape.traits)
    slimmest = float(shape.radii.min())
    bumps = _bumps(canvas, box, rng, seed=shape.noise, scale=max(1.2 * slimmest, 9), own=OWN_BUMPS)
    solid = solid + shape.roughness * min(slimmest, 25) * bumps
    inside = host[1] if shape.parent is not None else host[1][box]
    solid = np.maximum(solid, inside + MARGIN)
    distance = np.abs(solid) - shape.wall / 2 if shape.wall else solid
    canvas.paint(box, distance, shape.tissue, label=shape.label)
    if shape.grain is not None:
        _mix_in(canvas, box, distance < -0.5 * SPACING, shape, shape.grain)
    return box, solid


def _mix_in(canvas: Canvas, box: Box, inside: Array, shape: Shape, grain: Tissue) -> None:
    """Give a shape the texture of two tissues."""
    field = canvas.noise(SmoothNoise(np.random.default_rng((shape.noise, 1)), shape.grain_size), box)[inside]
    share = np.clip(0.65 + 0.35 * field, 0, 1)
    canvas.tissue[box][inside] = np.where(share >= 0.5, shape.tissue, grain)
    canvas.neighbour[box][inside] = np.where(share >= 0.5, grain, shape.tissue)
    canvas.coverage[box][inside] = np.maximum(share, 1 - share)


def _bumps(canvas: Canvas, box: Box, rng: np.random.Generator, *, seed: int, scale: float, own: float) -> Array:
    """Smooth noise of unit variance, the world's but for the share that is the member's own."""
    noise = SmoothNoise(np.random.default_rng(seed), scale)
    noise.values = (1 - own**2) ** 0.5 * noise.values + own * SmoothNoise(rng, scale).values
    return canvas.noise(noise, box)
