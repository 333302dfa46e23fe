import pytest
import torch

from protoseg.data.supports import read_support, save_support
from protoseg.engine.one_shot import segment
from protoseg.engine.support import support_from_scan
from protoseg.errors import InputError
from protoseg.maths.alpnet import ALPNet
from protoseg.maths.pyramid import PyramidEncoder


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
    network = ALPNet(encoder=PyramidEncoder(channels=8, widths=(8, 8, 8, 8, 8)))
    volume = torch.randn(1, 16, 12, 2)
    segment(volume, support(encoder=network.encoding_fingerprint()), network)
    with pytest.raises(InputError, match="The support was made for the encoder 123, and the network is"):
        segment(volume, support(encoder="123"), network)


def test_labels_and_scans_can_be_taken_out_again():
    whole = support()
    assert whole.without_label("spleen").labels == {"liver": 4}
    assert whole.without_label("spleen").one_hot().sum((1, 2, 3)).tolist() == [whole.one_hot()[0].sum()]
    other = support_from_scan(
        torch.zeros(1, 16, 12, 1), torch.full((1, 16, 12, 1), 4), {"liver": 4}, image_size=16, scan="b.nii.gz"
    )
    merged = whole.merge(other)
    assert len(merged.origins) == len(whole.origins) + 1
    left = merged.without_scan("a.nii.gz")
    assert left.labels == {"liver": 4}
    assert left.origins == (("b.nii.gz", 0),)
    with pytest.raises(InputError, match=r"The support has no slice of c.nii.gz; it has slices of a.nii.gz, b.nii.gz"):
        merged.without_scan("c.nii.gz")
    with pytest.raises(InputError, match="The support has no label 'kidney'; it has liver, spleen"):
        merged.without_label("kidney")


def test_a_slice_that_is_drawn_again_replaces_the_old_one():
    first = support()
    again = support()
    merged = first.merge(again)
    assert merged.origins == first.origins
    assert torch.equal(merged.masks, first.masks)
