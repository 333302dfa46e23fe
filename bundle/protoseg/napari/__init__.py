"""The plugin for napari: label one layer, get the others; only this package imports napari."""
