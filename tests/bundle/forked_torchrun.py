"""torchrun, but its processes are forked: one import of torch and MONAI serves all of them, also those restarted.

python forked_torchrun.py [OPTIONS OF TORCHRUN] -m MODULE [ARGUMENTS]
"""

import runpy
import sys

import monai.bundle  # noqa: F401  # what takes seconds
from torch.distributed.launcher.api import elastic_launch
from torch.distributed.run import config_from_args, parse_args


def work(module: str, *arguments: str) -> None:
    """Run a module as `python -m` does."""
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    told = parse_args(sys.argv[1:])
    config, _, _ = config_from_args(told)
    config.start_method = "fork"
    elastic_launch(config, work)(told.training_script, *told.training_script_args)
