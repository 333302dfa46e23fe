"""The app's own panel in OHIF, used as a user uses it."""

import base64
import json
from typing import Any

import numpy as np
from playwright.sync_api import Locator, Page, Response
from viewer import PATIENCE, SHOW, Viewer

__all__ = ["Panel", "sent"]

READY = "() => document.querySelector('.protoseg .structures') !== null"
LABEL_MAP = """() => {
  const { segmentationService: service, viewportGridService: grid } = services;
  const ours = service.getActiveSegmentation(grid.getActiveViewportId());
  const { segmentationId: id, segments } = ours;
  const voxels = Uint8Array.from(service.getLabelmapVolume(id).voxelManager.getCompleteScalarDataArray());
  let text = '';
  for (let i = 0; i < voxels.length; i += 32768) text += String.fromCharCode(...voxels.subarray(i, i + 32768));
  return [btoa(text), Object.fromEntries(Object.values(segments).map(s => [s.label, s.segmentIndex]))];
}"""
IDLE = "() => !document.querySelector('.protoseg .status.busy')"
KEPT = "() => document.querySelector('.protoseg .body').dataset.kept === 'yes'"


class Panel:
    """The panel over one study.

    Args:
        viewer: the browser with OHIF.
    """

    def __init__(self, viewer: Viewer):
        self.viewer = viewer
        self.page: Page = viewer.page
        self.root = self.page.locator(".protoseg")
        self.status = self.root.locator(".status")
        self.accepted = self.root.locator(".accepted")

    def open(self, patient: str) -> None:
        """Open a patient's study from the study list."""
        self.page.goto(f"{self.viewer.address}/ohif/", wait_until="domcontentloaded")
        self.page.get_by_text(patient).first.click(timeout=PATIENCE)
        self.page.get_by_role("button", name="protoseg").click(timeout=PATIENCE)
        self.wait()

    def reload(self) -> None:
        """Load the page again."""
        self.page.reload(wait_until="domcontentloaded")
        self.wait()

    def wait(self) -> None:
        """Wait for the panel, whose structures come when the series is loaded."""
        self.page.wait_for_function(READY, timeout=PATIENCE)
        hint = self.page.get_by_role("button", name="Confirm and Hide")
        if hint.is_visible():
            hint.click()

    def button(self, name: str) -> Locator:
        """Find a button by its text."""
        return self.root.get_by_role("button", name=name, exact=True)

    def structure(self, name: str) -> Locator:
        """Find the row of a structure."""
        return self.root.locator(f'.structure[data-name="{name}"]')

    def structures(self) -> list[str]:
        """List the structures."""
        return self.root.locator(".structure .name").all_text_contents()

    def choose(self, name: str) -> None:
        """Choose a structure."""
        self.structure(name).locator(".name").click()

    def point(self, point: Any) -> None:
        """Click on a point (mm, LPS) with the tool that is chosen."""
        x, y = self.show(point)
        self.page.mouse.click(x, y)

    def drag(self, *points: Any) -> None:
        """Draw from point to point (mm, LPS), all in one slice, with the tool that is chosen."""
        self.show(points[0])
        places = [self.page.evaluate(SHOW, [float(c) for c in point]) for point in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=4)
        self.page.mouse.up()

    def show(self, point: Any) -> tuple[float, float]:
        """Turn to the slice of a point (mm, LPS) and say where on the page that is, with the mouse there."""
        x, y = self.page.evaluate(SHOW, [float(c) for c in point])
        self.page.wait_for_timeout(300)  # the viewport draws the slice, and then takes a click for it
        self.page.mouse.move(x, y)
        self.page.wait_for_timeout(100)
        return x, y

    def answered(self, act: Any) -> Response:
        """Do something that the server answers with a segmentation, and wait until that is in the label map."""
        with self.page.expect_response(lambda r: "/infer/" in r.url, timeout=PATIENCE) as response:
            act()
        self.page.wait_for_function(IDLE, timeout=PATIENCE)
        return response.value

    def accept(self) -> Response:
        """Press the button Accept."""
        with self.page.expect_response(lambda r: "/datastore/label" in r.url, timeout=PATIENCE) as response:
            self.page.locator("#submit-label").click()
        self.page.wait_for_function(IDLE, timeout=PATIENCE)
        return response.value

    def label_map(self) -> dict[str, np.ndarray]:
        """Return what is segmented: by structure, bool (Z * Y * X)."""
        voxels, indices = self.page.evaluate(LABEL_MAP)
        values = np.frombuffer(base64.b64decode(voxels), np.uint8)
        return {label: values == index for label, index in indices.items()}

    def keep(self) -> None:
        """Wait until the work is kept in the browser."""
        self.page.wait_for_function(KEPT, timeout=PATIENCE)


def sent(response: Response) -> dict[str, Any]:
    """Return the options that the panel sent with a request."""
    body = response.request.post_data_buffer.decode("latin-1")
    return json.loads(body[body.index("{") : body.index("\r\n", body.index("{"))])
