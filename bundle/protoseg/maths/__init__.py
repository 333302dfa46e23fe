"""Tensors in, tensors out; knows no file, no MONAI engine and no server."""
