"""The list of sub-commands in the help, by what they are for."""

from __future__ import annotations

import click

__all__ = ["SECTIONS", "SectionedGroup"]

SECTIONS = {
    "Segment": ("demo", "segment", "click", "serve", "info"),
    "Judge": ("evaluate", "suite", "study", "calibrate"),
    "Train": ("train", "adapt", "join", "average"),
    "Data and weights": ("synthesize", "prepare", "to-dicom", "features", "fetch", "export"),
}
WHOLE = 200  # characters of a summary before it would be cut short


class SectionedGroup(click.Group):
    """A command whose help lists its sub-commands in sections."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections; a sub-command in none of them is not shown."""
        width = max(map(len, self.commands))
        for title, names in SECTIONS.items():
            with formatter.section(title):
                texts = [self.commands[name].get_short_help_str(WHOLE) for name in names]
                formatter.write_dl([(name.ljust(width), text) for name, text in zip(names, texts)])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say where to read on."""
        formatter.write_paragraph()
        formatter.write_text("Begin with protoseg demo --quick. protoseg COMMAND --help tells options.")
