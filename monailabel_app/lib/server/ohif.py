"""The OHIF viewer that MONAI Label serves.

Defects of MONAI Label 0.8.5: the viewer looks for the server on port 8000 wherever the page itself came from; it has
no way to submit a label map; and after a click on "background" it takes that for a label, and draws a part of the
answer as a segment without a name.
"""

from pathlib import Path

from fastapi.responses import FileResponse, HTMLResponse, Response
from monailabel.endpoints import ohif

__all__ = ["patch_ohif"]

SCRIPT = Path(__file__).with_name("ohif.js")
VIEWER = Path(ohif.__file__).resolve().parent / "static" / "ohif"
LABEL_IS_DRAWN = "label_names.push(label);"
BACKGROUND_IS_NOT = f"if (label !== 'background') {{ {LABEL_IS_DRAWN} }}"


def patch_ohif() -> None:
    """Serve the viewer with `ohif.js` in its page, and with "background" out of its labels."""
    original = getattr(ohif.get_ohif, "__wrapped__", ohif.get_ohif)
    programs = {path: path.read_text(encoding="utf-8") for path in VIEWER.glob("*.bundle.*.js")}
    mended = {
        path: text.replace(LABEL_IS_DRAWN, BACKGROUND_IS_NOT)
        for path, text in programs.items()
        if LABEL_IS_DRAWN in text
    }

    def get_ohif(path: str) -> Response:
        response = original(path)
        file = Path(response.path) if isinstance(response, FileResponse) else None
        if file in mended:
            return Response(mended[file], media_type="text/javascript")
        if file == VIEWER / "index.html":
            script = f"<script>\n{SCRIPT.read_text(encoding='utf-8')}</script></head>"
            return HTMLResponse(file.read_text(encoding="utf-8").replace("</head>", script, 1))
        return response

    get_ohif.__wrapped__ = original  # type: ignore[attr-defined]
    ohif.get_ohif = get_ohif
