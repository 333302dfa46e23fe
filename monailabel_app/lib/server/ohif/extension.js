// The extension that the viewer loads at run time: a tool to set prompts with, and the panel.
import { mountPanel } from './panel.js';
import { promptTool } from './prompt_tool.js';

// What React takes for an element: the viewer does not share React, and the panel needs no more of it than a place.
function place(mount) {
  return {
    $$typeof: Symbol.for('react.element'), type: 'div', key: null, ref: mount, props: { className: 'protoseg' }, _owner: null,
  };
}

export default {
  id: 'protoseg',
  preRegistration() {
    window.cornerstoneTools.addTool(promptTool(window.cornerstone, window.cornerstoneTools));
  },
  getPanelModule({ servicesManager, commandsManager }) {
    let unmount = () => {};
    const mount = root => {
      unmount();
      unmount = root ? mountPanel(root, servicesManager.services, commandsManager) : () => {};
    };
    const component = () => place(mount);
    return [{ name: 'protoseg', iconName: 'tab-segmentation', iconLabel: 'protoseg', label: 'protoseg', component }];
  },
};
