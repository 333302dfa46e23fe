"""Ignite handlers: checkpoints, progress, averages, what several processes share."""
