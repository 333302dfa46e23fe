"""The OHIF viewer that MONAI Label serves.

Defects of MONAI Label 0.8.5: the viewer looks for the server on port 8000 wherever the page itself came from; it has
no way to submit a label map; and after a click on "background" it takes that for a label, and draws a part of the
answer as a segment without a name. The first two were reported as
https://github.com/Project-MONAI/MONAILabel/pull/1588 and
https://github.com/Project-MONAI/MONAILabel/issues/1805
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from fastapi.responses import FileResponse, HTMLResponse, Response
from monailabel.endpoints import ohif

from lib.server.patching import PatchError, patch

__all__ = ["patch_ohif"]

SCRIPT = Path(__file__).with_name("ohif.js")
VIEWER = Path(ohif.__file__).resolve().parent / "static" / "ohif"
LABEL_IS_DRAWN = "label_names.push(label);"
BACKGROUND_IS_NOT = f"if (label !== 'background') {{ {LABEL_IS_DRAWN} }}"


def patch_ohif() -> None:
    """Serve the viewer with `ohif.js` in its page, and with "background" out of its labels."""
    programs = {path: path.read_text(encoding="utf-8") for path in VIEWER.glob("*.bundle.*.js")}
    mended = {
        path: text.replace(LABEL_IS_DRAWN, BACKGROUND_IS_NOT)
        for path, text in programs.items()
        if LABEL_IS_DRAWN in text
    }
    if not mended or "</head>" not in (VIEWER / "index.html").read_text(encoding="utf-8"):
        raise PatchError(
            f"The OHIF viewer in {VIEWER} is another than MONAI Label 0.8 has: without a page, or its plug-in lacks "
            f"`{LABEL_IS_DRAWN}`, by which it draws the background as a label. See whether that is still so."
        )
    patch(
        ohif,
        "get_ohif",
        lambda original: _mended_pages(original, mended),
        takes="path",
        defect="the viewer looks for the server on port 8000, cannot submit labels, and draws the background",
    )


def _mended_pages(original: Callable[[str], Response], mended: Mapping[Path, str]) -> Callable[[str], Response]:
    def get_ohif(path: str) -> Response:
        response = original(path)
        file = Path(response.path) if isinstance(response, FileResponse) else None
        if file is not None and file in mended:
            return Response(mended[file], media_type="text/javascript")
        if file == VIEWER / "index.html":
            script = f"<script>\n{SCRIPT.read_text(encoding='utf-8')}</script></head>"
            return HTMLResponse(file.read_text(encoding="utf-8").replace("</head>", script, 1))
        return response

    return get_ohif
