"""The DICOM SEG writer, dcmqi's `itkimage2segimage`, taken from where pip put it.

Defect of MONAI Label 0.8.5: unless the program is on the PATH, the server downloads it at every first start, and does
not start without internet.
"""

import os
import shutil
import sysconfig

from monailabel.interfaces.app import MONAILabelApp

from lib.server.patching import patch
from protoseg.errors import InputError

__all__ = ["patch_dcmqi"]


def patch_dcmqi() -> None:
    """Put the environment's programs on the PATH, and never download any."""
    programs = sysconfig.get_path("scripts")
    if programs not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([programs, os.environ["PATH"]])
    patch(
        MONAILabelApp,
        "_download_dcmqi_tools",
        lambda original: _check_installed,
        takes="self",
        defect="the server downloads dcmqi when it first starts, and does not start without internet",
    )


def _check_installed(app: MONAILabelApp) -> None:
    if not shutil.which("itkimage2segimage"):
        raise InputError("itkimage2segimage, which writes DICOM SEG, is missing. Install it: pip install dcmqi")
