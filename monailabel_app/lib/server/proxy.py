"""The DICOMweb proxy that OHIF reads studies through.

Defect of MONAI Label 0.8.5: it drops the query string, so that no study filter works and opening one patient may list
another's studies.
"""

from fastapi import Request, Response
from monailabel.endpoints import proxy

__all__ = ["patch_proxy"]


def patch_proxy() -> None:
    """Send the query string on."""
    original = getattr(proxy.proxy_dicom, "__wrapped__", proxy.proxy_dicom)

    async def proxy_dicom(request: Request, op: str, path: str) -> Response:
        query = request.url.query
        # Metadata are told by how the path ends, and take no filter.
        return await original(request, op, f"{path}?{query}" if query and not path.endswith("metadata") else path)

    proxy_dicom.__wrapped__ = original  # type: ignore[attr-defined]
    proxy.proxy_dicom = proxy_dicom
