// A tool of the viewer: points, boxes, lassos and scribbles are drawn with it, and it shows those of the structure.
export const TOOL = 'ProtosegPrompt';
const COLORS = { true: 'rgb(74, 222, 128)', false: 'rgb(255, 107, 107)' }; // of what is to be in, and of what is not
const CLOSED = ['box', 'lasso'];

// What the panel and the instances of the tool share.
export const prompting = {
  shape: 'point',
  positive: true,
  shown: () => [], // prompts of the chosen structure
  finished: () => {}, // takes a prompt that was just drawn
};

export function redraw(services) {
  const ids = [...services.viewportGridService.getState().viewports.keys()];
  window.cornerstoneTools.utilities.triggerAnnotationRenderForViewportIds(ids);
}

export function promptTool(cornerstone, { BaseTool, drawing }) {
  class PromptTool extends BaseTool {
    drawn = null; // points of the canvas, while the button is down

    preMouseDownCallback = ({ detail }) => {
      this.drawn = [detail.currentPoints.canvas];
      return true;
    };

    mouseDragCallback = ({ detail }) => {
      if (!this.drawn || prompting.shape === 'point') return;
      const { canvas } = detail.currentPoints;
      if (prompting.shape === 'box') this.drawn = [this.drawn[0], canvas];
      else this.drawn.push(canvas);
      const { viewport } = cornerstone.getEnabledElement(detail.element);
      window.cornerstoneTools.utilities.triggerAnnotationRenderForViewportIds([viewport.id]);
    };

    mouseUpCallback = ({ detail }) => this.finish(detail);

    mouseClickCallback = ({ detail }) => this.finish(detail); // what the viewer calls a quick one

    finish(detail) {
      if (!this.drawn) return;
      const { viewport } = cornerstone.getEnabledElement(detail.element);
      const points = this.outline().map(point => [...viewport.canvasToWorld(point)]);
      const shape = points.length > 1 ? prompting.shape : 'point';
      this.drawn = null;
      prompting.finished({ shape, positive: prompting.positive, points });
    }

    outline() {
      if (prompting.shape !== 'box' || this.drawn.length < 2) return this.drawn;
      const [[left, top], [right, bottom]] = this.drawn;
      return [[left, top], [right, top], [right, bottom], [left, bottom]];
    }

    renderAnnotation(enabledElement, svg) {
      const { viewport } = enabledElement;
      const passes = slicePassesThrough(cornerstone, viewport);
      const prompts = passes ? prompting.shown().filter(prompt => passes(prompt.points[0])) : [];
      prompts.forEach((prompt, number) => {
        const points = prompt.points.map(point => viewport.worldToCanvas(point));
        drawPrompt(drawing, svg, `protoseg-${number}`, { ...prompt, points });
      });
      if (this.drawn) {
        const { shape, positive } = prompting;
        drawPrompt(drawing, svg, 'protoseg-drawn', { shape, positive, points: this.outline() });
      }
      return prompts.length > 0;
    }
  }
  PromptTool.toolName = TOOL;
  return PromptTool;
}

function drawPrompt(drawing, svg, name, { shape, positive, points }) {
  const color = COLORS[positive];
  if (shape === 'point') {
    drawing.drawHandles(svg, name, 'point', points, { color, handleRadius: 5, lineWidth: 2, fill: color, opacity: 0.6 });
  } else {
    const line = CLOSED.includes(shape) ? [...points, points[0]] : points;
    drawing.drawPolyline(svg, name, 'line', line, { color, lineWidth: 2, lineDash: positive ? undefined : '5,4' });
  }
}

// Tells which points (world) lie in the slice that a viewport shows; null while it shows none.
function slicePassesThrough(cornerstone, viewport) {
  const image = viewport.getImageData();
  if (!image) return null;
  const { viewPlaneNormal, focalPoint } = viewport.getCamera();
  const thickness = cornerstone.utilities.getSpacingInNormalDirection(image, viewPlaneNormal);
  return point => {
    const distance = point.reduce((sum, place, axis) => sum + (place - focalPoint[axis]) * viewPlaneNormal[axis], 0);
    return Math.abs(distance) <= thickness / 2;
  };
}
