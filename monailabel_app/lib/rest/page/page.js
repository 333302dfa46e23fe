// The server's page.
import { element, labelChip, show, slicesOf, when } from './elements.js';

const STATUS_EVERY = 4000; // ms
const LIBRARY_EVERY = 10000;
const SETTLED = 600; // ms after the last step of a slider
const byId = id => document.getElementById(id);
let library = null; // until it is known
let lastStatus = null;
let manages = false; // whether the user may change the library

async function ask(path, options = {}) {
  const response = await fetch(path, options);
  const type = response.headers.get('content-type') || '';
  const answer = type.includes('json') ? await response.json() : null;
  if (response.ok) return answer;
  const detail = answer && answer.detail;
  throw new Error(typeof detail === 'string' ? detail : `The server answered ${response.status}.`);
}

function say(text, bad = false) {
  byId('message-text').textContent = text;
  byId('message').classList.toggle('bad', bad);
  byId('message').hidden = false;
  clearTimeout(say.timer);
  if (!bad) say.timer = setTimeout(() => { byId('message').hidden = true; }, 6000);
}

function exampleCard(example) {
  const imported = example.provenance.kind === 'import';
  const picture = element('div', { className: 'picture' });
  if (example.thumbnail) {
    const names = example.labels.map(label => label.name).join(', ');
    picture.append(element('img', {
      src: example.thumbnail.slice(1), alt: `Slice of ${example.study} with ${names}`, loading: 'lazy', width: 256, height: 256,
    }));
  } else {
    picture.append('no picture');
  }
  if (!example.enabled) picture.append(element('span', { className: 'badge' }, 'Off'));
  else if (imported) picture.append(element('span', { className: 'badge' }, 'Imported'));

  const labels = element('div', { className: 'labels' });
  labels.append(...example.labels.map(label => labelChip(label, slicesOf(label.slices.length))));
  const who = example.by === 'unknown' ? when(example.at) : [example.by, when(example.at)].filter(Boolean).join(', ');
  const serving = example.enabled && !example.problem
    ? `${example.serving_slices.length} of ${slicesOf(example.slices.length)} in use` : `${slicesOf(example.slices.length)}`;
  const about = element('div', { className: 'about' },
    element('h3', {}, example.patient || example.study), labels,
    element('p', {}, example.slices.length ? `${example.plane}, ${serving}` : ''),
    element('p', {}, who),
    example.problem ? element('p', { className: 'problem' }, `Not used: ${example.problem}`) : null,
    ...example.labels.filter(label => label.doubt).map(label => element('p', { className: 'problem doubt' }, `Check ${label.name}: it ${label.doubt}.`)));
  if (example.patient) about.append(element('p', { className: 'series' }, `series ${example.study}`));
  const study = example.provenance.StudyInstanceUID;
  if (study && !imported) {
    const link = element('a', { href: `ohif/viewer?StudyInstanceUIDs=${encodeURIComponent(study)}` }, 'Open in OHIF');
    link.setAttribute('aria-label', `Open ${example.patient || example.study} in OHIF`);
    about.append(element('p', {}, link));
  }
  if (imported && example.provenance.imported_at) {
    about.append(element('p', {}, `imported ${when(example.provenance.imported_at)}`));
  }

  return element('li', { className: example.enabled ? 'card' : 'card off' }, picture, about,
    manages ? controlsOf(example) : element('p', { className: 'controls muted' }, stateOf(example)));
}

function stateOf(example) {
  return example.enabled ? `On${example.weight === 1 ? '' : `, weight ${example.weight}`}` : 'Off';
}

function controlsOf(example) {
  const box = element('input', { type: 'checkbox', role: 'switch', checked: example.enabled });
  box.dataset.action = 'switch';
  box.setAttribute('aria-label', `Use ${example.study}`);
  box.onchange = () => change(box, `library/examples/${example.id}`, {
    method: 'PATCH', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ enabled: box.checked }),
  }, `${example.study} is ${box.checked ? 'on: it is used from now on' : 'off: it is no longer used'}.`);
  const remove = element('button', { type: 'button', className: 'text' }, 'Delete');
  remove.dataset.action = 'delete';
  remove.setAttribute('aria-label', `Delete ${example.study}`);
  remove.onclick = () => confirmRemoval(example);
  const weight = element('input', { type: 'range', min: 0, max: 1, step: 0.05, value: example.weight, title: 'How much its votes count' });
  weight.dataset.action = 'weight';
  weight.setAttribute('aria-label', `Weight of ${example.study}`);
  const shown = element('output', {}, String(example.weight));
  weight.oninput = () => { shown.textContent = weight.value; };
  let timer; // keys change it step by step, and what is sent makes the card anew
  weight.onchange = () => {
    clearTimeout(timer);
    timer = setTimeout(() => change(weight, `library/examples/${example.id}`, {
      method: 'PATCH', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ weight: Number(weight.value) }),
    }, `${example.study} weighs ${weight.value} from now on.`), SETTLED);
  };
  return element('div', { className: 'controls' },
    element('label', { className: 'switch' }, box, example.enabled ? 'On' : 'Off'),
    element('label', { className: 'weight' }, 'Weight', weight, shown), remove);
}

function removalRow(removal) {
  const restore = element('button', { type: 'button' }, 'Restore');
  restore.dataset.action = 'restore';
  restore.setAttribute('aria-label', `Restore ${removal.study}`);
  restore.onclick = () => change(restore, `library/removed/${removal.id}/restore`, { method: 'POST' },
    `${removal.study} is restored.`);
  const by = removal.by === 'unknown' ? '' : ` by ${removal.by}`;
  restore.hidden = !manages;
  return element('li', {}, element('div', {},
    element('strong', {}, removal.study), ` ${removal.labels.join(', ')}`,
    element('p', { className: 'muted' }, `Deleted ${when(removal.at)}${by}. ${removal.kept}`)), restore);
}

async function change(control, path, options, done) {
  if (control.dataset.busy) { // not disabled meanwhile: that would take the focus from it
    if (control.type === 'checkbox') control.checked = !control.checked;
    return;
  }
  control.dataset.busy = 'yes';
  try {
    await ask(path, options);
    say(done);
  } catch (error) {
    say(error.message, true);
    if (control.type === 'checkbox') control.checked = !control.checked;
  } finally {
    delete control.dataset.busy;
    await refreshLibrary();
    refreshStatus();
  }
}

function confirmRemoval(example) {
  const dialog = byId('confirm');
  byId('confirm-text').textContent =
    `${example.study} (${example.labels.map(label => label.name).join(', ') || 'no labels'}) leaves the library and is no longer used.`;
  byId('confirm-kept').textContent = lastStatus && lastStatus.ohif && example.provenance.kind === 'study'
    ? 'Its DICOM SEG stays on the DICOM server and is passed over. You can restore it.'
    : 'What was submitted is kept in the app’s folder. You can restore it.';
  byId('confirm-yes').onclick = async () => {
    dialog.close();
    await change(byId('confirm-yes'), `library/examples/${example.id}`, { method: 'DELETE' },
      `${example.study} is deleted. Restore it under “Deleted”.`);
    byId('library').focus();
  };
  byId('confirm-no').onclick = () => dialog.close();
  dialog.showModal();
  byId('confirm-no').focus();
}

function matches(example, words) {
  const text = [example.study, example.patient, example.by, ...example.labels.map(label => label.name)].join(' ').toLowerCase();
  return words.every(word => text.includes(word));
}

function showLibrary() {
  if (!library) return;
  const words = byId('filter').value.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = library.examples.filter(example => matches(example, words));
  const on = library.examples.filter(example => example.enabled && !example.problem).length;
  show(byId('examples'), shown.map(example => ({ ...example, manages })), exampleCard); // made anew when that changes
  show(byId('removals'), library.removed.map(removal => ({ ...removal, manages })), removalRow);
  byId('count').textContent = library.examples.length ? `${library.examples.length} examples, ${on} in use` : '';
  byId('empty').hidden = library.examples.length > 0;
  byId('removed').hidden = library.removed.length === 0;
  byId('removed-count').textContent = library.removed.length;
}

async function refreshLibrary() {
  try {
    library = await ask('library/');
    showLibrary();
  } catch (error) {
    say(`The library cannot be listed: ${error.message}`, true);
  }
}

function fact(name, value, more = '') {
  return element('div', {}, element('dt', {}, name), element('dd', {}, value, more ? element('small', {}, more) : null));
}

function jobRow(job) {
  const times = job.ended ? `${when(job.started)}, ended ${when(job.ended)}` : `since ${when(job.started)}`;
  const running = job.state === 'running' && job.progress !== null;
  return element('li', {},
    element('div', {}, element('strong', {}, job.kind),
      element('p', { className: 'muted' }, [times, job.message].filter(Boolean).join('. '))),
    running ? element('progress', { max: 1, value: job.progress, 'aria-label': `Progress of the ${job.kind}` }) : null,
    element('span', { className: `job ${job.state}` },
      running ? `${Math.round(100 * job.progress)} %` : job.state));
}

function showStatus(status) {
  const [device, ...more] = status.device.split(', ');
  byId('state').textContent = status.problem ? 'the studies cannot be reached' : 'running';
  byId('state').className = `pill ${status.problem ? 'bad' : 'good'}`;
  byId('facts').replaceChildren(
    fact('Studies', String(status.images), `${status.labelled} labelled, ${status.studies}`),
    fact('Weights', status.weights.slice(0, 8), status.adapted ? 'adapted to these studies' : 'as shipped'),
    fact('Device', device, more.join(', ')),
    fact('Version', status.version));
  byId('facts').querySelectorAll('dd')[1].title = status.weights;
  byId('labels').replaceChildren(...status.labels.map(label => labelChip(label)));
  manages = status.roles.includes('manage');
  byId('import').hidden = !manages;
  byId('looks').hidden = manages;
  showLibrary();
  const jobs = status.jobs.map((job, i) => ({ ...job, id: `${i}` }));
  show(byId('jobs'), jobs.length ? jobs : [{ id: 'none' }],
    job => (job.kind ? jobRow(job) : element('li', { className: 'muted' }, 'No training or batch inference yet.')));
  byId('ohif').hidden = !status.ohif;
  const open = status.ohif ? element('a', { className: 'button', href: 'ohif/' }, 'Open') : null;
  byId('ohif-row').replaceChildren(element('div', {}, element('strong', {}, 'OHIF'), element('p', { className: 'muted' },
    status.ohif ? 'In the browser: open a study, press MONAI Label.' : 'Needs the studies on a DICOMweb server.')), ...(open ? [open] : []));
  byId('who').textContent = status.user === 'unknown' ? '' : `You are ${status.user}.`;
}

async function refreshStatus() {
  try {
    const status = await ask('status/');
    if (JSON.stringify(status) !== JSON.stringify(lastStatus)) showStatus(status);
    lastStatus = status;
  } catch (error) {
    lastStatus = null;
    byId('state').textContent = 'not reachable';
    byId('state').className = 'pill bad';
  }
}

async function importArchive(file) {
  const form = new FormData();
  form.append('file', file);
  byId('import').disabled = true;
  byId('import').textContent = 'Importing …';
  try {
    const answer = await ask('library/import', { method: 'POST', body: form });
    const there = answer.already_there.length;
    say(`${answer.imported.length} imported${there ? `, ${there} were there already` : ''}.`);
  } catch (error) {
    say(error.message, true);
  } finally {
    byId('import').disabled = false;
    byId('import').textContent = 'Import …';
    byId('archive').value = '';
    await refreshLibrary();
    refreshStatus();
  }
}

function whenVisible(task, every) {
  setInterval(() => { if (!document.hidden) task(); }, every);
}

byId('address').textContent = new URL('.', location.href).href.replace(/\/$/, '');
byId('copy').onclick = async () => {
  try {
    await navigator.clipboard.writeText(byId('address').textContent);
    say('The address is copied.');
  } catch (error) {
    getSelection().selectAllChildren(byId('address'));
    say('Press Ctrl-C to copy the address.');
  }
};
byId('import').onclick = () => byId('archive').click();
byId('archive').onchange = () => { if (byId('archive').files.length) importArchive(byId('archive').files[0]); };
byId('filter').oninput = showLibrary;
byId('message-close').onclick = () => { byId('message').hidden = true; };
document.addEventListener('visibilitychange', () => { if (!document.hidden) { refreshStatus(); refreshLibrary(); } });
refreshStatus().finally(refreshLibrary); // what the user may do decides how examples are shown
whenVisible(refreshStatus, STATUS_EVERY);
whenVisible(refreshLibrary, LIBRARY_EVERY);
