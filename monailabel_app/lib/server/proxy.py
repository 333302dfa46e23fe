"""The DICOMweb proxy that OHIF reads studies through.

Defect of MONAI Label 0.8.5: it drops the query string, so that no study filter works and opening one patient may list
another's studies. Reported as https://github.com/Project-MONAI/MONAILabel/issues/1835
"""

from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from monailabel.endpoints import proxy

from lib.server.patching import patch

__all__ = ["patch_proxy"]


def patch_proxy() -> None:
    """Send the query string on."""
    patch(
        proxy,
        "proxy_dicom",
        _with_query,
        takes="request op path",
        defect="the DICOMweb proxy drops the query string, so that no study filter works",
    )


def _with_query(original: Callable[..., Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
    async def proxy_dicom(request: Request, op: str, path: str) -> Response:
        query = request.url.query
        # Metadata are told by how the path ends, and take no filter.
        return await original(request, op, f"{path}?{query}" if query and not path.endswith("metadata") else path)

    return proxy_dicom
