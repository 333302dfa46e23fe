// Labels of other series of the study, which can be carried to this one: they share a frame of reference.
import { whose } from './accepted_view.js';
import { button, element } from './dom.js';
import { carrySources } from './server.js';

export class CarryView {
  constructor(session) {
    this.session = session;
    this.list = element('ul', { 'aria-label': 'Labels of other series' });
    this.root = element('section', { className: 'carry', hidden: true }, element('h3', {}, 'Other series'), this.list);
    this.refresh();
  }

  async refresh() {
    try {
      const sources = await carrySources(this.session.series);
      this.list.replaceChildren(...sources.map(source => this.row(source)));
      this.root.hidden = !sources.length;
    } catch (error) {
      this.session.say(`Labels of other series cannot be listed: ${error.message}`, 'bad');
    }
  }

  row(source) {
    const { description, kind, label } = source;
    const name = description || kind || `series …${source.source.slice(-6)}`;
    const labels = Object.keys(label.labels).join(', ');
    return element('li', {},
      element('p', { title: source.source }, element('strong', {}, name), element('small', {}, `${labels}; by ${whose(label)}`)),
      button('Carry', `Show ${labels} of ${name} here, at the same places; undo takes them away`, () => this.session.carry(source, name)));
  }
}
