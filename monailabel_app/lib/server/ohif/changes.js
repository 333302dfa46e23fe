// Differences between label maps: small where little has changed, and good for both directions.

export function difference(before, after) {
  const indices = [];
  for (let i = 0; i < after.length; i += 1) if (before[i] !== after[i]) indices.push(i);
  return {
    indices: Uint32Array.from(indices),
    before: Uint8Array.from(indices, i => before[i]),
    after: Uint8Array.from(indices, i => after[i]),
  };
}

// A label map with a difference applied; what was changed by others since stays.
export function applied(voxels, { indices, before, after }) {
  const made = voxels.slice();
  indices.forEach((i, n) => { if (made[i] === before[n]) made[i] = after[n]; });
  return made;
}

export function reversed({ indices, before, after }) {
  return { indices, before: after, after: before };
}

export const NO_CHANGE = { indices: new Uint32Array(), before: new Uint8Array(), after: new Uint8Array() };
