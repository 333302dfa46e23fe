"""Encoders, their input, and ALPNet, which joins an encoder with a matching."""
