// Structures of a series: { index, name, color, prompts, finding, base }, of which index is the value of its voxels, and
// base the version of the stored label that it is as in, or that its prompts correct; empty for none.
const MOST = 255; // of values of a label map
const PALETTE = [
  [230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [213, 94, 0], [204, 121, 167], [148, 130, 255], [160, 220, 120],
];

// Makes a structure beside others. Its color is another one where theirs is the same, as of a left and a right kidney.
export function newStructure(others, name, color) {
  const taken = new Set(others.map(({ index }) => index));
  const index = Array.from({ length: MOST }, (_, i) => i + 1).find(value => !taken.has(value));
  const free = color && !others.some(other => other.color.join() === color.join());
  return { index, name, color: free ? color : PALETTE[(index - 1) % PALETTE.length], prompts: [], finding: null, base: '' };
}

// Why a structure cannot have a name beside others; empty where it can.
export function objectionTo(name, others) {
  if (others.length >= MOST) return `There are ${MOST} structures; that is the most.`;
  if (!name) return 'A structure needs a name.';
  if (name.includes('/')) return 'The name of a structure cannot contain a slash.';
  if (name.toLowerCase() === 'background') return 'No structure can be called background.';
  return others.some(other => other.name === name) ? `There is ${name} already.` : '';
}
