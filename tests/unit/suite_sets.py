"""Sets of a suite as its index lists them."""


def scan(name, **fields):
    return {"image": f"images/{name}.nii.gz", "label": f"labels/{name}.nii.gz", **fields}


def listed(**fields):
    """An index of one set of three scans."""
    return [{"name": "kidneys", "labels": {"kidney": 2}, "pairs": [scan("a"), scan("b"), scan("c")], **fields}]
