"""Kinds of series, such as T1 and T2 of one study, and which examples serve a query of a kind.

The rule: examples of the query's kind serve it. A label that none of them shows comes from those of the
same weighting, such as T1 with contrast agent for T1; or else from those of the same modality or of no known kind; or
else from all others. If the query's kind is unknown, all serve.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

__all__ = ["TAGS", "labels_that_serve", "series_kind"]

TAGS = (
    "Modality",
    "SeriesDescription",
    "ProtocolName",
    "SequenceName",
    "EchoTime",
    "ContrastBolusAgent",
)  # DICOM attributes that tell the kind
# Of MR: the first that occurs in the name of the series, protocol or sequence; "ep_b0" is a diffusion sequence.
WEIGHTINGS = (
    ("ADC", r"adc|apparent"),
    ("DWI", r"dwi|diff|trace|ep ?b\d|\bb ?=? ?\d{2,4}\b|\bdti\b"),
    ("FLAIR", r"flair|tirm"),
    ("T2", r"t2|haste|ssfse|blade|mrcp"),
    ("T1", r"t1|vibe|lava|thrive|flash|mprage|mp-?rage|spgr|bravo|\bfl[23]d"),
    ("PD", r"\bpd|proton"),
)
PHASES = (  # of CT, and of T1 with contrast agent
    ("arterial", r"arter|\bart\b"),
    ("portal", r"portal|venous|\bpv\b|\bven\b"),
    ("delayed", r"delay|\blate\b|excret|equilib"),
    ("native", r"native|\bnativ|non ?-?contrast|unenhanced|plain|\bpre\b"),
)
IN_OR_OUT = (("in phase", r"in ?-?phase|\bin\b"), ("opposed phase", r"(out|opp)\w*[ -]?phase|\bopp?\b|\bout\b"))
LONG_ECHO, SHORT_ECHO = 60.0, 10.0  # ms; T2 has a longer echo time, gradient echoes that weight T1 a shorter one


def series_kind(tags: Mapping[str, Any]) -> str:
    """Name the kind of a series, such as "MR T1 in phase" or "CT portal".

    Args:
        tags: DICOM attributes by keyword, see `TAGS`; unknown ones may be missing or empty.

    Returns:
        Modality, weighting and phase, as far as they are known; empty if even the modality is unknown.
    """
    modality = str(tags.get("Modality") or "").strip().upper()
    if not re.fullmatch(r"[A-Z]{2,16}", modality):
        return ""
    named = " ".join(str(tags.get(tag) or "") for tag in ("SeriesDescription", "ProtocolName", "SequenceName"))
    named = re.sub(r"[_*./,;:()\[\]]+", " ", named.lower())
    weighting = (_first(WEIGHTINGS, named) or _by_echo(tags.get("EchoTime"))) if modality == "MR" else ""
    phase = ""
    if modality == "CT" or weighting == "T1":
        contrast = "contrast" if str(tags.get("ContrastBolusAgent") or "").strip() else ""
        phase = _first(PHASES, named) or contrast
    if weighting == "T1" and not phase:
        phase = _first(IN_OR_OUT, named)
    return " ".join(part for part in (modality, weighting, phase) if part)


def labels_that_serve(kind: str, examples: Sequence[tuple[str, Collection[str]]]) -> list[set[str]]:
    """List, for each example, the labels with which it serves a query.

    Args:
        kind: kind of the query.
        examples: kind and labels of each example.
    """
    distances = [_distance(kind, other) for other, _ in examples]
    nearest: dict[str, int] = {}
    for distance, (_, labels) in zip(distances, examples, strict=True):
        for label in labels:
            nearest[label] = min(distance, nearest.get(label, distance))
    return [
        {label for label in labels if nearest[label] == distance}
        for distance, (_, labels) in zip(distances, examples, strict=True)
    ]


def _distance(kind: str, other: str) -> int:
    if not kind or kind == other:
        return 0
    mine, theirs = kind.split(), other.split()
    if len(mine) > 1 < len(theirs) and mine[0] == theirs[0] == "MR" and mine[1] == theirs[1]:
        return 1
    return 2 if not theirs or mine[0] == theirs[0] else 3


def _first(rules: Sequence[tuple[str, str]], text: str) -> str:
    return next((name for name, pattern in rules if re.search(pattern, text)), "")


def _by_echo(echo_time: Any) -> str:
    try:
        milliseconds = float(echo_time)
    except (TypeError, ValueError):
        return ""
    if milliseconds >= LONG_ECHO:
        return "T2"
    return "T1" if 0 < milliseconds <= SHORT_ECHO else ""
