// The list of structures: what each is called, how large it is, and how good it probably is.
import { button, element, hex, rgb, section } from './dom.js';

export class StructuresView {
  constructor(session) {
    this.session = session;
    this.renamed = null; // the structure whose name is being changed
    this.list = element('ul', { className: 'structures', 'aria-label': 'Structures' });
    this.name = element('input', { type: 'text', placeholder: 'Add a structure …', maxLength: 64, 'aria-label': 'Name of a new structure' });
    const add = element('form', { className: 'add', onsubmit: event => this.add(event) }, this.name, element('button', { type: 'submit', title: 'Add this structure' }, 'Add'));
    this.all = button('Segment everything known', 'Find what is labelled in other studies (G)', () => session.segmentKnown(), { className: 'primary' });
    this.root = section('Structures', this.list, add, this.all);
    this.show();
  }

  add(event) {
    event.preventDefault();
    const name = this.name.value.trim();
    this.session.add(name);
    if (!this.session.named(name)) return;
    this.name.value = '';
    this.name.blur(); // keys are for the tools again
  }

  show() {
    const { session } = this;
    const volumes = session.labelMap.volumes();
    this.all.disabled = Boolean(session.busy);
    if (this.renamed && this.list.contains(document.activeElement)) return; // not from under the user's hands
    this.list.replaceChildren(...session.structures.map(structure => this.row(structure, volumes[structure.index])));
    if (!session.structures.length) {
      this.list.append(element('li', { className: 'empty' }, 'Nothing is labelled yet. Add a structure and click on it.'));
    }
  }

  row(structure, volume) {
    const { session } = this;
    const hidden = session.hidden.has(structure.index);
    const swatch = element('input', {
      type: 'color', value: hex(structure.color), title: 'Change the color', 'aria-label': `Color of ${structure.name}`,
      onchange: event => session.recolor(structure, rgb(event.target.value)),
    });
    const tools = element('span', { className: 'row-tools' },
      button('✎', `Rename ${structure.name}`, event => this.rename(event, structure)),
      button(hidden ? '○' : '●', `${hidden ? 'Show' : 'Hide'} ${structure.name}`, event => { event.stopPropagation(); session.toggle(structure); }, { 'aria-pressed': String(!hidden) }),
      button('×', `Delete ${structure.name}; undo brings it back`, event => { event.stopPropagation(); session.remove(structure); }));
    const size = volume ? `${volume < 10 ? volume.toFixed(1) : Math.round(volume)} ml` : '–';
    const chosen = structure.index === session.chosen;
    return element('li', { className: `structure${chosen ? ' chosen' : ''}${hidden ? ' unseen' : ''}`, onclick: () => session.choose(structure.index), 'data-name': structure.name },
      element('div', { className: 'line' }, swatch,
        this.renamed === structure.index ? this.nameField(structure)
          : button(structure.name, `Choose ${structure.name}`, () => session.choose(structure.index), { className: 'name', 'aria-pressed': String(chosen) }),
        element('span', { className: 'volume' }, size), tools),
      ...quality(structure));
  }

  rename(event, structure) {
    event.stopPropagation();
    this.renamed = structure.index;
    this.show();
    const field = this.list.querySelector('.rename');
    field.focus();
    field.select();
  }

  nameField(structure) {
    const done = () => {
      if (this.renamed !== structure.index) return;
      this.renamed = null;
      const name = field.value.trim();
      if (name !== structure.name) this.session.rename(structure, name);
      this.show();
    };
    const field = element('input', {
      type: 'text', className: 'rename', value: structure.name, maxLength: 64, 'aria-label': `New name of ${structure.name}`,
      onblur: done,
      onclick: event => event.stopPropagation(),
      onkeydown: event => {
        if (event.key === 'Escape') field.value = structure.name;
        if (['Enter', 'Escape'].includes(event.key)) field.blur();
      },
    });
    return field;
  }
}

// The estimate with its interval, and the warning; or where it comes from.
function quality({ finding, base, prompts }) {
  if (!finding) return base && !prompts.length ? [element('p', { className: 'estimate' }, 'From the accepted label')] : [];
  const lines = [];
  if (finding.estimated_dice !== null) {
    const [low, high] = finding.estimated_dice_interval.map(end => end.toFixed(2));
    const title = 'What the model expects of its own result, and the interval in which that lies';
    lines.push(element('p', { className: 'estimate', title }, `Estimated Dice ${finding.estimated_dice.toFixed(2)} (${low} to ${high})`));
  }
  if (finding.warning) lines.push(element('p', { className: 'warning' }, finding.warning));
  return lines;
}
