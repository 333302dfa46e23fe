"""The labels of the abdomen."""

__all__ = ["ABDOMEN_LABELS"]

ABDOMEN_LABELS: dict[str, int] = {
    "spleen": 1,
    "right_kidney": 2,
    "left_kidney": 3,
    "liver": 4,
    "gallbladder": 5,
    "stomach": 6,
    "pancreas": 7,
    "aorta": 8,
    "vena_cava": 9,
    "vertebrae": 10,
    "bowel": 11,
    "lungs": 12,
    "psoas": 13,
}
