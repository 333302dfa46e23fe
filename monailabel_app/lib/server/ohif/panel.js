// The panel in the viewer: opens the series of the active viewport, and shows the work on it.
import { AcceptedView, whose } from './accepted_view.js';
import { load } from './accepting.js';
import { CarryView } from './carry_view.js';
import { element } from './dom.js';
import { LabelMap, activeDisplaySet, sleep } from './label_map.js';
import { LibraryView } from './library_view.js';
import { RangeView } from './range_view.js';
import { prompting } from './prompt_tool.js';
import { Unreachable, presentVersion, serverState } from './server.js';
import { Session } from './session.js';
import { listedShortcuts, listen, shortcuts } from './shortcuts.js';
import { keep, kept } from './storage.js';
import { StructuresView } from './structures_view.js';
import { ToolsView } from './tools_view.js';

const KEPT_AFTER = 300; // ms since the last change
const WATCHED_EVERY = 500; // ms; the viewer does not tell of every tool and series that is chosen

// Puts the panel into a place of the viewer; returns what takes it away.
export function mountPanel(root, services, commandsManager) {
  const status = element('p', { className: 'status', role: 'status' }, 'Waiting for the series …');
  const body = element('div', { className: 'body' });
  const style = element('link', { rel: 'stylesheet', href: '/ohif/protoseg/panel.css' });
  root.replaceChildren(style, body, status);
  const place = { body, status, services, commandsManager };
  let shown = { close() {} };
  let displaySet = null;
  const watch = () => {
    const active = activeDisplaySet(services);
    if (!active || active === displaySet || !active.isReconstructable) return;
    displaySet = active;
    shown.close();
    shown = new Work(place, displaySet);
    shown.open().catch(error => say(status, error.message, 'bad'));
  };
  const timer = setInterval(watch, WATCHED_EVERY);
  watch();
  return () => {
    clearInterval(timer);
    shown.close();
  };
}

function say(status, text, kind) {
  status.textContent = text;
  status.classList.remove('info', 'good', 'bad'); // it may be busy all the same, as while a server that is away is asked again
  status.classList.add(kind);
}

// The work on one series, as long as the panel shows it.
class Work {
  constructor(place, displaySet) {
    Object.assign(this, place, { displaySet, ends: [], isOpen: true });
  }

  async open() {
    const series = this.displaySet.SeriesInstanceUID;
    const saved = await kept(series).catch(() => null); // a browser may refuse to keep anything
    const [{ labels, roles }, label] = await this.known(series);
    if (!this.isOpen) return;
    const labelMap = new LabelMap(this.services, this.displaySet);
    this.ends.push(() => labelMap.close());
    await labelMap.open(saved?.structures ?? []);
    if (!this.isOpen) return;
    const outdated = saved?.unchanged && label && label.version !== saved.drawnOn;
    const fits = saved?.voxels.length === labelMap.voxels.length && !outdated;
    const session = new Session(series, labelMap, fits ? saved : {});
    Object.assign(this, { session, roles });
    session.present = label;
    if (fits) labelMap.write(saved.voxels);
    session.offer(labels);
    const told = fits ? 'Your work on this series is here again.' : await this.begin(session, label);
    if (!this.isOpen) return;
    this.show(session);
    say(this.status, told, 'info');
  }

  // Begins with the label that is stored, if there is one; tells what to do next.
  async begin(session, label) {
    if (!label) return 'Choose a structure and click on it.';
    try {
      await load(session, label, true);
      return `This is the label by ${whose(label)}. Click where it is wrong.`;
    } catch (error) {
      return `The label by ${whose(label)} is not shown: ${error.message}`;
    }
  }

  // What the server knows: labels, the user's roles, and the label of the series that is stored.
  async known(series) {
    while (this.isOpen) {
      try {
        return await Promise.all([serverState(), presentVersion(series)]);
      } catch (error) {
        if (!(error instanceof Unreachable)) throw error;
        say(this.status, `${error.message} It is asked again.`, 'bad');
        await sleep(2000);
      }
    }
    return [{ labels: [], roles: [] }, null];
  }

  show(session) {
    const accepted = new AcceptedView(session);
    const carrying = new CarryView(session);
    const structures = new StructuresView(session);
    const tools = new ToolsView(session, this.services, this.commandsManager);
    tools.accept.hidden = !this.roles.includes('annotate');
    const range = new RangeView(session);
    const library = new LibraryView(session, this.roles.includes('manage'));
    const keys = shortcuts(session, tools);
    this.body.replaceChildren(accepted.root, carrying.root, structures.root, tools.root, range.root, library.root, listedShortcuts(keys));
    prompting.shown = () => session.structure()?.prompts ?? [];
    prompting.finished = prompt => session.prompt(prompt);
    session.addEventListener('change', () => {
      accepted.show();
      range.show();
      structures.show();
      tools.show();
      this.status.classList.toggle('busy', Boolean(session.busy));
      this.keepSoon();
    });
    session.addEventListener('message', ({ detail }) => say(this.status, detail.text, detail.kind));
    session.addEventListener('accepted', () => library.refresh());
    const timer = setInterval(() => tools.follow(), WATCHED_EVERY);
    this.ends.push(listen(keys), () => clearInterval(timer));
    tools.use('point');
  }

  keepSoon() {
    clearTimeout(this.timer);
    this.body.dataset.kept = 'no';
    this.timer = setTimeout(() => this.keep(), KEPT_AFTER);
  }

  async keep() {
    const { timer } = this;
    try {
      await keep(this.session.series, this.session.state());
      if (timer === this.timer) this.body.dataset.kept = 'yes'; // nothing was changed meanwhile
    } catch (error) {
      say(this.status, `This browser does not keep your work for a reload: ${error.message}`, 'bad');
    }
  }

  close() {
    this.isOpen = false;
    if (this.session) this.keep();
    clearTimeout(this.timer);
    prompting.shown = () => [];
    prompting.finished = () => {};
    this.ends.splice(0).forEach(end => end());
  }
}
