// From what was drawn to the points that the model takes: voxels inside of a structure, and voxels beside it.
const AROUND = 8; // points beside an outline
const ALONG = 6; // points of a scribble
const GRID = 24; // steps in which the inside of an outline is searched

// Points of prompts as { foreground, background }, each [[i, j, k], ...], and boxes, each two corners on one slice.
export function pointsOf(prompts, { toIndex, spacing, shape }) {
  const points = { foreground: [], background: [] };
  const boxes = [];
  for (const prompt of prompts) {
    const corners = prompt.points.map(toIndex);
    const here = prompt.positive ? points.foreground : points.background;
    if (prompt.shape === 'point') {
      here.push(corners[0]);
    } else if (prompt.shape === 'scribble') {
      here.push(...spread(corners, ALONG));
    } else {
      const plane = planeOf(corners, spacing);
      if (prompt.shape === 'box' && prompt.positive && plane.across === 2) {
        boxes.push([corners[0], corners[2]].map(corner => corner.map((place, axis) => Math.min(Math.max(Math.round(place), 0), shape[axis] - 1))));
        continue;
      }
      const outline = corners.map(plane.flat);
      here.push(plane.lift(deepest(outline)));
      if (prompt.positive) points.background.push(...beside(outline).map(plane.lift));
    }
  }
  for (const sign of Object.keys(points)) {
    const whole = points[sign].map(point => point.map(Math.round));
    points[sign] = whole.filter(point => point.every((place, axis) => place >= 0 && place < shape[axis]));
  }
  return { ...points, boxes };
}

// The plane of a slice, in mm: the axis along which the corners differ least is left out.
function planeOf(corners, spacing) {
  const extent = [0, 1, 2].map(axis => {
    const places = corners.map(corner => corner[axis]);
    return Math.max(...places) - Math.min(...places);
  });
  const across = extent.indexOf(Math.min(...extent));
  const [u, v] = [0, 1, 2].filter(axis => axis !== across);
  return {
    across,
    flat: point => [point[u] * spacing[u], point[v] * spacing[v]],
    lift: ([x, y]) => {
      const point = [0, 0, 0];
      point[across] = corners[0][across];
      point[u] = x / spacing[u];
      point[v] = y / spacing[v];
      return point;
    },
  };
}

// Points at equal distances along a line.
function spread(line, count) {
  const lengths = [0];
  for (let i = 1; i < line.length; i += 1) {
    lengths.push(lengths[i - 1] + Math.hypot(...line[i].map((place, axis) => place - line[i - 1][axis])));
  }
  const whole = lengths[lengths.length - 1];
  return Array.from({ length: count }, (_, number) => {
    const wanted = (whole * (number + 0.5)) / count;
    return line[Math.max(0, lengths.findIndex(length => length >= wanted))];
  });
}

function isInside([x, y], outline) {
  let inside = false;
  outline.forEach(([ax, ay], i) => {
    const [bx, by] = outline[(i + 1) % outline.length];
    if ((ay > y) !== (by > y) && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  });
  return inside;
}

function distance([x, y], outline) {
  return Math.min(...outline.map(([ax, ay], i) => {
    const [bx, by] = outline[(i + 1) % outline.length];
    const [dx, dy] = [bx - ax, by - ay];
    const along = Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1)));
    return Math.hypot(x - ax - along * dx, y - ay - along * dy);
  }));
}

function bounds(outline) {
  const [xs, ys] = [outline.map(([x]) => x), outline.map(([, y]) => y)];
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

// The point inside an outline that is farthest from it.
function deepest(outline) {
  const [left, top, right, bottom] = bounds(outline);
  let best = { point: outline[0], depth: -1 };
  for (let row = 0.5; row < GRID; row += 1) {
    for (let column = 0.5; column < GRID; column += 1) {
      const point = [left + ((right - left) * column) / GRID, top + ((bottom - top) * row) / GRID];
      const depth = isInside(point, outline) ? distance(point, outline) : -1;
      if (depth > best.depth) best = { point, depth };
    }
  }
  return best.point;
}

// Points a little outside of an outline, around it.
function beside(outline) {
  const [left, top, right, bottom] = bounds(outline);
  const middle = [(left + right) / 2, (top + bottom) / 2];
  const margin = 0.1 * Math.min(right - left, bottom - top) + 2;
  return spread([...densely(outline)], AROUND)
    .map(([x, y]) => {
      const [dx, dy] = [x - middle[0], y - middle[1]];
      const far = 1 + margin / (Math.hypot(dx, dy) || 1);
      return [middle[0] + dx * far, middle[1] + dy * far];
    })
    .filter(point => !isInside(point, outline));
}

function* densely(outline) {
  for (let i = 0; i < outline.length; i += 1) {
    const [[ax, ay], [bx, by]] = [outline[i], outline[(i + 1) % outline.length]];
    for (let step = 0; step < 10; step += 1) yield [ax + ((bx - ax) * step) / 10, ay + ((by - ay) * step) / 10];
  }
}
