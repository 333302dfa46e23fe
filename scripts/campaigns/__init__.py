"""The endurance tests of scripts/campaign."""
