"""Images and labels in and out, superpixels, episodes, and the synthetic anatomy."""
