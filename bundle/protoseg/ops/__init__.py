"""Tensors and arrays in and out: components, cuts, filters, upsampling, slices, precision; nothing of networks."""
