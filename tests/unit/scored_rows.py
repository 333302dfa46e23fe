"""Rows of a suite's run."""

RUN = {
    "date": "2026-01-02T03:04:05+00:00",
    "command": "protoseg suite index.json --output_dir run",
    "index": "index.json",
    "overlays": [],
    "overrides": {"support_selection": "all"},
    "settings": {"support_selection": "all", "refiner": None},
    "versions": {"protoseg": "0.1.0", "torch": "2.15.0"},
}


def row(one="ct", query="b", label="liver", dice=0.5, **columns):
    facts = {"modality": one.upper()[:2], "region": "", "dim": "3d", "support": "a", "query": query, "label": label}
    figures = {"hd95_mm": 4.0, "volume_ml": 3.0, "seconds": 2.0, "estimated_dice": None, "warning": ""}
    return {"set": one, **facts, "dice": dice, **figures, **columns}


ROWS = [
    row(dice=0.2, estimated_dice=0.8),
    row(label="spleen", dice=0.6, estimated_dice=0.5),
    row(query="c", dice=0.4, estimated_dice=0.7, seconds=6.0),
    row(query="c", label="spleen", dice=None, hd95_mm=None, estimated_dice=0.9, seconds=6.0),
    row("mr", dice=0.8, estimated_dice=0.9),
    row("mr2", dice=0.9),
]
