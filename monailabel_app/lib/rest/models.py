"""Answers of the REST interface, as OpenAPI describes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lib.library.examples import Example
from lib.library.record import Removal
from protoseg.data.io.anatomy_codes import label_color

__all__ = [
    "ChangeRequest",
    "ExampleAnswer",
    "ExampleLabelAnswer",
    "ImportAnswer",
    "LabelAnswer",
    "LibraryAnswer",
    "RemovalAnswer",
    "describe",
    "describe_removal",
]


class LabelAnswer(BaseModel):
    """One label of an example."""

    name: str
    value: int = Field(description="in the label maps that come out")
    color: tuple[int, int, int] = Field(description="red, green and blue, 0 to 255")
    slices: list[int] = Field(description="slices of the example that show it")


class ExampleLabelAnswer(LabelAnswer):
    """One label of an example, and what the other examples say of it."""

    agreement: float | None = Field(
        description="Dice with what the other examples find on its slices; null where that is not known"
    )
    doubt: str = Field(description="why it should be checked; empty where the others agree as they do among themselves")


class ExampleAnswer(BaseModel):
    """An example: a labelled study, or a support that was imported."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "9f2c41d07a3be856",
                "study": "patient_07",
                "patient": "",
                "enabled": True,
                "weight": 1.0,
                "labels": [
                    {
                        "name": "liver",
                        "value": 1,
                        "color": [221, 130, 101],
                        "slices": [11, 12, 13],
                        "agreement": 0.31,
                        "doubt": "agrees with the other examples by a Dice of 0.31, these by 0.87",
                    }
                ],
                "slices": [11, 12, 13],
                "serving_slices": [12],
                "plane": "axial",
                "series": "MR T1",
                "by": "anna",
                "at": "2026-03-01T09:30:00Z",
                "provenance": {"kind": "study", "file": "patient_07.nii.gz"},
                "problem": "",
                "thumbnail": "/library/examples/9f2c41d07a3be856/thumbnail?version=4be1",
            }
        }
    )

    id: str = Field(description="digits by which the example is known")
    study: str = Field(description="name of the image, or SeriesInstanceUID on a DICOM server")
    patient: str = Field(description="PatientID on a DICOM server; empty otherwise")
    enabled: bool = Field(description="whether other studies are segmented by it")
    weight: float = Field(description="by which its votes are multiplied, 0 to 1; with 0 it does not serve")
    labels: list[ExampleLabelAnswer]
    slices: list[int] = Field(
        description="counted from the feet; coronal ones from the front, sagittal ones from the right"
    )
    serving_slices: list[int] = Field(description="those that are used now; --conf max_support_slices bounds them")
    plane: str
    series: str = Field(description="kind of its series, by its DICOM tags; such ones serve first. Empty if unknown")
    by: str = Field(description="who labelled it; 'unknown' where no proxy named the user")
    at: str = Field(description="when, UTC; empty where nobody knows")
    provenance: dict[str, str] = Field(description="where it comes from; of an imported one, also who exported it")
    problem: str = Field(description="why it is of no use; empty where it is")
    thumbnail: str = Field(description="address of a picture; empty where there is none")


class RemovalAnswer(BaseModel):
    """An example that was removed, and can be restored."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "77aa01c2d3e4f506",
                "study": "patient_07",
                "labels": ["liver"],
                "by": "anna",
                "at": "2026-03-02T10:00:00Z",
                "kept": "The label is kept in the app's folder, .protoseg/removed, and can be restored.",
            }
        }
    )

    id: str = Field(description="of the removal")
    study: str
    labels: list[str]
    by: str = Field(description="who removed it")
    at: str
    kept: str = Field(description="what became of the label")


class LibraryAnswer(BaseModel):
    """All examples."""

    examples: list[ExampleAnswer]
    removed: list[RemovalAnswer]


class ChangeRequest(BaseModel):
    """A change of an example; what is not given stays."""

    model_config = ConfigDict(json_schema_extra={"example": {"weight": 0.5}}, extra="forbid")

    enabled: bool | None = Field(None, description="whether it serves", strict=True)
    weight: float | None = Field(None, description="by which its votes are multiplied", strict=True, ge=0, le=1)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.enabled is None and self.weight is None:
            raise ValueError("nothing to change; give enabled, weight or both")
        return self


class ImportAnswer(BaseModel):
    """What became of an archive."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"imported": ["9f2c41d07a3be856"], "already_there": ["0a1b2c3d4e5f6071"]}}
    )

    imported: list[str] = Field(description="ids of new examples")
    already_there: list[str] = Field(description="ids of examples that have equal slices and labels")


def describe(example: Example, values: Mapping[str, int]) -> ExampleAnswer:
    """Describe an example.

    Args:
        example: example of the library.
        values: values of labels on this server, by name.
    """
    sketch = example.sketch
    labels = [
        ExampleLabelAnswer(
            name=name,
            value=values[name],
            color=label_color(name, values[name]),
            slices=list(slices),
            agreement=round(example.agreements[name].dice, 3) if name in example.agreements else None,
            doubt=example.agreements[name].doubt if name in example.agreements else "",
        )
        for name, slices in (sketch.labels if sketch else {}).items()
    ]
    thumbnail = f"/library/examples/{example.id}/thumbnail?version={quote(example.version)}" if sketch else ""
    return ExampleAnswer(
        id=example.id,
        study=example.study,
        patient=example.patient,
        enabled=example.enabled,
        weight=example.weight,
        labels=labels,
        slices=list(sketch.slices) if sketch else [],
        serving_slices=sorted(example.serving),
        plane=sketch.plane if sketch else "",
        series=example.source.kind,
        by=example.by,
        at=example.at,
        provenance=dict(example.provenance),
        problem=example.problem,
        thumbnail=thumbnail,
    )


def describe_removal(removal: Removal) -> RemovalAnswer:
    """Describe what was removed."""
    if removal.imported:
        kept = "The slices are kept in the app's folder, .protoseg/imported, and can be restored."
    elif removal.version:
        kept = "The DICOM SEG stays on the DICOM server and is passed over; it can be restored."
    else:
        kept = "The label is kept in the app's folder, .protoseg/removed, and can be restored."
    return RemovalAnswer(
        id=removal.id, study=removal.study, labels=list(removal.labels), by=removal.by, at=removal.at, kept=kept
    )
