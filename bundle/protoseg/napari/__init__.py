"""The plugin for napari: label one layer, get the others; napari is imported in here alone."""
