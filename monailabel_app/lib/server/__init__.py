"""Repairs of MONAI Label 0.8.5 as a server, made at run time.

One file per repair; each begins with the defect that it mends, so that it can go when the defect does. They replace
functions and classes by `patching`, which refuses originals that have changed.
"""

import sys

from lib.server.access import patch_access
from lib.server.dcmqi import patch_dcmqi
from lib.server.dicom_datastore import patch_dicom_datastore
from lib.server.endpoints import patch_endpoints
from lib.server.folder_datastore import patch_folder_datastore
from lib.server.ohif import patch_ohif
from lib.server.proxy import patch_proxy
from lib.server.roles import patch_reload, patch_roles
from lib.server.sessions import patch_sessions
from lib.server.submitting import patch_submitting
from lib.server.users import patch_users

__all__ = ["patch_server"]


def patch_server() -> None:
    """Apply all repairs; call it when the app's main module is imported, before the app is made."""
    patch_dcmqi()
    patch_folder_datastore()
    patch_dicom_datastore()
    patch_sessions()
    patch_proxy()
    patch_ohif()
    patch_submitting()
    patch_roles()
    patch_endpoints()
    server = sys.modules.get("monailabel.app")
    if server is not None:  # None in the processes that train and score: they answer no requests
        patch_users(server.app)
        patch_reload(server.app)
        patch_access(server.app)
