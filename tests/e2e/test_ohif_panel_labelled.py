"""Studies that are labelled, in the app's own panel in OHIF: by oneself, by others, in another series.

The tests are one story, in order.
"""

import json
import re

import numpy as np
import pytest
import requests
from panel import Panel, sent
from playwright.sync_api import expect
from scans import LABELLED, ground_truth, middle, series_of, write_second_series


@pytest.fixture(scope="module")
def panel(viewer) -> Panel:
    return Panel(viewer)


def submit(chain, image, by, **labels):
    """Submit a label map (Z, Y, X) of masks by name, as somebody."""
    voxels = np.zeros(next(iter(labels.values())).shape, np.uint8)
    for value, mask in enumerate(labels.values(), start=1):
        voxels[mask] = value
    names = [{"name": name, "idx": value} for value, name in enumerate(labels, start=1)]
    requests.put(
        f"{chain.app}/datastore/label",
        params={"image": image},
        data={"params": json.dumps({"label_info": names})},
        files={"label": ("labels.bin", voxels.tobytes())},
        headers={"X-Remote-User": by},
        timeout=60,
    ).raise_for_status()


def stored_label(chain, image):
    """Who accepted the label of a series, and its voxels by name."""
    address = f"{chain.app}/sessions/submits"
    label = requests.get(address, params={"image": image}, timeout=60).json()["versions"][0]
    sent = requests.get(f"{address}/{label['version']}/voxels", params={"image": image}, timeout=60).content
    voxels = np.frombuffer(sent, np.uint8)
    return label["by"], {name: voxels == value for name, value in label["values"].items()}


def assert_shown(panel, labels):
    """Compare what the panel shows with masks by name; other structures are empty."""
    for name, mask in panel.label_map().items():
        np.testing.assert_array_equal(mask, labels[name].ravel() if name in labels else False, err_msg=name)


@pytest.fixture(scope="module")
def labelled(chain):
    """Name of the series of a study that came labelled, and its label."""
    scan = next(s for s in series_of(chain, "test_000") if s["MainDicomTags"]["Modality"] == "CT")
    organs = {organ: ground_truth(chain, "test_000", organ)[0] for organ in LABELLED}
    return scan["MainDicomTags"]["SeriesInstanceUID"], organs


def test_a_labelled_study_begins_with_its_label(panel, labelled):
    panel.open("test_000")
    assert_shown(panel, labelled[1])
    expect(panel.accepted).to_contain_text("Accepted by an unnamed user")
    expect(panel.button("Undo")).to_be_disabled()
    panel.viewer.take_picture("ohif_panel_labelled")


def test_answers_and_accepted_labels_keep_to_a_range_of_slices(chain, panel, labelled):
    image, organs = labelled
    _, affine = ground_truth(chain, "test_000", "liver")
    point = middle(organs["liver"], affine)
    z = int(organs["liver"].sum((1, 2)).argmax())
    panel.root.locator(".range summary").click()
    panel.show(point)
    for number in range(2):
        panel.root.get_by_role("button", name="Here").nth(number).click()
    number = panel.page.get_by_text(re.compile(r"^I:\d+")).first.text_content()
    shown = re.search(r"\((\d+)/", number).group(1)
    expect(panel.root.locator(".range summary")).to_have_text(f"Slices {shown} to {shown} alone")
    panel.choose("liver")
    panel.page.keyboard.press("t")
    response = panel.answered(lambda: panel.point(point))
    assert sent(response)["corrects"], "the label that is there is corrected"
    corrected = panel.label_map()["liver"].reshape(organs["liver"].shape)
    changed = corrected != organs["liver"]
    assert np.flatnonzero(changed.any((1, 2))).tolist() == [z] and not (corrected & changed).any()
    panel.viewer.take_picture("ohif_panel_range")
    panel.button("Clear").click()
    panel.page.keyboard.press("t")
    panel.answered(lambda: panel.point(point))
    drawn = panel.label_map()["liver"].reshape(organs["liver"].shape)
    assert np.flatnonzero(drawn.any((1, 2))).tolist() == [z]
    assert panel.accept().status == 200
    expected = {organ: mask.copy() for organ, mask in organs.items()}
    for organ, mask in expected.items():
        mask[z] = drawn[z] if organ == "liver" else False
    by, stored = stored_label(chain, image)
    assert by == "unknown" and stored.keys() == {organ for organ, mask in expected.items() if mask.any()}
    for organ, mask in stored.items():
        np.testing.assert_array_equal(mask, expected[organ].ravel(), err_msg=organ)
    panel.button("All").click()
    panel.keep()


def test_what_others_accept_is_shown_and_never_in_the_place_of_ones_own_work(chain, panel, labelled):
    image, organs = labelled
    theirs = {"liver": organs["liver"], "gall <b>bladder": organs["spleen"]}
    panel.button("Load it").click()  # what was stored of the range, and nothing else
    expect(panel.status).to_contain_text("This is the label by")
    panel.keep()
    submit(chain, image, "bob", **theirs)
    panel.reload()
    expect(panel.accepted).to_contain_text("Accepted by bob")
    assert_shown(panel, theirs)
    panel.button("Clear").click()
    panel.keep()
    submit(chain, image, "carol", **organs)
    panel.reload()
    expect(panel.accepted).to_contain_text("Newer than your work: accepted by carol")
    assert_shown(panel, {})
    panel.button("Load it").click()
    expect(panel.status).to_contain_text("This is the label by carol")
    assert_shown(panel, organs)
    panel.button("Undo").click()
    assert_shown(panel, {})


def test_a_label_is_carried_from_another_series_of_the_study(chain, panel, labelled):
    image, organs = labelled
    submit(chain, image, "carol", **organs)
    second = write_second_series(chain, "test_000")
    panel.open("test_000")
    panel.page.locator("[data-cy=study-browser-thumbnail]", has_text="Second").dblclick()
    carrying = panel.root.locator(".carry")
    expect(carrying).to_contain_text("Abdomen CT")
    expect(carrying).to_contain_text("by carol")
    carrying.get_by_role("button", name="Carry").click()
    expect(panel.status).to_contain_text("Carried from Abdomen CT.")
    carried = {organ: mask[2::2] for organ, mask in organs.items()}
    assert_shown(panel, carried)
    panel.viewer.take_picture("ohif_panel_carried")
    assert panel.accept().status == 200
    assert stored_label(chain, second)[1].keys() == carried.keys()


def test_who_may_not_manage_sees_the_library_and_no_buttons(panel):
    def look(route):
        route.fulfill(json={**route.fetch().json(), "roles": ["annotate"]})

    panel.page.route("**/status/", look)
    panel.reload()
    panel.page.unroute("**/status/")
    panel.root.locator(".library summary").click()
    example = panel.root.locator(".example").first
    expect(example).to_contain_text("in use, weight 1")
    assert example.locator("input, button").count() == 0


def test_the_server_never_failed(viewer):
    assert viewer.server_errors == []
