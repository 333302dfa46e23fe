// The range of slices that the work is about, by the numbers that the viewer shows.
import { button, element } from './dom.js';
import { moved } from './slice_range.js';

export class RangeView {
  constructor(session) {
    const { labelMap } = session;
    Object.assign(this, { session, labelMap, count: labelMap.geometry().shape[2] });
    this.flips = labelMap.number(0) !== 1;
    this.ends = ['First', 'Last'].map((end, side) => element('input', {
      type: 'number', min: 1, max: this.count, 'aria-label': `${end} slice`,
      onchange: event => this.move(side, this.flips ? this.count - event.target.valueAsNumber : event.target.valueAsNumber - 1),
    }));
    const here = ['first', 'last'].map((end, side) =>
      button('Here', `Let the slice that is shown be the ${end} one`, () => this.move(side, labelMap.shownSlice())));
    this.all = button('All', 'Let the answers and what is accepted be about all slices again', () => session.limit(null));
    this.root = element('details', { className: 'range' }, this.summary = element('summary'),
      element('div', { className: 'ends' }, 'from', this.ends[0], here[0], 'to', this.ends[1], here[1], this.all));
    this.show();
  }

  // Lets a slice be the one that the viewer counts first (side 0) or last (1).
  move(side, slice) {
    if (Number.isInteger(slice)) this.session.limit(moved(this.session.range, this.count, this.flips ? 1 - side : side, slice));
    this.show();
  }

  show() {
    const shown = (this.session.range ?? [0, this.count - 1]).map(slice => this.labelMap.number(slice)).sort((a, b) => a - b);
    this.ends.forEach((end, side) => { if (document.activeElement !== end) end.value = shown[side]; });
    this.summary.textContent = this.session.range ? `Slices ${shown.join(' to ')} alone` : `All ${this.count} slices`;
    this.summary.classList.toggle('limited', Boolean(this.session.range));
    this.all.disabled = !this.session.range;
  }
}
