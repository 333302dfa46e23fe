"""Adaptation: on copies only, within its time, and no harm done by wrong labels."""

import copy
from collections.abc import Iterator
from functools import partial
from itertools import islice

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from torch import Tensor, nn

import protoseg
from protoseg.data.episodes.augmentations import episode_augmentation
from protoseg.engine import matched_volume
from protoseg.engine.adaptation.episodes import Episode, LabelledSlices, draw_episodes
from protoseg.engine.adaptation.guard import ReverseGuard
from protoseg.engine.adaptation.test_time import Adaptation
from protoseg.engine.adaptation.training import ShortTraining
from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.one_shot import segment
from protoseg.engine.refiners.refiner import CoarseSegmentation, RefinedSegmentation, Refiner
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import SupportSet, support_from_scan
from protoseg.errors import InputError
from protoseg.matching.adaptive_prototypes import AdaptivePrototypes
from protoseg.matching.kernel_matching import KernelMatching
from protoseg.matching.matching import Matching
from protoseg.networks.alpnet import ALPNet
from protoseg.networks.encoder import Encoder
from protoseg.networks.slice_adapter import SliceAdapter
from protoseg.ops.slices import axial_slices, network_input

SIZE = 32
LABELS = {"disc": 7, "square": 3}
ADAM = partial(torch.optim.AdamW, lr=0.01, weight_decay=0.0)


class Shades(Encoder):
    """Tells gray values apart by smooth bumps over them, mixed by weights that can be spoilt."""

    stride = 2
    channels = 8

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centres", torch.linspace(0, 1, self.channels)[:, None, None])
        self.mix = nn.Conv2d(self.channels, self.channels, kernel_size=1, bias=False)
        nn.init.dirac_(self.mix.weight)

    def encode(self, image: Tensor) -> Tensor:
        gray = nn.functional.avg_pool2d(image.mean(1, keepdim=True), self.stride)
        return self.mix(torch.exp(-(((gray - self.centres) / 0.15) ** 2)))


def network(matching: Matching | None = None, *, slice_adapter: nn.Module | None = None) -> ALPNet:
    return ALPNet(encoder=Shades(), matching=matching or KernelMatching(), slice_adapter=slice_adapter)


def scene(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Noisy image and labels (1, X, Y, Z): a bright square on slices 1..3, a gray disc on 2..4."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.zeros(1, SIZE, SIZE, 6, dtype=torch.int16)
    left, top = torch.randint(2, 6, (2,), generator=random).tolist()
    labels[0, left : left + 9, top : top + 9, 1:4] = 3
    x, y = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    labels[0, (x - left - 6) ** 2 + (y - 22) ** 2 < 26, 2:5] = 7
    image = 0.1 * torch.randn(labels.shape, generator=random)
    return image + 0.9 * (labels == 3) + 0.5 * (labels == 7), labels


def support_of(image: Tensor, labels: Tensor, **kwargs: bool) -> SupportSet:
    return support_from_scan(image, labels, LABELS, scan="a", image_size=SIZE, **kwargs)


def adaptation(scope: str, **arguments: object) -> Adaptation:
    given = {"steps": 3, "optimizer": ADAM, "augmentation": episode_augmentation(), **arguments}
    return Adaptation(scope=scope, **given)


def dice(label_map: object, labels: Tensor) -> float:
    found, true = torch.as_tensor(label_map), labels[0].permute(2, 1, 0)
    each = [2 * ((found == v) & (true == v)).sum() / ((found == v).sum() + (true == v).sum()) for v in LABELS.values()]
    return float(sum(each) / len(each))


@pytest.mark.parametrize("tuning", ["lora", "full"])
@pytest.mark.parametrize("scope", ["slice", "volume", "support"])
def test_the_network_is_left_as_it_was(scope: str, tuning: str) -> None:
    net = network(AdaptivePrototypes()).eval()
    net.encoder.mix.weight.requires_grad_(False)
    before, random = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    support, (image, _) = support_of(*scene()), scene(1)
    segment(image, support, SliceEncoder(net, SIZE), adaptation=adaptation(scope, tuning=tuning))
    assert list(net.state_dict()) == list(before)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(module.training for module in net.modules())
    assert not net.encoder.mix.weight.requires_grad
    assert net.encoder.mix.weight.grad is None
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_a_copy_learns_and_fits_the_network_that_it_was_made_of(tuning: str) -> None:
    net, support = network(), support_of(*scene())
    adapted = adaptation("support", tuning=tuning).to_support(SliceEncoder(net, SIZE), support).network
    net.load_state_dict(adapted.state_dict())
    assert (net.encoder.mix.weight - network().encoder.mix.weight).abs().max() > 1e-3
    assert not any(weight.requires_grad for weight in adapted.parameters())


def test_one_seed_gives_one_network() -> None:
    net, support = network(), support_of(*scene())
    encoder = SliceEncoder(net, SIZE)
    first, again, other = (adaptation("support", seed=seed).to_support(encoder, support).network for seed in (1, 1, 2))
    assert torch.equal(first.encoder.mix.weight, again.encoder.mix.weight)
    assert not torch.equal(first.encoder.mix.weight, other.encoder.mix.weight)


def test_the_support_is_learned_once() -> None:
    support, cache, learner = support_of(*scene()), FeatureCache(), adaptation("support")
    encoder = SliceEncoder(network(), SIZE, cache)
    first = segment(scene(1)[0], support, encoder, adaptation=learner)
    adapted, misses = learner.to_support(encoder, support), cache.misses
    equal = support_of(*scene())
    again = segment(scene(1)[0], equal, SliceEncoder(network(), SIZE, cache), adaptation=learner)
    assert learner.to_support(encoder, equal).frozen is adapted.frozen
    assert cache.misses == misses, "the adapted network's features are found again"
    assert (again.label_map == first.label_map).all()
    assert learner.to_support(encoder, support_of(*scene(2))).frozen is not adapted.frozen


def test_weights_of_other_volumes_leave_nothing_in_the_cache() -> None:
    support, net, image = support_of(*scene()), network(), scene(1)[0]
    cache = FeatureCache()
    before = segment(image, support, SliceEncoder(net, SIZE, cache))
    kept = cache.nbytes
    for scope in ("slice", "volume"):
        segment(image, support, SliceEncoder(net, SIZE, cache), adaptation=adaptation(scope))
    assert cache.nbytes == kept
    assert (segment(image, support, SliceEncoder(net, SIZE, cache)).label_map == before.label_map).all()


@pytest.mark.parametrize("scope", ["slice", "volume", "support"])
def test_a_little_adaptation_keeps_what_was_found(scope: str) -> None:
    """With adjacent slices, and where the caller switched gradients off, as MONAI's evaluators do."""
    image, labels = scene(1)
    support, net = support_of(*scene(), adjacent_slices=True), network(slice_adapter=SliceAdapter(layers=1))
    learner = adaptation(scope, steps=5, optimizer=partial(torch.optim.SGD, lr=0.001, momentum=0.9))
    with torch.no_grad():
        found = segment(image, support, SliceEncoder(net, SIZE), adaptation=learner)
    assert dice(found.label_map, labels) == pytest.approx(
        dice(segment(image, support, SliceEncoder(net, SIZE)).label_map, labels), abs=0.03
    )
    assert found.findings["disc"].confidence > 0.5


class Recording(Adaptation):
    """Keeps what it is to learn from, and learns nothing."""

    def to_slices(self, network: ALPNet, slices: LabelledSlices, guard: ReverseGuard | None = None) -> ALPNet:
        self.learned = [*getattr(self, "learned", []), slices]
        return network


@pytest.mark.parametrize("scope", ["slice", "volume"])
def test_what_is_learned_is_what_the_matching_sees(scope: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image, support, encoder = scene(1)[0], support_of(*scene()), SliceEncoder(network(), SIZE)
    arguments = {"scope": scope, "augmentation": episode_augmentation(), "steps": 1, "optimizer": ADAM}
    upright, turned = Recording(**arguments), Recording(**arguments)
    expected = segment(image, support, encoder, adaptation=upright)
    monkeypatch.setattr(matched_volume, "quarter_turns", lambda *_: 1)
    monkeypatch.setattr(matched_volume, "is_inverted", lambda *_: True)
    found = segment(-image.rot90(1, (1, 2)), support, encoder, adaptation=turned)
    for mine, theirs in zip(turned.learned, upright.learned, strict=True):
        assert torch.equal(mine.images, theirs.images) and torch.equal(mine.masks, theirs.masks)
    np.testing.assert_array_equal(found.label_map, np.rot90(expected.label_map, -1, (1, 2)))


class Seen(Refiner):
    """Keeps the label map that it is to refine."""

    def refine(self, slices: Tensor, coarse: CoarseSegmentation, **kwargs: object) -> RefinedSegmentation:
        self.label_map = coarse.label_map
        return RefinedSegmentation(coarse.label_map)


@pytest.mark.parametrize("scope", ["slice", "volume", "support"])
def test_the_refinement_begins_where_the_adaptation_ends(scope: str) -> None:
    seen, support = Seen(), support_of(*scene())
    found = segment(scene(1)[0], support, SliceEncoder(network(), SIZE), adaptation=adaptation(scope), refiner=seen)
    values = torch.tensor([0, *support.labels.values()])
    assert (values[torch.from_numpy(seen.label_map).long()].numpy() == found.label_map).all()


@pytest.mark.parametrize("scope", ["slice", "volume"])
def test_nothing_found_is_nothing_to_learn_from(scope: str) -> None:
    empty = torch.zeros_like(scene()[0])
    found = segment(empty, support_of(*scene()), SliceEncoder(network(), SIZE), adaptation=adaptation(scope))
    assert not found.label_map.any()


def counted(episodes: Iterator[Episode], clock: list[float], *, seconds: float) -> Iterator[Episode]:
    """Episodes that take some seconds each on a clock."""
    for episode in episodes:
        clock[0] += seconds
        clock.append(clock[0])
        yield episode


@pytest.mark.parametrize(("seconds", "steps"), [(10, 3), (12, 4), (1, 1), (None, 6)])
def test_a_step_that_would_end_too_late_is_not_begun(seconds: float | None, steps: int) -> None:
    clock = [0.0]
    support = support_of(*scene())
    episodes = draw_episodes(LabelledSlices(support.images, support.masks), episode_augmentation(), seed=0)
    training = ShortTraining(steps=6, optimizer=ADAM, seconds=seconds, clock=lambda: clock[0])
    training.adapted(network(), counted(episodes, clock, seconds=3))
    assert len(clock) - 1 == steps


def corrupted(masks: Tensor, how: str) -> Tensor:
    if how == "shifted":
        return masks.roll((9, 9), dims=(1, 2))
    if how == "half removed":
        return masks * (torch.arange(SIZE) < masks.any(1).float().argmax(1)[:, None, None] + 4)
    return torch.randint(0, 3, (len(masks), 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)[
        :, torch.arange(SIZE)[:, None] // 4, torch.arange(SIZE) // 4
    ]


@pytest.mark.parametrize("how", ["shifted", "half removed", "random"])
def test_a_guard_keeps_wrong_labels_from_doing_harm(how: str) -> None:
    net, support, learner = network().eval(), support_of(*scene()), adaptation("volume", steps=30)
    lost: dict[bool, list[float]] = {}
    for seed in (1, 2):
        image, labels = scene(seed)
        images = network_input(axial_slices(image), [1, 2, 3, 4], size=SIZE, adjacent=False)
        found = segment(image, support, SliceEncoder(net, SIZE)).label_map
        numbered = torch.from_numpy((found == 7) + 2 * (found == 3)).to(torch.uint8)[1:5]
        wrong = LabelledSlices(images, corrupted(numbered, how))
        for guard in (None, ReverseGuard(net, images, support)):
            adapted = learner.to_slices(net, wrong, guard)
            loss = dice(found, labels) - dice(segment(image, support, SliceEncoder(adapted, SIZE)).label_map, labels)
            lost.setdefault(guard is not None, []).append(loss)
    assert max(lost[True]) <= 0.005 < max(lost[False])


def test_the_guard_lets_the_same_pass_and_stops_the_spoilt() -> None:
    net, support = network(), support_of(*scene())
    guard = ReverseGuard(net, support_of(*scene(1)).images, support)
    assert guard.check(copy.deepcopy(net)) == guard.start > 0.5
    spoilt = copy.deepcopy(net)
    nn.init.zeros_(spoilt.encoder.mix.weight[:4])
    assert guard.check(spoilt) is None


def test_views_are_of_the_slice_and_its_labels() -> None:
    support = support_of(*scene())
    slices = LabelledSlices(support.images, support.masks)
    for episode in islice(draw_episodes(slices, episode_augmentation(), seed=0), 10):
        assert episode.query_images.shape == episode.support_images.shape == (1, 1, 3, SIZE, SIZE)
        labels = episode.support_masks.shape[1]
        assert sorted(episode.query_labels.unique().tolist()) == list(range(1 + labels))
        assert (episode.support_masks.sum(1) <= 1).all()
        # The square is 0.9 bright, the disc 0.5.
        means = [
            float(episode.query_images[0, 0, 0][episode.query_labels[0, 0] == k].mean()) for k in range(1 + labels)
        ]
        assert min(means[1:]) > 0.3 > means[0]


def test_slices_without_labels_give_no_episode() -> None:
    empty = LabelledSlices(torch.zeros(1, 3, SIZE, SIZE), torch.zeros(1, SIZE, SIZE, dtype=torch.uint8))
    assert list(draw_episodes(empty, episode_augmentation(), seed=0)) == []


@pytest.mark.parametrize("scope", ["slice", "volume", "support"])
def test_an_override_file_switches_it_on(scope: str) -> None:
    configs = f"{protoseg.bundle_root()}/configs"
    parser = ConfigParser()
    parser.read_config([f"{configs}/inference.yaml", f"{configs}/adaptation/{scope}.yaml"])
    assert parser.get_parsed_content("adaptation").scope == scope


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scope": "scan"}, "The scope of adaptation is 'scan'; choose 'slice', 'volume' or 'support'."),
        ({"scope": "volume", "tuning": "frozen"}, "tuning of adaptation is 'frozen'; choose 'lora' or 'full'."),
        ({"scope": "volume", "steps": 0}, "steps of adaptation is 0; it must be at least 1."),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as error:
        adaptation(**arguments)
    assert str(error.value) == message
