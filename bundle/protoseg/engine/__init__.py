"""A support and a volume in, a label map with confidences out; knows nothing of files or servers."""
