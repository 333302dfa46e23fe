"""Episodes for training: superpixels or labels of a scan, twice, augmented."""
