// The library: the examples that other studies are segmented by.
import { button, element, hex } from './dom.js';
import { askJson } from './server.js';

const SETTLED = 600; // ms after the last step of a slider

export class LibraryView {
  // manages: whether the user may change the library.
  constructor(session, manages) {
    Object.assign(this, { session, manages });
    this.summary = element('summary', {}, 'Library');
    this.list = element('ul', { className: 'examples', 'aria-label': 'Examples' });
    const link = element('a', { href: '/', target: '_blank', rel: 'noopener' }, 'Open the page of the library ↗');
    this.root = element('details', { className: 'library', ontoggle: () => this.refresh() }, this.summary, this.list, link);
    this.refresh();
  }

  async refresh() {
    try {
      const { examples } = await askJson('/library/');
      const used = examples.filter(example => example.enabled && !example.problem).length;
      const doubted = examples.filter(example => example.enabled && example.labels.some(label => label.doubt)).length;
      const check = doubted ? `, ${doubted} to check` : '';
      this.summary.textContent = `Library: ${examples.length} example${examples.length === 1 ? '' : 's'}, ${used} in use${check}`;
      this.list.replaceChildren(...examples.map(example => this.card(example)));
      if (!examples.length) this.list.append(element('li', { className: 'empty' }, 'Accept the labels of a study, and they serve other studies.'));
    } catch (error) {
      this.session.say(`The library cannot be listed: ${error.message}`, 'bad');
    }
  }

  card(example) {
    const name = example.patient || example.study;
    const labels = example.labels.map(label => {
      const dot = element('i');
      dot.style.backgroundColor = hex(label.color);
      return element('span', { className: 'label' }, dot, label.name);
    });
    const on = element('input', {
      type: 'checkbox', checked: example.enabled, 'aria-label': `Use ${name}`,
      onchange: () => this.change(`/library/examples/${example.id}`, {
        method: 'PATCH', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ enabled: on.checked }),
      }, `${name} is ${on.checked ? 'used' : 'not used'} from now on`),
    });
    const picture = example.thumbnail
      ? element('img', { src: `${example.thumbnail}&size=128`, alt: `A slice of ${name} with its labels`, loading: 'lazy' })
      : element('span', {}, 'no picture');
    const mine = example.study === this.session.series ? element('span', { className: 'badge' }, 'this study') : null;
    return element('li', { className: `example${example.enabled ? '' : ' off'}`, 'data-study': example.study },
      element('div', { className: 'picture' }, picture, mine),
      element('div', { className: 'about' },
        element('strong', { title: example.study }, name),
        element('p', { className: 'labels' }, ...labels),
        example.problem ? element('p', { className: 'warning' }, example.problem) : null,
        ...example.labels.filter(label => label.doubt).map(label => element('p', { className: 'warning doubt' }, `Check ${label.name}: it ${label.doubt}.`)),
        this.manages ? this.weight(example, name) : null,
        element('div', { className: 'in-use' },
          this.manages ? element('label', {}, on, example.enabled ? 'in use' : 'off') : `${example.enabled ? 'in use' : 'off'}, weight ${example.weight}`,
          !this.manages ? null : button('Remove', `Take ${name} out of the library; it can be restored on the page of the library`, () => this.change(
            `/library/examples/${example.id}`, { method: 'DELETE' }, `${name} is removed; the page of the library restores it`), { className: 'text' }))));
  }

  weight(example, name) {
    let timer; // keys change it step by step, and what is sent makes the card anew
    const shown = element('output', {}, String(example.weight));
    const slider = element('input', {
      type: 'range', min: 0, max: 1, step: 0.05, value: example.weight, title: 'How much its votes count', 'aria-label': `Weight of ${name}`,
      oninput: () => { shown.textContent = slider.value; },
      onchange: () => {
        clearTimeout(timer);
        timer = setTimeout(() => this.change(`/library/examples/${example.id}`, {
          method: 'PATCH', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ weight: Number(slider.value) }),
        }, `${name} weighs ${slider.value} from now on`), SETTLED);
      },
    });
    return element('label', { className: 'weight' }, 'weight', slider, shown);
  }

  async change(path, options, done) {
    try {
      await askJson(path, options);
      this.session.say(done, 'good');
    } catch (error) {
      this.session.say(error.message, 'bad');
    }
    await this.refresh();
  }
}
