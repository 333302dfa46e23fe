"""Files in and out: volumes, DICOM, pictures, label maps and their grids, lists of cases."""
