"""A support and a volume in, a label map with confidences out; knows no file and no server."""
