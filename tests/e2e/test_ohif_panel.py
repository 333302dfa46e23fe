"""What a user does with the app's own panel in OHIF. The tests are one story, in order."""

import json
import re

import numpy as np
import pytest
import requests
from panel import Panel, sent
from playwright.sync_api import expect
from scans import LABELLED, dice, ground_truth, middle, newest_segmentation, series_of

PATIENT = "test_002"
OWN = "my <b>mass"  # a name that no page may take for its own text


@pytest.fixture(scope="module")
def panel(viewer) -> Panel:
    made = Panel(viewer)
    made.open(PATIENT)
    return made


@pytest.fixture(scope="module")
def spleen(chain):
    """The spleen, bool (Z, Y, X), and the affine from its index (x, y, z) to LPS mm."""
    return ground_truth(chain, PATIENT, "spleen")


def corners(mask, affine):
    """The two corners (mm, LPS) of the box around a mask in the slice where it is largest."""
    z = int(mask.sum((1, 2)).argmax())
    ys, xs = mask[z].nonzero()
    ends = [xs.min() - 1, ys.min() - 1, z, 1], [xs.max() + 1, ys.max() + 1, z, 1]
    return [(affine @ end)[:3] for end in ends]


def library(chain):
    return requests.get(f"{chain.app}/library/", timeout=60).json()


def voxels_of(response, shape):
    """Label values (Z, Y, X) of an answer that holds an NRRD file among other things."""
    body = response.body()
    start = body.index(b"\n\n", body.index(b"NRRD")) + 2
    return np.frombuffer(body[start : start + np.prod(shape)], np.uint8).reshape(shape)


def test_the_panel_offers_what_is_labelled_in_other_studies(panel):
    assert set(panel.structures()) == set(LABELLED)
    assert not any(mask.any() for mask in panel.label_map().values())
    assert panel.root.locator(".keys dt").count() > 10
    panel.viewer.take_picture("ohif_panel_new")


def test_a_point_is_answered_at_once(panel, spleen):
    mask, affine = spleen
    panel.choose("spleen")
    response = panel.answered(lambda: panel.point(middle(mask, affine)))
    assert response.status == 200, response.text()
    drawn = panel.label_map()
    assert dice(drawn["spleen"].reshape(mask.shape), mask) > 0.6
    assert not any(drawn[name].any() for name in set(LABELLED) - {"spleen"})
    volume = drawn["spleen"].sum() * abs(np.linalg.det(affine[:3, :3])) / 1000
    shown = float(panel.structure("spleen").locator(".volume").text_content().split()[0])
    assert shown == pytest.approx(volume, abs=0.6)
    panel.viewer.take_picture("ohif_panel_point")


def test_prompts_are_undone_and_redone_by_the_keyboard(panel, spleen):
    mask, affine = spleen
    one = panel.label_map()["spleen"]
    wrong = one.reshape(mask.shape) & ~mask
    panel.page.keyboard.press("t")
    expect(panel.button("Exclude")).to_have_attribute("aria-pressed", "true")
    response = panel.answered(lambda: panel.point(middle(wrong, affine)))
    assert [len(sent(response)[sign]) for sign in ("foreground", "background")] == [1, 1]
    two = panel.label_map()["spleen"]
    assert (two != one).any()
    panel.viewer.take_picture("ohif_panel_correction")
    for key, expected in (("z", one), ("z", np.zeros_like(one)), ("y", one), ("y", two), ("z", one)):
        panel.page.keyboard.press(f"Control+{key}")
        np.testing.assert_array_equal(panel.label_map()["spleen"], expected)
    panel.page.keyboard.press("t")


def test_what_was_undone_is_not_sent_again(panel, spleen):
    mask, affine = spleen
    outline = [(affine @ [*index[::-1], 1])[:3] for index in np.argwhere(mask)[[0, -1]]]
    response = panel.answered(lambda: panel.point(outline[0]))
    assert [len(sent(response)[sign]) for sign in ("foreground", "background")] == [2, 0]
    panel.button("Undo").click()


def test_a_box_around_a_structure_of_ones_own_finds_it(panel, chain):
    mask, affine = ground_truth(chain, PATIENT, "right_kidney")
    panel.root.get_by_placeholder("Add a structure").fill(OWN)
    panel.page.keyboard.press("Enter")
    expect(panel.structure(OWN)).to_have_class("structure chosen")
    assert panel.structure(OWN).locator(".name").text_content() == OWN
    panel.button("Box").click()
    response = panel.answered(lambda: panel.drag(*corners(mask, affine)))
    assert response.status == 200, response.text()
    options = sent(response)
    assert options["label"] == OWN and not options["foreground"] and not options["background"]
    ((first, last),) = options["boxes"]
    assert first[2] == last[2] and first[0] < last[0] and first[1] < last[1]
    assert dice(panel.label_map()[OWN].reshape(mask.shape), mask) > 0.5
    panel.viewer.take_picture("ohif_panel_box")


def test_without_live_mode_prompts_wait_to_be_run(panel, chain):
    mask, affine = ground_truth(chain, PATIENT, "left_kidney")
    panel.choose("left_kidney")
    panel.page.keyboard.press("a")
    panel.page.keyboard.press("p")
    panel.point(middle(mask, affine))
    panel.page.wait_for_timeout(300)
    assert not panel.label_map()["left_kidney"].any()
    panel.answered(lambda: panel.button("Run").click())
    assert dice(panel.label_map()["left_kidney"].reshape(mask.shape), mask) > 0.5
    panel.page.keyboard.press("a")


def test_the_viewers_brush_corrects_and_is_undone(panel, chain):
    mask, affine = ground_truth(chain, PATIENT, "left_kidney")
    before = panel.label_map()["left_kidney"]
    place = middle(~mask, affine)
    panel.page.keyboard.press("d")
    panel.drag(place, place + np.array([15, 0, 0]))
    expect(panel.button("Redo")).to_be_disabled()
    panel.keep()
    after = panel.label_map()["left_kidney"]
    assert after.sum() > before.sum()
    panel.page.keyboard.press("Control+z")
    np.testing.assert_array_equal(panel.label_map()["left_kidney"], before)
    panel.page.keyboard.press("Control+y")
    np.testing.assert_array_equal(panel.label_map()["left_kidney"], after)


def test_a_reload_loses_nothing(panel):
    panel.keep()
    before, structures = panel.label_map(), panel.structures()
    panel.reload()
    after = panel.label_map()
    assert panel.structures() == structures and after.keys() == before.keys()
    for name in before:
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    panel.page.keyboard.press("Control+z")  # the stroke of the brush
    assert panel.label_map()["left_kidney"].sum() < before["left_kidney"].sum()
    panel.viewer.take_picture("ohif_panel_after_reload")


def test_a_server_that_is_away_is_asked_again(panel, chain):
    mask, affine = ground_truth(chain, PATIENT, "right_kidney")
    panel.choose("right_kidney")
    panel.page.route("**/infer/**", lambda route: route.abort())
    panel.point(middle(mask, affine))
    expect(panel.status).to_contain_text("Nothing is lost")
    expect(panel.status).to_contain_class("busy")  # it still waits
    panel.page.unroute("**/infer/**")
    panel.answered(lambda: None)
    assert dice(panel.label_map()["right_kidney"].reshape(mask.shape), mask) > 0.5


def test_everything_known_is_segmented_with_its_estimate_and_leaves_prompted_structures_alone(panel, chain):
    before = panel.label_map()
    response = panel.answered(lambda: panel.page.keyboard.press("g"))
    after = panel.label_map()
    for name in ("spleen", "left_kidney", "right_kidney"):
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    mask, _ = ground_truth(chain, PATIENT, "liver")
    found = voxels_of(response, mask.shape)
    value = requests.get(f"{chain.app}/info/", timeout=60).json()["models"]["oneshot"]["labels"]["liver"]
    free = ~np.any([mask for name, mask in before.items() if name != "liver"], axis=0)
    np.testing.assert_array_equal(after["liver"], (found == value).ravel() & free)
    estimate = re.compile(r"Estimated Dice 0\.\d\d \(0\.\d\d to [01]\.\d\d\)")
    expect(panel.structure("liver").locator(".estimate")).to_have_text(estimate)
    panel.viewer.take_picture("ohif_panel_everything")


def test_accepting_stores_a_named_and_coded_segmentation(chain, panel, spleen):
    panel.structure(OWN).get_by_title(f"Delete {OWN}").click()
    drawn = panel.label_map()
    assert OWN not in drawn
    response = panel.accept()
    assert response.status == 200, response.text()
    expect(panel.status).to_contain_text("Stored:")
    dataset = newest_segmentation(chain, PATIENT)
    names = [str(segment.SegmentLabel) for segment in dataset.SegmentSequence]
    assert set(names) == {name for name, mask in drawn.items() if mask.any()} >= set(LABELLED)
    assert dataset.SegmentSequence[names.index("spleen")].SegmentedPropertyTypeCodeSequence[0].CodeValue == "78961009"
    scan = next(s for s in series_of(chain, PATIENT) if s["MainDicomTags"]["Modality"] == "CT")
    assert dataset.ReferencedSeriesSequence[0].SeriesInstanceUID == scan["MainDicomTags"]["SeriesInstanceUID"]
    shape, affine = spleen[0].shape, spleen[1]
    stored = {name: np.zeros(shape, bool) for name in names}
    for frame, pixels in zip(dataset.PerFrameFunctionalGroupsSequence, dataset.pixel_array):
        corner = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        x, y, z = np.linalg.inv(affine) @ [*corner, 1] @ np.eye(4)[:, :3]
        np.testing.assert_allclose([x, y, z - round(z)], 0, atol=1e-3)
        name = names[frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber - 1]
        stored[name][round(z)] = pixels
    for name, mask in stored.items():
        np.testing.assert_array_equal(mask.ravel(), drawn[name], err_msg=name)


def test_a_label_of_someone_else_is_not_replaced_unasked(chain, panel):
    scan = next(s for s in series_of(chain, PATIENT) if s["MainDicomTags"]["Modality"] == "CT")
    image, address = {"image": scan["MainDicomTags"]["SeriesInstanceUID"]}, f"{chain.app}/sessions/submits"
    accepted = requests.get(address, params=image, timeout=60).json()["versions"][0]["version"]
    file = requests.get(f"{address}/{accepted}", params=image, timeout=60).content
    said = {"params": json.dumps({"label_info": [{"name": "liver", "idx": 1}]})}
    label = {"label": ("theirs.nii.gz", file)}
    requests.put(f"{chain.app}/datastore/label", params=image, data=said, files=label, timeout=60).raise_for_status()
    assert panel.accept().status == 409
    expect(panel.accepted).to_contain_text("Newer than your work: accepted by an unnamed user")
    expect(panel.status).to_contain_text("Accept once more to put yours in its place.")
    assert panel.accept().status == 200
    expect(panel.status).to_contain_text("Stored:")
    states = [version["state"] for version in requests.get(address, params=image, timeout=60).json()["versions"]]
    assert sorted(states) == ["current", "refused", "replaced", "replaced"]


def test_what_was_accepted_is_labelled_from_now_on(chain):
    scan = next(s for s in series_of(chain, PATIENT) if s["MainDicomTags"]["Modality"] == "CT")
    pairs = requests.get(f"{chain.app}/datastore/", params={"output": "train"}, timeout=60).json()
    assert any(scan["MainDicomTags"]["SeriesInstanceUID"] in pair["image"] for pair in pairs)


def test_the_library_shows_what_was_accepted_and_can_be_switched_and_emptied(chain, panel):
    panel.root.locator(".library summary").click()
    expect(panel.root.locator(".library summary")).to_have_text("Library: 2 examples, 2 in use")
    example = panel.root.locator(".example", has_text="this study")
    expect(example.locator("strong")).to_have_text(PATIENT)
    picture = example.locator("img")
    picture.evaluate("picture => picture.scrollIntoView()")  # the list may be made anew meanwhile, in its place
    expect(picture).to_have_js_property("naturalWidth", 128)
    panel.viewer.take_picture("ohif_panel_library")
    weight = example.get_by_role("slider")
    weight.fill("0.5")
    expect(panel.status).to_contain_text("weighs 0.5 from now on")
    assert [e["weight"] for e in library(chain)["examples"] if e["patient"] == PATIENT] == [0.5]
    example = panel.root.locator(".example", has_text="this study")
    example.get_by_role("checkbox").click()
    expect(panel.root.locator(".library summary")).to_have_text("Library: 2 examples, 1 in use")
    assert [e["enabled"] for e in library(chain)["examples"] if e["patient"] == PATIENT] == [False]
    example.get_by_role("button", name="Remove").click()
    expect(panel.root.locator(".library summary")).to_have_text("Library: 1 example, 1 in use")
    assert [removal["labels"] for removal in library(chain)["removed"]] != []


def test_the_server_never_failed(viewer):
    assert viewer.server_errors == []
