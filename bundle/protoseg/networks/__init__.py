"""Encoders, what is put into them, and ALPNet, which joins one with a matching."""
