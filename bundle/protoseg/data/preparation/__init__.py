"""Public data sets, and any list of scans, made into files with one `dataset.json` that every config reads."""
