"""Label maps out as DICOM objects that refer to the slices of their series."""
