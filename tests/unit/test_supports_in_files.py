import subprocess
import sys
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import torch
from monai.transforms import Orientationd

from protoseg.data.io.volumes import read_image, read_labels
from protoseg.data.preprocessing.intensity import CropBodyd, NormalizeByModalityd
from protoseg.data.preprocessing.steps import transform_key
from protoseg.data.preprocessing.transforms import LoadLabelsd, LoadVolumed, Preprocessing
from protoseg.data.support.loading import load_support, read_support, save_support
from protoseg.data.support.scans import load_supports
from protoseg.engine.one_shot import segment
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import support_from_scan
from protoseg.errors import InputError
from protoseg.networks.alpnet import ALPNet
from protoseg.networks.fpn import FPNEncoder


def support(**making):
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 16, 12, 5, generator=generator)
    drawn = torch.zeros(1, 16, 12, 5)
    drawn[0, 2:8, 2:8, 1:3] = 4
    drawn[0, 10:, 6:, 2] = 1
    return support_from_scan(image, drawn, {"liver": 4, "spleen": 1}, image_size=16, scan="a.nii.gz", **making)


def test_a_support_comes_back_as_it_was_saved(tmp_path):
    saved = support(preprocessing="abc", encoder="123")
    save_support(tmp_path / "a.support", saved)
    read = read_support(tmp_path / "a.support")
    assert torch.equal(read.images, saved.images)
    assert torch.equal(read.masks, saved.masks)
    for name in ("labels", "components", "origins", "preprocessing", "encoder"):
        assert getattr(read, name) == getattr(saved, name)
    assert list(read.labels) == list(saved.labels), "the order numbers the masks"


def test_which_labels_a_slice_knows_is_kept_and_files_without_it_know_all(tmp_path):
    liver, both = support().without_label("spleen"), support()
    other = replace(both, origins=tuple(origin._replace(scan="b.nii.gz") for origin in both.origins))
    for saved in (liver.merge(other), both):
        save_support(tmp_path / "a.support", saved)
        read = read_support(tmp_path / "a.support")
        assert (read.known is None) == (saved.known is None)
        if saved.known is not None:
            assert read.known.tolist() == saved.known.tolist() == [[True, False]] * 2 + [[True, True]] * 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "{path} does not exist. Give a support that was saved before."),
        (b"no support", "{path} (10 bytes) is damaged or no support that was saved here. Save it again."),
    ],
)
def test_what_is_no_support_is_refused(tmp_path, content, message):
    path = tmp_path / "a.support"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_support(path)
    assert str(error.value) == message.format(path=path)


def test_supports_of_other_making_are_not_mixed():
    with pytest.raises(InputError, match="Supports made for encoders '1' and '2' cannot be merged"):
        support(encoder="1").merge(support(encoder="2"))
    with pytest.raises(InputError, match="Supports made by preprocessings 'ct' and 'mr' cannot be merged"):
        support(preprocessing="ct").merge(support(preprocessing="mr"))


def test_a_support_is_not_used_with_other_weights():
    torch.manual_seed(0)
    network = ALPNet(encoder=FPNEncoder(channels=8, widths=(8, 8, 8, 8, 8)))
    volume = torch.randn(1, 16, 12, 2)
    segment(volume, support(encoder=network.encoding_fingerprint()), SliceEncoder(network, 8))
    with pytest.raises(InputError, match="The support was made for the encoder 123, and this one is"):
        segment(volume, support(encoder="123"), SliceEncoder(network, 8))


def test_labels_can_be_taken_out_again():
    whole = support()
    assert whole.without_label("spleen").labels == {"liver": 4}
    assert whole.without_label("spleen").one_hot().sum((1, 2, 3)).tolist() == [whole.one_hot()[0].sum()]
    with pytest.raises(InputError, match="The support has no label 'kidney'; it has liver, spleen"):
        whole.without_label("kidney")


def test_a_slice_that_is_drawn_again_replaces_the_old_one():
    first = support()
    again = support()
    merged = first.merge(again)
    assert merged.origins == first.origins
    assert torch.equal(merged.masks, first.masks)


BOTH = ("image", "label")


def preprocessing(margin=0.0):
    return Preprocessing(
        [
            LoadVolumed("image"),
            LoadLabelsd("label"),
            Orientationd(BOTH, axcodes="LPS", labels=None),
            CropBodyd(BOTH, margin=margin),
            NormalizeByModalityd("image"),
        ]
    )


@pytest.fixture
def scan(tmp_path):
    """CT of a body at X, Y 8..24 with the label 1 in it, 2 at its edge and 3 in the air."""
    image = np.full((32, 32, 3), -1000.0, np.float32)
    image[8:24, 8:24] = 20
    image[12:16, 12:16] = 100
    labels = np.zeros(image.shape, np.uint8)
    labels[12:16, 12:16], labels[20:24, 20:24], labels[:4, :4] = 1, 2, 3
    files = {"image": tmp_path / "ct.nii.gz", "label": tmp_path / "labels.nii.gz"}
    for voxels, file in zip((image, labels), files.values()):
        nibabel.save(nibabel.Nifti1Image(voxels, np.diag([-10.0, -10, 10, 1])), file)
    return files


def test_supports_that_one_transform_made_are_merged(scan):
    transform = preprocessing()
    supports = [
        load_support(**scan, transform=transform, image_size=16, label_names={name: value})
        for name, value in (("liver", 1), ("spleen", 2))
    ]
    assert supports[0].merge(supports[1]).labels == {"liver": 1, "spleen": 2}
    other = load_support(**scan, transform=preprocessing(margin=20.0), image_size=16, label_names={"liver": 1})
    with pytest.raises(InputError, match="Supports made by preprocessings"):
        supports[0].merge(other)


def test_scans_in_memory_are_one_support(scan):
    image, label = read_image(scan["image"]), read_labels(scan["label"])
    options = {"transform": preprocessing(), "image_size": 16}
    support = load_supports([image, image], [label, label], **options)
    assert support.labels == load_support(image, label, **options).labels


KEY = """
from monai.transforms import Orientationd
from protoseg.data.io.volumes import read_image, read_labels
from protoseg.data.preprocessing.intensity import CropBodyd, NormalizeByModalityd
from protoseg.data.preprocessing.transforms import LoadLabelsd, LoadVolumed, Preprocessing
BOTH = ("image", "label")
print(Preprocessing([LoadVolumed("image"), LoadLabelsd("label"), Orientationd(BOTH, axcodes="LPS", labels=None),
      CropBodyd(BOTH, margin=0.0), NormalizeByModalityd("image")]).key)
"""


@pytest.mark.slow  # a process of its own imports torch and MONAI
def test_a_preprocessing_has_one_key_in_every_process(scan):
    transform = preprocessing()
    transform({key: str(file) for key, file in scan.items()})
    assert transform.key == preprocessing().key
    other = subprocess.run([sys.executable, "-c", KEY], capture_output=True, text=True, encoding="utf-8", check=True)
    assert other.stdout.strip() == transform.key


def test_any_callable_has_a_key():
    assert transform_key(preprocessing()) == preprocessing().key
    assert transform_key(lambda item: item) == transform_key(lambda item: item)
    assert transform_key(lambda item: item) != transform_key(lambda item: {**item})


@pytest.mark.parametrize("label_names", [{"liver": 1, "table": 3}, {"table": 3}])
def test_a_chosen_label_outside_the_body_is_refused(scan, label_names):
    with pytest.raises(InputError) as error:
        load_support(**scan, transform=preprocessing(), image_size=16, label_names=label_names)
    assert str(error.value) == (
        f"{scan['label']} on {scan['image']}: table lies outside the body that was found. Check that the two belong "
        "together; if they do, set modality, which decides how the body is found."
    )


@pytest.mark.parametrize(
    ("label_names", "labels"),
    [(None, {"label_1": 1, "label_2": 2}), ({"1": "liver", "2": "spleen", "3": "label_3"}, {"liver": 1, "spleen": 2})],
)
def test_another_label_outside_the_body_is_left_out_with_a_warning(scan, caplog, label_names, labels):
    support = load_support(**scan, transform=preprocessing(), image_size=16, label_names=label_names)
    assert support.labels == labels
    assert caplog.messages == [
        f"{scan['label']} on {scan['image']}: label_3 lies outside the body that was found; left out."
    ]
