"""The chest, from the thyroid to the domes of the diaphragm."""
