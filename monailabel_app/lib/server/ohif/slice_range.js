// The slices that a session is about, [first, last] or null for all: answers change these alone, and only these are
// accepted.

// Tells of a voxel, by its place in a label map of this shape, whether its slice is one of them.
export function inRange(range, [columns, rows]) {
  if (!range) return () => true;
  const [first, end] = [range[0] * columns * rows, (range[1] + 1) * columns * rows];
  return place => place >= first && place < end;
}

// The range within a number of slices that begins or ends elsewhere; null where it is all of them.
export function moved(range, count, side, slice) {
  const made = [...(range ?? [0, count - 1])];
  made[side] = Math.min(Math.max(slice, 0), count - 1);
  if (made[0] > made[1]) made[1 - side] = made[side];
  return made[0] === 0 && made[1] === count - 1 ? null : made;
}
