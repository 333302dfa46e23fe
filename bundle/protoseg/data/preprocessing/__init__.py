"""Preprocessing: from a scan as it was read to the volume that the engine works on."""
