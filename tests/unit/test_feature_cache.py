import signal
import subprocess
import sys
from pathlib import Path

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from protoseg.engine.feature_cache import FeatureCache
from protoseg.matching.kernel_matching import KernelMatching
from protoseg.networks.alpnet import ALPNet
from protoseg.networks.fpn import FPNEncoder
from protoseg.ops.fingerprint import weights_fingerprint
from protoseg.ops.slices import network_input


def network(seed=0):
    torch.manual_seed(seed)
    return ALPNet(encoder=FPNEncoder(channels=8, widths=(8, 8, 8, 8, 8))).eval()


def slices(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 1, 32, 32, generator=generator).expand(-1, 3, -1, -1)


@torch.no_grad()
def test_a_slice_is_encoded_once():
    cache, net, images = FeatureCache(), network(), slices(4)
    first = cache.encode(net.freeze(), images)
    second = cache.encode(net.freeze(), images[[2, 0, 2]])
    assert torch.equal(second, first[[2, 0, 2]])
    assert (cache.misses, cache.hits) == (4, 3)


@settings(deadline=None, max_examples=15)
@given(
    split=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    warm=st.lists(st.integers(0, 5), max_size=4),
    room=st.integers(0, 6),
)
@torch.no_grad()
def test_features_are_the_same_whatever_the_batch_and_the_cache(split, warm, room):
    net, images = network(), slices(6)
    expected = FeatureCache().encode(net.freeze(), images)
    cache = FeatureCache(max_bytes=room * expected[0].nbytes)
    for index in warm:
        cache.encode(net.freeze(), images[[index]])
    start = 0
    for size in [*split, 6]:
        batch = images[start : start + size]
        if len(batch):
            assert torch.equal(cache.encode(net.freeze(), batch), expected[start : start + size])
        start += size
        assert cache.nbytes <= cache.max_bytes


@settings(deadline=None, max_examples=15)
@given(
    indices=st.lists(st.integers(0, 5), min_size=1, max_size=6),
    warm=st.lists(st.integers(0, 5), max_size=4),
    adjacent=st.booleans(),
    room=st.integers(0, 6),
)
@torch.no_grad()
def test_slices_of_a_volume_have_the_features_of_their_network_input(indices, warm, adjacent, room):
    net, volume = network(), torch.randn(6, 1, 20, 24, generator=torch.Generator().manual_seed(3))
    arguments = {"size": 32, "adjacent": adjacent}
    expected = FeatureCache().encode(net.freeze(), network_input(volume, indices, **arguments))
    cache = FeatureCache(max_bytes=room * expected[0].nbytes)
    for index in warm:
        cache.encode_slices(net.freeze(), volume, [index], **arguments)
    assert torch.equal(cache.encode_slices(net.freeze(), volume, indices, **arguments), expected)


@torch.no_grad()
def test_a_slice_seen_before_is_neither_fitted_nor_encoded(monkeypatch):
    net, volume = network(), torch.randn(4, 1, 20, 24, generator=torch.Generator().manual_seed(3))
    cache = FeatureCache()
    first = cache.encode_slices(net.freeze(), volume, [0, 2], size=32, adjacent=False)
    # As network input, by which a support holds it, it is the same slice.
    assert torch.equal(cache.encode(net.freeze(), network_input(volume, [2], size=32, adjacent=False)), first[[1]])
    monkeypatch.setattr("protoseg.engine.feature_cache.network_input", None)
    assert torch.equal(cache.encode_slices(net.freeze(), volume, [2, 0], size=32, adjacent=False), first[[1, 0]])
    assert cache.misses == 2


@torch.no_grad()
def test_features_of_other_weights_are_never_served():
    cache, net, images = FeatureCache(), network(), slices(2)
    before = cache.encode(net.freeze(), images)
    with torch.no_grad():
        net.encoder.out.bias.add_(1.0)
    after = cache.encode(net.freeze(), images)
    torch.testing.assert_close(after, before + 1.0)
    net.encoder.out.bias.data.mul_(2.0)  # as averages of weights are written
    assert not torch.equal(cache.encode(net.freeze(), images), after)
    net.load_state_dict(network(seed=1).state_dict())
    assert not torch.equal(cache.encode(net.freeze(), images), after)
    assert cache.hits == 0


@torch.no_grad()
def test_features_of_weights_that_are_gone_are_dropped_and_no_others():
    cache, images = FeatureCache(), slices(2)
    gone, used = network().freeze(), network(seed=1).freeze()
    cache.encode(gone, images)
    kept = cache.encode(used, images)
    cache.forget(gone)
    assert cache.nbytes == kept.nbytes
    assert torch.equal(cache.encode(used, images), kept)
    assert (cache.hits, cache.misses) == (2, 4)
    cache.encode(gone, images)
    assert cache.misses == 6


def test_the_fingerprint_is_of_structure_and_values():
    assert weights_fingerprint(network()) == weights_fingerprint(network())
    assert weights_fingerprint(network()) != weights_fingerprint(network(seed=1))
    assert weights_fingerprint(nn.ReLU()) != weights_fingerprint(nn.GELU())
    assert weights_fingerprint(KernelMatching(scale=20)) != weights_fingerprint(KernelMatching(scale=30))


@torch.no_grad()
def test_another_matching_or_mode_needs_no_new_features():
    cache, net, images = FeatureCache(), network(), slices(2)
    cache.encode(net.freeze(), images)
    net.matching = KernelMatching()
    cache.encode(net.train().eval().freeze(), images)
    assert (cache.misses, cache.hits) == (2, 2)


@torch.no_grad()
def test_a_full_disk_loses_no_features(tmp_path, monkeypatch, caplog):
    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("protoseg.engine.feature_cache.np.save", no_space)
    cache = FeatureCache(folder=tmp_path)
    assert torch.equal(
        cache.encode(network().freeze(), slices(2)), FeatureCache().encode(network().freeze(), slices(2))
    )
    assert "No space left on device" in caplog.text
    assert not list(tmp_path.iterdir())


@torch.no_grad()
def test_the_folder_outlives_the_process_and_is_bounded(tmp_path):
    net, images = network(), slices(6)
    features = FeatureCache(folder=tmp_path).encode(net.freeze(), images)
    again = FeatureCache(folder=tmp_path)
    assert torch.equal(again.encode(net.freeze(), images), features)
    assert again.misses == 0

    size = next(tmp_path.glob("*.npy")).stat().st_size
    small = FeatureCache(folder=tmp_path, max_folder_bytes=3 * size)
    small.encode(net.freeze(), slices(1, seed=9))
    assert sum(file.stat().st_size for file in tmp_path.glob("*.npy")) <= 3 * size


@torch.no_grad()
def test_a_damaged_file_is_made_again(tmp_path):
    net, images = network(), slices(1)
    features = FeatureCache(folder=tmp_path).encode(net.freeze(), images)
    file = next(tmp_path.glob("*.npy"))
    file.write_bytes(file.read_bytes()[:-7])
    assert torch.equal(FeatureCache(folder=tmp_path).encode(net.freeze(), images), features)
    assert torch.equal(FeatureCache(folder=tmp_path).encode(net.freeze(), images), features)


DYING_WRITER = """
import os, signal, sys
import numpy as np
import torch
sys.path.insert(0, sys.argv[1])
from test_feature_cache import network, slices
from protoseg.engine import feature_cache

save, written = np.save, []

def save_two_and_die_in_the_third(file, array):
    if len(written) == 2:
        with open(file, "wb") as half:
            half.write(b"half a file")
            half.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    written.append(file)
    save(file, array)

feature_cache.np.save = save_two_and_die_in_the_third
with torch.no_grad():
    feature_cache.FeatureCache(folder=sys.argv[2]).encode(network().freeze(), slices(4))
"""


@torch.no_grad()
def test_killed_while_writing_nothing_half_written_is_served(tmp_path):
    arguments = [sys.executable, "-c", DYING_WRITER, str(Path(__file__).parent), str(tmp_path)]
    assert subprocess.run(arguments, check=False).returncode == -signal.SIGKILL
    cache = FeatureCache(folder=tmp_path)
    features = cache.encode(network().freeze(), slices(4))
    assert torch.equal(features, FeatureCache().encode(network().freeze(), slices(4)))
    assert (cache.hits, cache.misses) == (2, 2)
