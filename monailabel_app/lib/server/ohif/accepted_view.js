// The label of the series that is stored: whose it is, and whether the work began with it.
import { button, element } from './dom.js';

export class AcceptedView {
  constructor(session) {
    this.session = session;
    this.text = element('p');
    this.load = button('Load it', 'Show this label in the place of what is here; undo brings yours back', () => session.load(), { className: 'load' });
    this.root = element('section', { className: 'accepted', 'aria-label': 'Accepted label' }, this.text, this.load);
    this.show();
  }

  show() {
    const { present: label, drawnOn, busy } = this.session;
    this.root.hidden = !label;
    if (!label) return;
    const newer = label.version !== drawnOn;
    this.text.textContent = `${newer ? 'Newer than your work: accepted' : 'Accepted'} by ${whose(label)}`;
    this.text.title = `Version ${label.version}: ${Object.keys(label.labels).join(', ')}`;
    this.text.className = newer ? 'warning' : '';
    this.text.append(element('small', {}, `version ${label.version.slice(0, 6)}`));
    this.load.disabled = Boolean(busy);
  }
}

// Who accepted a label, and when.
export function whose({ by, at }) {
  const who = by === 'unknown' ? 'an unnamed user' : by;
  const time = new Date(at);
  return at && !Number.isNaN(time.getTime()) ? `${who}, ${time.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' })}` : who;
}
