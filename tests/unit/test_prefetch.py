import threading

import pytest
from torch.utils.data import DataLoader, Dataset

from protoseg.data.io.prefetch import Prefetch
from protoseg.errors import InputError


class Scans(Dataset):
    def __init__(self, broken=None):
        self.broken = broken
        self.read = []
        self.second_is_read = threading.Event()

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index == self.broken:
            raise InputError("scan 2 is broken.")
        self.read.append(index)
        if index == 1:
            self.second_is_read.set()
        return index


def batches(scans):
    return Prefetch(DataLoader(scans, batch_size=1))


def test_all_batches_come_in_order():
    assert [int(batch) for batch in batches(Scans())] == [0, 1, 2, 3]
    assert len(batches(Scans())) == 4


def test_the_next_scan_is_read_while_the_first_is_used():
    scans = Scans()
    for batch in batches(scans):
        if int(batch) == 0:
            assert scans.second_is_read.wait(timeout=600)  # only a test that fails waits so long


def test_an_error_arrives_as_it_was_raised():
    seen = []
    with pytest.raises(InputError, match=r"^scan 2 is broken\.$"):
        for batch in batches(Scans(broken=2)):
            seen.append(int(batch))
    assert seen == [0, 1], "what could be read is used"
