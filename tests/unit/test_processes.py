"""What one of several processes takes, and how what they have is put together."""

import ignite.distributed as idist
import pytest
import torch
from torch.utils.data import DataLoader

from protoseg.errors import InputError
from protoseg.networks.alpnet import EpisodeLoss, EpisodeOutput
from protoseg.workflows.handlers import global_loss
from protoseg.workflows.handlers.global_loss import GlobalEpisodeLoss
from protoseg.workflows.processes import batch_share, data_parallel, gather_in_turn, join_processes, local_device
from protoseg.workflows.scan_sampler import ScanSampler


@pytest.fixture
def be(monkeypatch):
    """Be one of several processes."""

    def become(rank, world_size):
        monkeypatch.setattr(idist, "get_rank", lambda: rank)
        monkeypatch.setattr(idist, "get_world_size", lambda: world_size)

    return become


@pytest.mark.parametrize(("scans", "processes"), [(5, 2), (1, 2), (4, 2), (3, 1), (7, 3)])
def test_each_scan_is_given_to_one_process(be, monkeypatch, scans, processes):
    shares = []
    for rank in range(processes):
        be(rank, processes)
        sampler = ScanSampler(range(scans))
        shares.append([int(batch) for batch in DataLoader(range(scans), sampler=sampler)])
        assert len(shares[-1]) <= len(sampler) == -(-scans // processes)
    monkeypatch.setattr(idist, "all_gather", lambda mine: shares)
    assert gather_in_turn(shares[0]) == list(range(scans))


def test_a_process_alone_has_everything():
    assert gather_in_turn(["first", "second"]) == ["first", "second"]
    assert batch_share(3) == 3
    network = torch.nn.Linear(1, 1)
    assert data_parallel(network, "cpu") is network
    join_processes("cpu")
    assert not torch.distributed.is_initialized()


def test_a_batch_is_shared_evenly_or_not_at_all(be):
    be(1, 2)
    assert batch_share(6) == 3
    with pytest.raises(InputError) as caught:
        batch_share(5)
    assert str(caught.value) == (
        "batch_size is 5 episodes an iteration, which 2 processes cannot share evenly. Choose a multiple of 2."
    )


def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert local_device() == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(InputError) as caught:
        local_device()
    assert str(caught.value) == (
        "torchrun started more than 2 processes on this machine, which has 2 GPU(s). Give --nproc_per_node=2."
    )


def test_the_loss_of_shares_is_that_of_the_whole_batch(monkeypatch):
    """The labels of the two shares differ much in size, and so do the weights of their pixels."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 1, 2, 8, 8, generator=generator, requires_grad=True)
    target = torch.zeros(4, 1, 8, 8, dtype=torch.long)
    target[0, :, :6] = target[2, :, 3:5, 3] = 1
    aligned = torch.tensor([0.2, 0.6])
    whole = EpisodeLoss()(EpisodeOutput(logits, aligned.mean()), target)
    (expected,) = torch.autograd.grad(whole, logits)

    shares = [slice(0, 2), slice(2, 4)]
    weights = [torch.where(target[share] > 0, 1.0, 0.05).sum() for share in shares]
    monkeypatch.setattr(global_loss, "mean_over_processes", lambda _: sum(weights) / 2)
    own = [
        EpisodeLoss.forward(GlobalEpisodeLoss(), EpisodeOutput(logits[share], aligned[number]), target[share])
        for number, share in enumerate(shares)
    ]
    torch.testing.assert_close(sum(own) / 2, whole)
    (found,) = torch.autograd.grad(sum(own) / 2, logits)
    torch.testing.assert_close(found, expected)


def test_the_loss_of_a_process_alone_is_the_plain_one():
    output = EpisodeOutput(torch.randn(2, 1, 2, 4, 4), torch.tensor(0.3))
    target = torch.ones(2, 1, 4, 4, dtype=torch.long)
    assert GlobalEpisodeLoss()(output, target) == EpisodeLoss()(output, target)
