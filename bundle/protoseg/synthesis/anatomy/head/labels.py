"""The labels of the head."""

__all__ = ["HEAD_LABELS"]

HEAD_LABELS: dict[str, int] = {
    name: value
    for value, name in enumerate(
        (
            "right_cerebrum",
            "left_cerebrum",
            "ventricles",
            "thalami",
            "caudate_nuclei",
            "lentiform_nuclei",
            "hippocampi",
            "cerebellum",
            "brainstem",
            "spinal_cord",
            "skull",
            "mandible",
            "vertebrae",
            "right_eye",
            "left_eye",
            "sinuses",
            "airway",
            "tongue",
            "parotid_glands",
            "submandibular_glands",
            "thyroid",
            "carotid_arteries",
            "jugular_veins",
        ),
        start=1,
    )
}
