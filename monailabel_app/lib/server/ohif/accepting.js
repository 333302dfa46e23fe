// From the work on a series to the label that is stored for it, and from that one back to structures.
import { Outrun, carriedVoxels, presentVersion, submit, versionVoxels } from './server.js';
import { inRange } from './slice_range.js';
import { newStructure } from './structures.js';

// Stores what is segmented, to be learned from; of a range of slices, these alone.
export async function store(session) {
  session.labelMap.settle();
  const { voxels, names } = await toStore(session);
  if (!names.length) return session.say('There is nothing to accept yet.', 'bad');
  try {
    const { warning, version } = await submit(session.series, voxels, names, session.drawnOn, session.insists);
    session.begin(version);
    session.unchanged = !session.range; // else more is shown than was stored
    // What no prompt stands for is corrected as it was accepted, and not found anew.
    for (const structure of session.structures) if (!structure.prompts.length) structure.base = voxels.includes(structure.index) ? version : '';
    session.say(warning ? `Stored. ${warning}` : `Stored: ${names.map(({ name }) => name).join(', ')}`, warning ? 'bad' : 'good');
    session.dispatchEvent(new Event('accepted'));
  } catch (error) {
    session.insists = error instanceof Outrun;
    session.say(session.insists ? `${error.message} Accept once more to put yours in its place.` : error.message, 'bad');
  }
  session.present = await presentVersion(session.series);
  return session.changed();
}

// Voxels and names to store: in slices out of the range, those of the label that the work began with.
async function toStore(session) {
  const { voxels } = session.labelMap;
  const before = session.range && session.drawnOn ? await presentVersion(session.series) : null;
  const known = [...session.structures];
  let made = voxels;
  if (session.range) {
    const old = before ? await versionVoxels(session.series, before.version) : new Uint8Array(voxels.length);
    const target = new Uint8Array(256);
    for (const [name, value] of Object.entries(before?.values ?? {})) {
      let structure = known.find(other => other.name === name);
      if (!structure) known.push(structure = newStructure(known, name));
      target[value] = structure.index;
    }
    const within = inRange(session.range, session.labelMap.geometry().shape);
    made = voxels.map((value, place) => (within(place) ? value : target[old[place]]));
  }
  const used = new Set(made);
  const names = known.filter(({ index }) => used.has(index)).map(({ name, index }) => ({ name, idx: index }));
  return { voxels: made, names };
}

// Shows a label that is stored: its structures as they are there, and nothing else. The first time, nothing to undo.
export async function load(session, label, first = false) {
  const stored = fitting(session, await versionVoxels(session.series, label.version));
  const before = session.snapshot();
  for (const structure of session.structures) Object.assign(structure, { prompts: [], finding: null, base: '' });
  const target = structuresOf(session, label.values, label.version);
  const voxels = stored.map(value => target[value]);
  if (first) session.labelMap.write(voxels);
  else session.replace(before, voxels);
  session.begin(label.version);
  session.changed();
}

// Shows the label of another series of the study at the same places; other structures stay, and keep their voxels.
export async function carry(session, { source, label }) {
  const carried = fitting(session, await carriedVoxels(session.series, source));
  const before = session.snapshot();
  const target = structuresOf(session, label.values, '');
  const theirs = new Set(target);
  const within = session.within();
  session.replace(before, session.labelMap.voxels.map((value, place) => (
    !within(place) || !theirs.has(value) ? value : target[carried[place]])));
}

function fitting(session, voxels) {
  if (voxels.length !== session.labelMap.voxels.length) throw new Error('The label has other voxels than the series.');
  return voxels;
}

// By value of a label map that the server sent, the index of the structure of that name, which has nothing else now.
function structuresOf(session, values, base) {
  const target = new Uint8Array(256);
  for (const [name, value] of Object.entries(values)) {
    const structure = session.named(name) ?? session.make(name);
    Object.assign(structure, { prompts: [], finding: null, base });
    target[value] = structure.index;
  }
  return target;
}
