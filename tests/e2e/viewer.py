"""OHIF in a headless browser, driven as a user drives it."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Locator, Page, Response

__all__ = ["CHROMIUM_FLAGS", "Viewer"]

# Software rendering: there is no graphics card, and none is needed.
CHROMIUM_FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
CHROMIUM_FLAGS += ["--ignore-gpu-blocklist", "--disable-dev-shm-usage"]

PATIENCE = 300000  # ms; only a test that fails waits so long
VOLUME_LOADED = "() => [...cornerstone.cache._volumeCache.values()].some(v => (v.volume || v)?.loadStatus?.loaded)"
CONNECTED = "() => { try { return !!services.segmentationService.getLabelmapVolume('1') } catch { return false } }"
LABEL_MAP = """() => {
  const voxels = Uint8Array.from(services.segmentationService.getLabelmapVolume('1').voxelManager
    .getCompleteScalarDataArray());
  let text = '';
  for (let i = 0; i < voxels.length; i += 32768) text += String.fromCharCode(...voxels.subarray(i, i + 32768));
  const segments = Object.values(services.segmentationService.getSegmentation('1').segments);
  return [btoa(text), Object.fromEntries(segments.map(s => [s.label, s.segmentIndex]))];
}"""
VIEWPORT = (
    "services.cornerstoneViewportService.getCornerstoneViewport(services.viewportGridService.getActiveViewportId())"
)
LOADED = f"""description => services.segmentationService.getSegmentationRepresentations({VIEWPORT}.id)
  .some(shown => shown.label === description)"""
# Of a SEG that is loaded: the voxels of each slice by its SOPInstanceUID, and the labels with their voxels' values.
STORED_MASKS = """description => {
  const found = services.segmentationService.getSegmentations().find(s => s.label === description);
  const voxels = found.representationData.Labelmap.imageIds.map(id => {
    const image = cornerstone.cache.getImage(id);
    const slice = Uint8Array.from(image.voxelManager.getScalarData());
    return [image.referencedImageId.match(/instances\\/([0-9.]+)/)[1], btoa(String.fromCharCode(...slice))];
  });
  return [voxels, Object.values(found.segments).map(s => [s.label, s.segmentIndex])];
}"""
STORED_CONTOURS = """description => {
  const found = services.segmentationService.getSegmentations().find(s => s.label === description);
  const contours = [...found.representationData.Contour.annotationUIDsMap].map(([index, uids]) => [
    found.segments[index].label,
    [...uids].map(uid => cornerstoneTools.annotation.state.getAnnotation(uid).data.contour.polyline),
  ]);
  return Object.fromEntries(contours);
}"""
# Whether a slice is shown; turns to it where it is not. The viewer may drop a turn while it still draws or loads, and
# then neither the turn nor the drawing that it asked for ever ends: this is asked again and again, and awaits neither.
TURNED_TO = f"""index => {{
  const viewport = {VIEWPORT};
  if (!viewport) return false;
  const image = viewport.getCurrentImageId();
  if (viewport.getCurrentImageIdIndex() === index && image && cornerstone.cache.getImage(image)) return true;
  viewport.setImageIdIndex(index).catch(() => {{}});
  return false;
}}"""
# Shows the slice through a point (mm, LPS) in the axial viewport, and tells where on the page the point is.
SHOW = """point => {
  const viewport = services.cornerstoneViewportService.getCornerstoneViewport(
    services.viewportGridService.getActiveViewportId());
  viewport.jumpToWorld(point);
  const [x, y] = viewport.worldToCanvas(point);
  const corner = viewport.canvas.getBoundingClientRect();
  return [corner.x + x, corner.y + y];
}"""


class Viewer:
    """One study in OHIF: in the mode MONAI Label, or in the basic viewer.

    Args:
        page: browser page, 1500 x 900 pixels.
        address: of the app.
        screenshots: folder for pictures, or None.
    """

    def __init__(self, page: Page, address: str, screenshots: Path | None):
        self.page = page
        self.address = address
        self.screenshots = screenshots
        self.server_errors: list[str] = []
        page.route("**/fonts.googleapis.com/**", lambda route: route.abort())
        page.on("response", self._note)

    def _note(self, response: Response) -> None:
        if response.status >= 500:
            self.server_errors.append(f"{response.status} {response.url}")

    def open(self, patient: str) -> None:
        """Open a patient's study from the study list and connect to the app."""
        self.page.goto(f"{self.address}/ohif/", wait_until="domcontentloaded")
        self.page.get_by_text(patient).first.click(timeout=PATIENCE)
        self.page.get_by_role("button", name="MONAI Label").click()
        self.page.wait_for_function(VOLUME_LOADED, timeout=PATIENCE)
        hint = self.page.get_by_role("button", name="Confirm and Hide")
        if hint.is_visible():
            hint.click()
        self.page.locator(".settingsTable button.actionButton").click()
        self.page.wait_for_function(CONNECTED, timeout=PATIENCE)

    def open_study(self, study: str) -> None:
        """Open a study, by its UID, in the basic viewer."""
        self.page.goto(f"{self.address}/ohif/viewer?StudyInstanceUIDs={study}", wait_until="domcontentloaded")
        self.page.locator("[data-cy=panelSegmentation-btn]").click(timeout=PATIENCE)
        hint = self.page.get_by_role("button", name="Confirm and Hide")
        if hint.is_visible():
            hint.click()

    def load(self, description: str) -> None:
        """Load a SEG or RTSTRUCT series of the open study, by its description, over the series it belongs to."""
        series = self.page.locator("[data-cy=study-browser-thumbnail-no-image]", has_text=description)
        series.dblclick(timeout=PATIENCE)
        self.page.get_by_role("button", name="Yes").click(timeout=PATIENCE)
        self.page.wait_for_function(LOADED, arg=description, timeout=PATIENCE)

    def turn_to(self, index: int) -> None:
        """Show a slice of the series in the basic viewer."""
        self.page.wait_for_function(TURNED_TO, arg=index, polling=500, timeout=PATIENCE)

    def stored_masks(self, description: str) -> dict[str, dict[str, np.ndarray]]:
        """Return a loaded SEG: by label and SOPInstanceUID of the slice, bool (Y * X)."""
        voxels, segments = self.page.evaluate(STORED_MASKS, description)
        slices = {uid: np.frombuffer(base64.b64decode(text), np.uint8) for uid, text in voxels}
        return {label: {uid: slice_ == index for uid, slice_ in slices.items()} for label, index in segments}

    def stored_contours(self, description: str) -> dict[str, list[np.ndarray]]:
        """Return a loaded RTSTRUCT: by label, the corners (N, 3) of each contour in mm."""
        contours = self.page.evaluate(STORED_CONTOURS, description)
        return {label: [np.array(corners) for corners in lines] for label, lines in contours.items()}

    def auto_segment(self, model: str) -> Response:
        """Run a model in the panel Auto-Segmentation; return the server's answer."""
        return self._run(self._panel("Auto-Segmentation", model))

    def click(self, model: str, label: str, *points: Any) -> Response:
        """Click on points (mm, LPS) for a label, or for "background", in the panel Point Prompts, and run a model."""
        panel = self._panel("Point Prompts", model)
        panel.locator("tr.clickable-row", has_text=label).click()
        for point in points:
            x, y = self.page.evaluate(SHOW, [float(c) for c in point])
            self.page.wait_for_timeout(500)  # the viewport draws the slice, and then takes a click for it
            self.page.mouse.move(x, y)
            self.page.wait_for_timeout(200)
            self.page.mouse.click(x, y)
            self.page.wait_for_timeout(500)
        return self._run(panel)

    def label_map(self) -> dict[str, np.ndarray]:
        """Return what is drawn: by label, bool (Z, Y, X)."""
        voxels, indices = self.page.evaluate(LABEL_MAP)
        drawn = np.frombuffer(base64.b64decode(voxels), np.uint8)
        return {label: drawn == index for label, index in indices.items()}

    def take_picture(self, name: str) -> None:
        """Save a screenshot, if asked for."""
        if self.screenshots is not None:
            self.page.wait_for_timeout(2500)  # notifications fade
            self.page.screenshot(path=self.screenshots / f"{name}.png")

    def _panel(self, name: str, model: str) -> Locator:
        """Unfold a panel and choose a model in it, if that has not been done."""
        panel = self.page.locator("div.tab", has=self.page.locator("label", has_text=name))
        if not panel.locator("input.tab-switch").is_checked():
            panel.locator("label.tab-label").click()
        if panel.locator("select.selectBox").input_value() != model:
            panel.locator("select.selectBox").select_option(model)
        return panel

    def _run(self, panel: Locator) -> Response:
        with self.page.expect_response(lambda r: "/infer/" in r.url, timeout=PATIENCE) as response:
            panel.locator("button.actionButton").click()
        response.value.finished()
        self.page.wait_for_timeout(1000)  # the viewer copies the answer into its label map
        return response.value
