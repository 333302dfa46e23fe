"""Pages that need nothing else: pictures are embedded, and nothing is fetched."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

__all__ = ["data_uri", "render_page", "svg_uri"]


def render_page(template: str, **content: Any) -> str:
    """Render a template of this folder; its filter `figure` shows a mean with its interval."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = _figure
    return environment.get_template(template).render(**content)


def svg_uri(figure: Figure) -> str:
    """Write a figure as the address of an image."""
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "report"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return data_uri(buffer.getvalue(), "image/svg+xml")


def data_uri(content: bytes, kind: str) -> str:
    """Write the content of a file as an address that holds it; `kind` is its media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _figure(figure: Mapping[str, Any]) -> Markup:
    """Write a mean with its interval as text."""
    if figure["mean"] is None:
        return Markup("–")
    if figure["interval"] is None:
        return Markup("{}").format(_text(figure["mean"]))
    low, high = (_text(bound) for bound in figure["interval"])
    return Markup("{} <small>{}–{}</small>").format(_text(figure["mean"]), low, high)


def _text(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.1f}"
