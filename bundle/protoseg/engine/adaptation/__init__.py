"""Adaptation of the network to a support, a volume or a slice before it is segmented."""
