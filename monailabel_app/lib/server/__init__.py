"""What MONAI Label 0.8.5 lacks or does wrong as a server, put right at run time.

One file a repair; each says first which defect it mends, so that it can go when the defect does.
"""

import sys

from lib.server.access import repair_access
from lib.server.dcmqi import repair_dcmqi
from lib.server.dicom_datastore import repair_dicom_datastore
from lib.server.endpoints import repair_endpoints
from lib.server.folder_datastore import repair_folder_datastore
from lib.server.ohif import repair_ohif
from lib.server.proxy import repair_proxy
from lib.server.sessions import repair_sessions

__all__ = ["repair_server"]


def repair_server() -> None:
    """Apply all repairs; call it when the app's main module is imported, before the app is made."""
    repair_dcmqi()
    repair_folder_datastore()
    repair_dicom_datastore()
    repair_sessions()
    repair_proxy()
    repair_ohif()
    repair_endpoints()
    server = sys.modules.get("monailabel.app")
    if server is not None:  # None in the processes that train and score: they answer no requests
        repair_access(server.app)
