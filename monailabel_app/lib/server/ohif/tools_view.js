// Tools for the chosen structure: prompts, the viewer's brush and eraser, undo and redo, and the label's way out.
import { button, element, section } from './dom.js';
import { TOOL, prompting, redraw } from './prompt_tool.js';

const GROUPS = ['default', 'mpr']; // of the viewer's tools
const PROMPTS = { point: 'Point', box: 'Box', lasso: 'Lasso', scribble: 'Scribble' };
const BRUSHES = { CircularBrush: 'Brush', CircularEraser: 'Eraser' };
const KEYS = { point: 'P', box: 'B', lasso: 'L', scribble: 'S', CircularBrush: 'D', CircularEraser: 'E' };

export class ToolsView {
  constructor(session, services, commandsManager) {
    Object.assign(this, { session, services, commandsManager });
    this.tool = null;
    this.buttons = Object.entries({ ...PROMPTS, ...BRUSHES }).map(([tool, text]) =>
      button(text, `${text} (${KEYS[tool]})`, () => this.use(tool), { 'data-tool': tool }));
    this.signs = [[true, 'Include', 'What I mark is the structure (T)'], [false, 'Exclude', 'What I mark is not the structure (T)']].map(
      ([positive, text, title]) => button(text, title, () => this.sign(positive), { className: positive ? 'include' : 'exclude' }));
    this.size = element('input', { type: 'range', min: 1, max: 40, value: 10, oninput: () => this.resize(), 'aria-label': 'Size of the brush in mm' });
    this.sizeRow = element('label', { className: 'size' }, 'Size', this.size);
    this.live = element('input', { type: 'checkbox', checked: session.live, onchange: () => { session.live = this.live.checked; session.changed(); } });
    this.run = button('Run', 'Answer the prompts of this structure (Enter)', () => session.run());
    this.undo = button('Undo', 'Undo (Ctrl+Z)', () => session.undo());
    this.redo = button('Redo', 'Redo (Ctrl+Y)', () => session.redo());
    this.clear = button('Clear', 'Remove all prompts and labels of this series; undo brings them back', () => session.clear());
    this.accept = button('Accept: store the labels', 'Store them as DICOM SEG; other studies are segmented by them from now on', () => session.accept(), { className: 'primary accept', id: 'submit-label' });
    this.root = section('Tools',
      element('div', { className: 'segmented', role: 'group', 'aria-label': 'Meaning of prompts' }, ...this.signs),
      element('div', { className: 'tools', role: 'group', 'aria-label': 'Tool' }, ...this.buttons),
      this.sizeRow,
      element('div', { className: 'live' }, element('label', { title: 'Answer each prompt at once (A)' }, this.live, 'Live: answer each prompt'), this.run),
      element('div', { className: 'three' }, this.undo, this.redo, this.clear),
      this.accept);
    this.show();
  }

  show() {
    const { session } = this;
    for (const made of this.buttons) made.setAttribute('aria-pressed', String(made.dataset.tool === this.tool));
    this.signs.forEach((made, at) => made.setAttribute('aria-pressed', String(prompting.positive === (at === 0))));
    this.sizeRow.hidden = !(this.tool in BRUSHES);
    this.live.checked = session.live;
    this.run.hidden = session.live;
    this.undo.disabled = !session.history.done.length;
    this.redo.disabled = !session.history.undone.length;
    this.accept.disabled = Boolean(session.busy);
    redraw(this.services);
  }

  use(tool) {
    this.tool = tool;
    if (tool in PROMPTS) prompting.shape = tool;
    const toolName = tool in PROMPTS ? TOOL : tool;
    this.commandsManager.runCommand('setToolActiveToolbar', { toolName, toolGroupIds: GROUPS });
    if (tool in BRUSHES) this.resize();
    this.show();
  }

  sign(positive = !prompting.positive) {
    prompting.positive = positive;
    this.show();
  }

  resize() {
    const { setBrushSizeForToolGroup } = window.cornerstoneTools.utilities.segmentation;
    for (const group of GROUPS) setBrushSizeForToolGroup(group, Number(this.size.value));
  }

  // The viewer's own toolbar was used.
  follow() {
    const group = this.services.toolGroupService.getToolGroup();
    const active = group?.getActivePrimaryMouseButtonTool();
    const expected = this.tool in PROMPTS ? TOOL : this.tool;
    if (this.tool && active !== expected) {
      this.tool = active in BRUSHES ? active : null;
      this.show();
    }
  }
}
