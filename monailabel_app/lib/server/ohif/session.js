// The work on one series: its structures, the prompts for each, and how they become a label map.
import { whose } from './accepted_view.js';
import { carry, load, store } from './accepting.js';
import { Asking } from './asking.js';
import { NO_CHANGE, difference } from './changes.js';
import { History } from './history.js';
import { pointsOf } from './points.js';
import { infer } from './server.js';
import { inRange } from './slice_range.js';
import { newStructure, objectionTo } from './structures.js';

export class Session extends EventTarget {
  // saved: what `state` told before, or as much of it as is known.
  constructor(series, labelMap, saved) {
    super();
    this.series = series;
    this.labelMap = labelMap;
    this.structures = saved.structures ?? [];
    this.chosen = saved.chosen ?? null; // index of a structure
    this.live = saved.live ?? true;
    this.hidden = new Set(saved.hidden ?? []);
    this.drawnOn = saved.drawnOn ?? ''; // version of the label that was there when the work began
    this.unchanged = saved.unchanged ?? false; // whether the work is that label as it is
    this.present = null; // the label that is stored, as far as is known
    this.range = saved.range ?? null; // slices that the work is about, see slice_range.js
    this.insists = false; // on its label in the place of one that came between
    this.history = new History(saved);
    this.waiting = []; // steps that the server is to answer
    this.asking = new Asking((...said) => this.say(...said), () => this.dispatchEvent(new Event('change')));
    labelMap.onStroke = change => this.stroke(change);
  }

  state() {
    const { structures, chosen, live, hidden, drawnOn, unchanged, range, history } = this;
    const { done, undone } = history;
    const { voxels } = this.labelMap;
    return structuredClone({ structures, chosen, live, hidden: [...hidden], drawnOn, unchanged, range, done, undone, voxels });
  }

  get busy() {
    return this.asking.busy;
  }

  changed() {
    this.labelMap.show(this.structures, this.structure(), this.hidden);
    this.dispatchEvent(new Event('change'));
  }

  say(text, kind = 'info') {
    this.dispatchEvent(new CustomEvent('message', { detail: { text, kind } }));
  }

  structure(index = this.chosen) {
    return this.structures.find(structure => structure.index === index) ?? null;
  }

  named(name) {
    return this.structures.find(structure => structure.name === name) ?? null;
  }

  snapshot() {
    return structuredClone(this.structures);
  }

  // Notes a step whose effect on the structures is there already.
  record(before, change = NO_CHANGE) {
    this.unchanged = false;
    const step = this.history.add(before, this.snapshot(), change);
    this.changed();
    return step;
  }

  // Notes what was drawn by hand.
  stroke(change) {
    const before = this.snapshot();
    this.forget(change);
    this.record(before, change);
  }

  // An estimate holds for what the model made, not for what was drawn since.
  forget({ before, after }) {
    const touched = new Set([...before, ...after]);
    for (const structure of this.structures) if (touched.has(structure.index)) structure.finding = null;
  }

  // Makes room for structures that the server knows; nothing to undo.
  offer(labels) {
    for (const { name, color } of labels) if (!this.named(name)) this.make(name, color);
    this.chosen ??= this.structures[0]?.index ?? null;
    this.changed();
  }

  make(name, color) {
    const structure = newStructure(this.structures, name, color);
    this.structures.push(structure);
    return structure;
  }

  add(name) {
    const objection = objectionTo(name, this.structures);
    if (objection) return this.say(objection, 'bad');
    const before = this.snapshot();
    this.chosen = this.make(name).index;
    return this.record(before);
  }

  rename(structure, name) {
    const objection = objectionTo(name, this.structures.filter(other => other !== structure));
    if (objection) return this.say(objection, 'bad');
    const before = this.snapshot();
    structure.name = name;
    return this.record(before);
  }

  remove(structure) {
    const before = this.snapshot();
    const voxels = this.labelMap.voxels.map(value => (value === structure.index ? 0 : value));
    this.structures = this.structures.filter(other => other !== structure);
    if (this.chosen === structure.index) this.chosen = this.structures[0]?.index ?? null;
    this.replace(before, voxels);
  }

  // Removes all prompts and voxels; the structures stay.
  clear() {
    const before = this.snapshot();
    for (const structure of this.structures) Object.assign(structure, { prompts: [], finding: null, base: '' });
    this.replace(before, new Uint8Array(this.labelMap.voxels.length));
  }

  replace(before, voxels) {
    const change = difference(this.labelMap.voxels, voxels);
    this.labelMap.write(voxels);
    return this.record(before, change);
  }

  recolor(structure, color) {
    structure.color = color;
    this.changed();
  }

  choose(index) {
    this.chosen = index;
    this.changed();
  }

  toggle(structure) {
    if (!this.hidden.delete(structure.index)) this.hidden.add(structure.index);
    this.changed();
  }

  // Takes a prompt for the chosen structure, and answers it if the mode is live.
  prompt(prompt) {
    const structure = this.structure();
    if (!structure) return this.say('Add a structure first, or choose one.', 'bad');
    this.labelMap.settle();
    const before = this.snapshot();
    structure.prompts.push(prompt);
    const step = this.record(before);
    return this.live ? this.answer(step, structure) : this.say('Noted. Run (Enter) answers the prompts of this structure.');
  }

  // Answers the prompts of the chosen structure, when the mode is not live.
  run() {
    const structure = this.structure();
    if (!structure?.prompts.length) return this.say('There is no prompt for this structure yet.', 'bad');
    return this.answer(this.record(this.snapshot()), structure);
  }

  // Of several prompts for a structure that wait for the server, the last has all of them.
  answer(step, { index }) {
    this.waiting = [...this.waiting.filter(other => other.index !== index), { step, index }];
    return this.asking.enqueue(() => this.answerNext());
  }

  async answerNext() {
    if (!this.waiting.length) return;
    const { step, index } = this.waiting.shift();
    const { name, prompts, base } = step.after.find(structure => structure.index === index);
    const params = { label: name, ...pointsOf(prompts, this.labelMap.geometry()), ...(base && { corrects: base }) };
    const answer = await this.ask(`Segmenting ${name} …`, 'oneshot_click_one', params);
    if (!answer || !this.history.done.includes(step)) return; // was undone in the meantime
    const current = this.structure(index);
    if (!current) return;
    const mine = answer.voxels;
    const within = this.within();
    const voxels = this.labelMap.voxels.map((value, i) => (!within(i) ? value : mine[i] ? index : value === index ? 0 : value));
    const change = difference(this.labelMap.voxels, voxels);
    this.forget(change);
    current.finding = answer.labels[name];
    Object.assign(step, { after: this.snapshot(), change });
    this.labelMap.write(voxels);
    this.changed();
  }

  ask(what, model, params) {
    return this.asking.answer(what, signal => infer(model, this.series, params, signal));
  }

  // Tells of a voxel's place whether answers may change it.
  within() {
    return inRange(this.range, this.labelMap.geometry().shape);
  }

  // Segments what is labelled in other studies; structures that were prompted for or accepted stay as they are.
  segmentKnown() {
    return this.busy ? null : this.asking.enqueue(() => this.findKnown());
  }

  async findKnown() {
    this.labelMap.settle();
    const answer = await this.ask('Segmenting everything known …', 'oneshot', {});
    if (!answer) return;
    const before = this.snapshot();
    const target = new Uint8Array(256); // value of the answer -> segment
    for (const [name, finding] of Object.entries(answer.labels)) {
      const structure = this.named(name) ?? this.make(name);
      if (structure.prompts.length || structure.base) continue;
      structure.finding = finding;
      target[finding.value] = structure.index;
    }
    const free = new Set(target); // 0 is in it, too
    const within = this.within();
    const voxels = this.labelMap.voxels.map((value, i) => (within(i) && free.has(value) ? target[answer.voxels[i]] : value));
    this.replace(before, voxels);
  }

  undo() {
    this.travel(this.history.undo(this.settled()));
  }

  redo() {
    this.travel(this.history.redo(this.settled()));
  }

  settled() {
    this.labelMap.settle();
    this.asking.abort();
    this.waiting = [];
    return this.labelMap.voxels;
  }

  travel(place) {
    if (!place) return;
    this.unchanged = false;
    this.structures = structuredClone(place.structures);
    if (!this.structure()) this.chosen = this.structures[0]?.index ?? null;
    this.labelMap.write(place.voxels);
    this.changed();
  }

  // Notes which stored label the work is the same as, or was drawn on, from now on.
  begin(version) {
    this.drawnOn = version;
    this.insists = false;
    this.unchanged = true;
  }

  // Sends the label map, with what was drawn by hand, to be stored and learned from.
  accept() {
    return this.busy ? null : this.asking.enqueue(() => this.asking.during('Storing …', () => store(this)));
  }

  // Shows the label that is stored.
  load() {
    if (this.busy || !this.present) return null;
    this.labelMap.settle();
    return this.asking.enqueue(() => this.asking.during('Loading …', async () => {
      await load(this, this.present);
      this.say(`This is the label by ${whose(this.present)}. Undo brings yours back.`, 'good');
    }));
  }

  // Shows the label of another series of the study.
  carry(source, name) {
    if (this.busy) return null;
    this.labelMap.settle();
    return this.asking.enqueue(() => this.asking.during('Carrying …', async () => {
      await carry(this, source);
      this.say(`Carried from ${name}. Look at it, then accept it.`, 'good');
    }));
  }

  // Limits answers and what is accepted to slices.
  limit(range) {
    this.range = range;
    this.changed();
  }
}
