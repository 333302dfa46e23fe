"""Worlds of random shapes, so that features suit structures that nobody drew.

The idea is SynthMorph's (Hoffmann et al. 2022, arXiv 2004.10282): label maps from smooth noise teach matching across
contrasts as well as anatomy does. Here a world is an arrangement of shapes, whose members differ as
people do.
"""
