"""Intensity windows that the preprocessing and the synthesis share."""

__all__ = ["CT_WINDOW"]

CT_WINDOW = (-125.0, 275.0)  # HU, published for abdominal CT
