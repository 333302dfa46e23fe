"""Dice, surface Dice and Hausdorff distances by case, label and protocol, with intervals and a report."""
