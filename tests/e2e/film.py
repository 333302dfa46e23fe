"""Pictures of the browser tests as a film of a minute: python tests/e2e/film.py PICTURES FILM.webp

PICTURES is the folder that PROTOSEG_SCREENSHOTS named when tests/e2e/test_ohif_panel.py ran.
"""

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

__all__ = ["write_film"]

WIDTH = 960
LARGEST = 1.5e6  # bytes
SCENES = {  # by picture: what is told below it; 6 s each
    "ohif_panel_labelled": "A study that is labelled begins with its label, and says whose it is.",
    "ohif_panel_new": "The next study: the structures that were labelled before are offered.",
    "ohif_panel_point": "One click on the spleen finds it in all slices.",
    "ohif_panel_correction": "Where it is too large, a click says what it is not. Everything can be undone.",
    "ohif_panel_box": "A box around a structure of one's own, whatever its shape.",
    "ohif_panel_after_reload": "Nothing is lost by a reload, or while the server is away.",
    "ohif_panel_everything": "Everything known is segmented at once, each with an estimate of its Dice.",
    "ohif_panel_library": "Accepted: it is an example now. Examples can be weighed and switched off.",
    "ohif_panel_range": "Answers and accepted labels can be limited to some slices.",
    "ohif_panel_carried": "A label is carried to another series of the study, by its places.",
}
SECONDS = 60 / len(SCENES)


def write_film(pictures: Path, film: Path) -> None:
    """Write the scenes as one animated WebP.

    Args:
        pictures: folder of the scenes' pictures.
        film: file to write.
    """
    missing = [name for name in SCENES if not (pictures / f"{name}.png").is_file()]
    if missing:
        sys.exit(f"{pictures} lacks {', '.join(missing)}. Run tests/e2e/test_ohif_panel.py with PROTOSEG_SCREENSHOTS.")
    frames = [_frame(pictures / f"{name}.png", text) for name, text in SCENES.items()]
    for quality in (70, 55, 40, 25):
        frames[0].save(
            film,
            save_all=True,
            append_images=frames[1:],
            duration=round(1000 * SECONDS),
            loop=0,
            quality=quality,
            method=6,
        )
        if film.stat().st_size <= LARGEST:
            return
    sys.exit(f"{film} has {film.stat().st_size} bytes, expected at most {LARGEST:.0f}.")


def _frame(picture: Path, text: str) -> Image.Image:
    """Scale a picture down and put a line of text below it."""
    with Image.open(picture) as image:
        small = image.convert("RGB").resize(
            (WIDTH, round(WIDTH * image.height / image.width)), Image.Resampling.LANCZOS
        )
    frame = Image.new("RGB", (WIDTH, small.height + 44), "#090c29")
    frame.paste(small)
    font = ImageFont.load_default(size=20)
    ImageDraw.Draw(frame).text((WIDTH / 2, small.height + 22), text, "#eef2ff", font, "mm")
    return frame


if __name__ == "__main__":
    write_film(Path(sys.argv[1]), Path(sys.argv[2]))
