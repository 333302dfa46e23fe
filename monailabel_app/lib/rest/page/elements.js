// Elements of the page. Names of studies, labels and users are put in as text alone, never as HTML.

// Makes an element of the page, or of the panel in OHIF.
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter(child => child !== null));
  return made;
}

export function when(text) {
  if (!text) return '';
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? text : time.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
}

export function slicesOf(count) {
  return count === 1 ? '1 slice' : `${count} slices`;
}

export function labelChip(label, note = '') {
  const swatch = element('i');
  swatch.style.backgroundColor = `rgb(${label.color.map(Number).join(',')})`;
  return element('span', { className: 'label' }, swatch, label.name, note ? element('small', {}, note) : null);
}

// Puts new items in the place of old ones, but leaves alone what has not changed, so that focus and pictures stay.
export function show(list, items, make) {
  const old = new Map([...list.children].map(child => [child.dataset.key, child]));
  const focused = document.activeElement;
  const place = focused && list.contains(focused)
    ? [focused.closest('[data-key]').dataset.key, focused.dataset.action] : null;
  const children = items.map(item => {
    const content = JSON.stringify(item);
    const kept = old.get(item.id);
    if (kept && kept.dataset.content === content) return kept;
    const made = make(item);
    made.dataset.key = item.id;
    made.dataset.content = content;
    return made;
  });
  if (children.length !== list.children.length || children.some((child, i) => child !== list.children[i])) {
    list.replaceChildren(...children);
    if (place) {
      const again = children.find(child => child.dataset.key === place[0]);
      const control = again && [...again.querySelectorAll('[data-action]')].find(c => c.dataset.action === place[1]);
      if (control) control.focus();
    }
  }
}
