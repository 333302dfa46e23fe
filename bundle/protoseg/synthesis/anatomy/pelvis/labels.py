"""The labels of the pelvis."""

__all__ = ["PELVIS_LABELS"]

PELVIS_LABELS: dict[str, int] = {
    "urinary_bladder": 1,
    "prostate": 2,
    "uterus": 3,
    "rectum": 4,
    "bowel": 5,
    "right_hip": 6,
    "left_hip": 7,
    "sacrum": 8,
    "vertebrae": 9,
    "right_femur": 10,
    "left_femur": 11,
    "right_gluteus": 12,
    "left_gluteus": 13,
    "psoas": 14,
    "iliac_arteries": 15,
    "iliac_veins": 16,
    "aorta": 17,
    "vena_cava": 18,
}
