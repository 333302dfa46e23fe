"""Training runs that are refused."""

import shutil

import pytest

from protoseg.errors import InputError


def test_a_checkpoint_of_the_network_alone_cannot_be_resumed(start_training, trained, tmp_path):
    shutil.copy(trained / "best.pt", tmp_path / "last.pt")
    workflow = start_training(tmp_path)
    with pytest.raises(Exception) as caught:
        workflow.run()
    assert str(caught.value.__cause__) == (
        f"{tmp_path / 'last.pt'} lacks optimizer, lr_scheduler, loss, iteration, best_metric, best_metric_epoch, "
        "random, random_cuda: it was not written as the last.pt of a training run. Delete it to start afresh; to start "
        "from the weights in it, give it another name and pass that as weights."
    )


def test_training_in_float16_is_refused(start_training, tmp_path):
    workflow = start_training(tmp_path, precision="float16")
    with pytest.raises(Exception) as caught:
        workflow.run()
    assert isinstance(caught.value.__cause__, InputError)
    assert str(caught.value.__cause__) == (
        "precision is 'float16', in which small gradients vanish; training takes auto, float32 or bfloat16. "
        "Choose one of these: the trained network can still be used in float16."
    )
