// Elements of the panel. Whatever comes from elsewhere is put in as text or as a property, never as HTML.
import { element } from '/page/elements.js';

export { element };

export function button(text, title, onclick, properties = {}) {
  return element('button', { type: 'button', title, onclick, ...properties }, text);
}

export function section(title, ...children) {
  return element('section', {}, element('h3', {}, title), ...children);
}

export function hex(color) {
  return `#${color.map(part => part.toString(16).padStart(2, '0')).join('')}`;
}

export function rgb(text) {
  return [1, 3, 5].map(at => parseInt(text.slice(at, at + 2), 16));
}
