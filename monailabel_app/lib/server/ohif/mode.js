// The mode "protoseg" of the study list: the viewer's mode for segmentation with our panel, and three planes at once.
import { TOOL } from './prompt_tool.js';

const GROUPS = ['default', 'mpr']; // of tools, for single slices and for planes of a volume

export default {
  id: 'protoseg-mode',
  async modeFactory({ loadModules }) {
    const [{ modeFactory }] = await loadModules(['@ohif/mode-segmentation']);
    const base = modeFactory({ modeConfiguration: {} });
    const [route] = base.routes;
    return {
      ...base,
      id: 'protoseg-mode',
      routeName: 'protoseg',
      displayName: 'protoseg',
      onModeEnter(managers) {
        base.onModeEnter(managers);
        const { toolGroupService } = managers.servicesManager.services;
        for (const group of GROUPS) toolGroupService.addToolsToToolGroup(group, { passive: [{ toolName: TOOL }] });
      },
      routes: [{
        path: 'protoseg',
        layoutTemplate(options) {
          const layout = route.layoutTemplate(options);
          return { ...layout, props: { ...layout.props, rightPanels: ['protoseg.panelModule.protoseg'] } };
        },
      }],
      hangingProtocol: 'primaryAxial',
    };
  },
};
