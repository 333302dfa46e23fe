// Keys of the panel. They come before the viewer's own, and are let through where a text is typed.
import { element } from './dom.js';

// [how the key is shown, what it matches, what it does, its action]
export function shortcuts(session, tools) {
  const step = by => {
    const at = session.structures.findIndex(({ index }) => index === session.chosen);
    const next = session.structures[(at + by + session.structures.length) % session.structures.length];
    if (next) session.choose(next.index);
  };
  const plain = letter => event => !event.ctrlKey && !event.metaKey && !event.altKey && event.key.toLowerCase() === letter;
  const control = (letter, shift) => event => (event.ctrlKey || event.metaKey) && event.shiftKey === shift && event.key.toLowerCase() === letter;
  const use = (letter, text, tool) => [letter.toUpperCase(), plain(letter), text, () => tools.use(tool)];
  return [
    use('p', 'point', 'point'), use('b', 'box', 'box'), use('l', 'lasso', 'lasso'), use('s', 'scribble', 'scribble'),
    use('d', 'draw with the brush', 'CircularBrush'), use('e', 'eraser', 'CircularEraser'),
    ['T', plain('t'), 'include or exclude', () => tools.sign()],
    ['A', plain('a'), 'live mode on or off', () => { session.live = !session.live; session.changed(); }],
    ['Enter', plain('enter'), 'answer the prompts', () => session.run()],
    ['G', plain('g'), 'segment everything known', () => session.segmentKnown()],
    ['[ and ]', event => event.key === '[' || event.key === ']', 'structure before or after', event => step(event.key === ']' ? 1 : -1)],
    ['X', plain('x'), 'hide or show the structure', () => session.structure() && session.toggle(session.structure())],
    ['Ctrl+Z', control('z', false), 'undo', () => session.undo()],
    ['Ctrl+Y', event => control('y', false)(event) || control('z', true)(event), 'redo', () => session.redo()],
    ['Ctrl+Enter', event => (event.ctrlKey || event.metaKey) && event.key === 'Enter', 'accept', () => session.accept()],
  ];
}

export function listedShortcuts(list) {
  const rows = list.flatMap(([shown, , text]) => [element('dt', {}, element('kbd', {}, shown)), element('dd', {}, text)]);
  return element('details', { className: 'keys' }, element('summary', {}, 'Keyboard shortcuts'), element('dl', {}, ...rows));
}

// Lets the keys work; returns what ends that.
export function listen(list) {
  const onKey = event => {
    const { target } = event;
    if (target.closest?.('textarea, select, [contenteditable], input:not([type=checkbox]):not([type=range])')) return;
    if (event.key === 'Enter' && !event.ctrlKey && target.closest?.('button, a, summary')) return;
    const found = list.find(([, matches]) => matches(event));
    if (!found) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (!event.repeat) found[3](event);
  };
  window.addEventListener('keydown', onKey, true);
  return () => window.removeEventListener('keydown', onKey, true);
}
