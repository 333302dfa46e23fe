"""The labels of the chest."""

__all__ = ["CHEST_LABELS"]

CHEST_LABELS: dict[str, int] = {
    "spleen": 1,
    "right_lung": 2,
    "left_lung": 3,
    "liver": 4,
    "heart_myocardium": 5,
    "stomach": 6,
    "pulmonary_artery": 7,
    "aorta": 8,
    "vena_cava": 9,
    "vertebrae": 10,
    "superior_vena_cava": 11,
    "heart_left_ventricle": 12,
    "heart_right_ventricle": 13,
    "heart_left_atrium": 14,
    "heart_right_atrium": 15,
    "trachea": 16,
    "oesophagus": 17,
    "thyroid": 18,
    "ribs": 19,
    "sternum": 20,
    "scapulae": 21,
    "clavicles": 22,
    "humeri": 23,
}
"""What the abdomen has too keeps its value there, since the abdomen's functions paint it."""
