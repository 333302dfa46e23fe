// Steps that can be undone and redone. A step holds what was known of the structures before and after it, and which
// voxels it changed; the voxels of a prompt are known when the server has answered.
import { NO_CHANGE, applied, reversed } from './changes.js';

const MOST_STEPS = 100;
const MOST_VOXELS = 2e7; // changed by all steps together

export class History {
  constructor({ done = [], undone = [] } = {}) {
    this.done = done;
    this.undone = undone;
  }

  add(before, after, change = NO_CHANGE) {
    const step = { before, after, change };
    this.done.push(step);
    this.undone = [];
    let voxels = 0;
    const tooOld = this.done.findLastIndex(({ change: { indices } }) => (voxels += indices.length) > MOST_VOXELS);
    this.done.splice(0, Math.max(tooOld + 1, this.done.length - MOST_STEPS));
    return step;
  }

  // Takes the last step back: { structures, voxels } as they were, or null where there is none.
  undo(voxels) {
    const step = this.done.pop();
    if (!step) return null;
    this.undone.push(step);
    return { structures: step.before, voxels: applied(voxels, reversed(step.change)) };
  }

  redo(voxels) {
    const step = this.undone.pop();
    if (!step) return null;
    this.done.push(step);
    return { structures: step.after, voxels: applied(voxels, step.change) };
  }
}
