// The label map that the viewer shows over a series, and its segments.
import { difference } from './changes.js';

const FORWARD = [1, -1, -1]; // along x, y and z (LPS), the way in which the viewer counts slices
const SETTLED = 250; // ms after the last stroke of a brush

export function sleep(ms) {
  return new Promise(resolve => { setTimeout(resolve, ms); });
}

// The display set of the active viewport, or null.
export function activeDisplaySet({ viewportGridService, displaySetService }) {
  const { viewports, activeViewportId } = viewportGridService.getState();
  const [shown] = viewports.get(activeViewportId)?.displaySetInstanceUIDs ?? [];
  return (shown && displaySetService.getDisplaySetByUID(shown)) || null;
}

export class LabelMap {
  // onStroke takes the difference that the viewer's own brush or eraser made.
  constructor(services, displaySet, onStroke) {
    this.services = services;
    this.displaySet = displaySet;
    this.id = `protoseg-${displaySet.SeriesInstanceUID}`;
    this.onStroke = onStroke;
    this.listener = ({ detail }) => { if (detail.segmentationId === this.id && !this.writing) this.strokes(); };
  }

  // Waits for the series, and lays an empty label map over it unless there is one.
  async open(segments) {
    const { segmentationService, viewportGridService } = this.services;
    while (!this.closed && !this.image()) await sleep(200);
    if (this.closed) return;
    if (!segmentationService.getSegmentation(this.id)) {
      const named = Object.fromEntries(segments.map(({ index, name }) => [index, { segmentIndex: index, label: name }]));
      const options = { segmentationId: this.id, segments: named, label: 'protoseg' };
      await segmentationService.createLabelmapForDisplaySet(this.displaySet, options);
    }
    for (const id of this.viewports()) {
      if (!segmentationService.getSegmentationRepresentations(id, { segmentationId: this.id }).length) {
        await segmentationService.addSegmentationRepresentation(id, { segmentationId: this.id, type: 'Labelmap' });
      }
    }
    segmentationService.setActiveSegmentation(viewportGridService.getActiveViewportId(), this.id);
    while (!this.closed && !segmentationService.getLabelmapVolume(this.id)) await sleep(100);
    if (this.closed) return;
    this.voxels = this.read();
    window.cornerstone.eventTarget.addEventListener(this.event(), this.listener);
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    window.cornerstone.eventTarget.removeEventListener(this.event(), this.listener);
  }

  event() {
    return window.cornerstoneTools.Enums.Events.SEGMENTATION_DATA_MODIFIED;
  }

  // Viewports that show the series as a volume.
  viewports() {
    const { viewportGridService, cornerstoneViewportService } = this.services;
    const shown = [...viewportGridService.getState().viewports.values()];
    return shown
      .filter(({ displaySetInstanceUIDs: uids }) => uids?.includes(this.displaySet.displaySetInstanceUID))
      .map(({ viewportId }) => viewportId)
      .filter(id => cornerstoneViewportService.getCornerstoneViewport(id)?.getImageData());
  }

  // The series as a volume that is loaded, or undefined.
  image() {
    const volumes = [...window.cornerstone.cache._volumeCache.values()].map(({ volume }) => volume);
    const uid = this.displaySet.displaySetInstanceUID;
    return volumes.find(volume => volume?.volumeId.endsWith(uid) && volume.loadStatus?.loaded && this.viewports().length);
  }

  // How places of the series become voxels.
  geometry() {
    const { imageData, spacing, dimensions } = this.image();
    return { toIndex: point => [...imageData.worldToIndex(point)], spacing, shape: dimensions };
  }

  // The number that the viewer shows for a slice: it counts from the head, the front or the right.
  number(slice) {
    const along = [...this.image().imageData.getDirection()].slice(6);
    const axis = along.reduce((most, part, at) => (Math.abs(part) > Math.abs(along[most]) ? at : most), 0);
    const count = this.geometry().shape[2];
    return along[axis] * FORWARD[axis] < 0 ? count - slice : slice + 1;
  }

  // The slice that the active viewport is at.
  shownSlice() {
    const { viewportGridService, cornerstoneViewportService } = this.services;
    const viewport = cornerstoneViewportService.getCornerstoneViewport(viewportGridService.getActiveViewportId());
    return Math.round(this.geometry().toIndex(viewport.getCamera().focalPoint)[2]);
  }

  read() {
    const { voxelManager } = this.services.segmentationService.getLabelmapVolume(this.id);
    return Uint8Array.from(voxelManager.getCompleteScalarDataArray());
  }

  // Shows these voxels.
  write(voxels) {
    this.voxels = voxels;
    this.services.segmentationService.getLabelmapVolume(this.id).voxelManager.setCompleteScalarDataArray(voxels.slice());
    this.writing = true;
    window.cornerstone.triggerEvent(window.cornerstone.eventTarget, this.event(), { segmentationId: this.id });
    this.writing = false;
  }

  strokes() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.settle(), SETTLED);
  }

  // Takes over what the viewer's own tools changed.
  settle() {
    clearTimeout(this.timer);
    const now = this.read();
    const change = difference(this.voxels, now);
    if (!change.indices.length) return;
    this.voxels = now;
    this.onStroke(change);
  }

  // Millilitres by segment.
  volumes() {
    const counts = new Uint32Array(256);
    for (const value of this.voxels) counts[value] += 1;
    const [x, y, z] = this.image().spacing;
    return Array.from(counts, count => (count * x * y * z) / 1000);
  }

  // Makes the viewer's segments those of the structures.
  show(structures, chosen, hidden) {
    const { segmentationService: service } = this.services;
    const found = service.getSegmentation(this.id).segments;
    const wanted = new Map(structures.map(structure => [structure.index, structure]));
    for (const index of Object.keys(found).map(Number)) {
      if (!wanted.has(index)) service.removeSegment(this.id, index);
    }
    for (const { index, name, color } of structures) {
      if (!found[index]) service.addSegment(this.id, { segmentIndex: index, label: name });
      else if (found[index].label !== name) service.setSegmentLabel(this.id, index, name);
      for (const viewport of this.viewports()) {
        service.setSegmentColor(viewport, this.id, index, [...color, 255]);
        service.setSegmentVisibility(viewport, this.id, index, !hidden.has(index), 'Labelmap');
      }
    }
    if (chosen) service.setActiveSegment(this.id, chosen.index);
  }
}
