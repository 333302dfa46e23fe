"""The suite: the product judged on many sets of labelled scans at once."""
