"""Tensors and arrays in and out: components, cuts, filters, upsampling, slices, precision; knows no network."""
