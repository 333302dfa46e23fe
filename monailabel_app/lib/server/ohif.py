"""The OHIF viewer that MONAI Label serves, with a mode and a panel of the app's own.

The viewer loads extensions and modes at run time, by its configuration: those in `ohif/` are named there. They are
plain JavaScript modules, and know the viewer by its services, commands and tools alone.

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

EXTENSION = Path(__file__).with_name("ohif")
ADDRESS = "protoseg/"  # of the extension's files, under that of the viewer
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css"}
CONFIGURE = f'<script src="/ohif/{ADDRESS}config.js"></script></head>'
VIEWER = Path(ohif.__file__).resolve().parent / "static" / "ohif"
LABEL_IS_DRAWN = "label_names.push(label);"
BACKGROUND_IS_NOT = f"if (label !== 'background') {{ {LABEL_IS_DRAWN} }}"


def patch_ohif() -> None:
    """Serve the viewer with the app's extension in it, and with "background" out of MONAI Label's labels."""
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
        lambda original: _with_extension(original, mended),
        takes="path",
        defect="the viewer looks for the server on port 8000, cannot submit labels, and draws the background",
    )


def _with_extension(original: Callable[[str], Response], mended: Mapping[Path, str]) -> Callable[[str], Response]:
    parts = {f"{ADDRESS}{file.name}": file for file in EXTENSION.iterdir() if file.suffix in MEDIA_TYPES}

    def get_ohif(path: str) -> Response:
        if path in parts:
            media_type = MEDIA_TYPES[parts[path].suffix]
            return FileResponse(parts[path], media_type=media_type, headers={"Cache-Control": "no-cache"})
        response = original(path)
        file = Path(response.path) if isinstance(response, FileResponse) else None
        if file is not None and file in mended:
            return Response(mended[file], media_type="text/javascript")
        if file == VIEWER / "index.html":
            return HTMLResponse(file.read_text(encoding="utf-8").replace("</head>", CONFIGURE, 1))
        return response

    return get_ohif
