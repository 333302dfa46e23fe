"""Names of version 0.1, which keep working for one version, with a warning that tells the new name."""

from __future__ import annotations

import functools
import re
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

__all__ = [
    "CONFIG_IDS",
    "MOVED",
    "NAMES",
    "UNSET",
    "RenamedWarning",
    "encoder_of_file",
    "follow_old_names",
    "renamed_arguments",
    "renamed_encoder",
    "renamed_ids",
    "renamed_settings",
]

# Old room -> new room -> modules, "old:new" where the name is another.
ROOMS = {
    "maths": {
        "networks": "alpnet deeplab dinov2 encoders lora pyramid:fpn slice_adapter vit_blocks weights",
        "ops": "appearance cells_to_pixels:upsampling components fingerprint graph_cut guided_filter packed_linear "
        "pieces:chunking precision slices",
        "matching": "coverage:coreset matching prototypes:adaptive_prototypes voting:kernel_matching",
        "losses": "contrastive_pair_loss:contrastive_pair loss_sum matching_loss:matching",
        "sam": "prompts sam:model sam_decoder:decoder sam_encoder:encoder sam_frame:frame",
        "engine.clicks": "slice_mask working_grid",
        "engine.refiners": "click_evidence",
    },
    "engine": {
        "engine.adaptation": "adaptation_episodes:episodes adaptation_guard:guard adaptation_training:training",
        "engine.clicks": "click_record:record click_segmentation:segmentation scribbles simulated_clicks:simulation "
        "slice_tracking:mask_propagation slice_segmenter sam_slice_segmenter",
        "engine.refiners": "competing_refiner:competing graph_cut_refiner:graph_cut guided_refiner:guided "
        "sam_refiner:sam sam_prompts label_evidence:unary_potentials refinement:refiner",
    },
    "data": {
        "data.io": "volumes dicom dicom_export grids label_values soft_masks nifti_files nifti_forms pictures results "
        "source_grid datalists queries read_ahead:prefetch",
        "data.preprocessing": "intensity padding planes square_pixels transforms hounsfield",
        "data.support": "supports:loading support_scans:scans support_library:library label_legend:label_registry",
        "data.episodes": "prepared_scans superpixels augmentations sampling",
        "data.preparation": "synthetic published_weights",
        "ops": "parallel scan_cache:hashing",
    },
    "workflows": {
        "workflows": "work_list:resumable_sampler",
        "workflows.handlers": "batches progress readable:skip_unreadable global_loss weight_average checkpoints",
        "workflows.evaluation": "evaluation_report:report metrics measures overlap_metrics surface_metrics summaries "
        "protocols truth:ground_truth timings case_tables bootstrap published_figures",
        "workflows.studies": "study study_plot:plot study_runs:runs study_variants:variants study_views:views "
        "click_study:clicks label_noise corrupted_adaptation leave_one_out feature_pictures",
        "workflows.reports": "html_page html_report box_plots case_pictures pictures estimates",
    },
}


def _moved() -> dict[str, str]:
    moved = {}
    for old_room, rooms in ROOMS.items():
        for new_room, names in rooms.items():
            for name in names.split():
                old, _, new = name.partition(":")
                moved[f"protoseg.{old_room}.{old}"] = f"protoseg.{new_room}.{new or old}"
    return moved


MOVED = _moved()  # old module -> new module
GONE = "protoseg.maths"  # a package that is gone

# New module -> old name in it -> new name, with its module where that is another.
NAMES = {
    "protoseg.data.io.prefetch": {"ReadAhead": "Prefetch"},
    "protoseg.data.preprocessing.intensity": {
        "NormaliseIntensity": "NormalizeByModality",
        "NormaliseIntensityd": "NormalizeByModalityd",
    },
    "protoseg.data.support.label_registry": {"LabelLegend": "LabelRegistry"},
    "protoseg.engine.clicks.mask_propagation": {"SliceTracker": "MaskPropagator"},
    "protoseg.engine.one_shot": {"SupportChoice": "SupportSelection"},
    "protoseg.engine.quality": {"reverse_dice": "reverse_classification_accuracy"},
    "protoseg.engine.refiners.unary_potentials": {
        "LabelEvidence": "UnaryPotentials",
        "gather_evidence": "unary_potentials",
    },
    "protoseg.losses.contrastive_pair": {"draw_cells": "draw_patches"},
    "protoseg.matching.coreset": {"farthest_first": "k_center_greedy"},
    "protoseg.matching.kernel_matching": {"CellVoting": "KernelMatching"},
    "protoseg.networks.fpn": {"PyramidEncoder": "FPNEncoder"},
    "protoseg.ops.chunking": {"in_pieces": "in_chunks"},
    "protoseg.ops.components": {"ComponentRule": "ComponentFilter"},
    "protoseg.ops.hashing": {
        "ScanCache": "protoseg.ops.lru.LRUCache",
        "array_file": "protoseg.ops.disk_cache.array_file",
        "cached_array": "protoseg.ops.disk_cache.cached_array",
    },
    "protoseg.ops.upsampling": {
        "CellsToPixels": "BilinearUpsampler",
        "WinningClass": "UpsampledArgmax",
        "winning_class": "upsampled_argmax",
    },
    "protoseg.workflows.evaluation.ground_truth": {"ReloadTruthd": "ReloadGroundTruthd"},
    "protoseg.workflows.evaluation.protocols": {"prepare_scan_with_truth": "prepare_scan_with_ground_truth"},
    "protoseg.workflows.handlers.skip_unreadable": {"ReadableScans": "SkipUnreadable"},
    "protoseg.workflows.resumable_sampler": {"WorkList": "ResumableSampler"},
}

# Ids of config entries, which are also options of the command, the API and the app, and keys of reports.
CONFIG_IDS = {
    "choice": "support_selection",
    "components": "component_filter",
    "novelty": "rejection_threshold",
    "readable": "skip_unreadable",
    "work_list": "sampler",
}
UNSET = "unset"  # value of an old id in the configs, so that MONAI's own command accepts it
# Entries within others that have moved.
PLACES = {
    "encoder#encoder": "encoder_def",
    "preprocessing#transforms#3#margin": "preprocessing#margin",
    "train#handlers#3": "train#checkpoint",
}
ENCODER_FILE = re.compile(r"(?:.*configs/)?encoders/(\w+)\.yaml")  # there was one for each encoder
ENCODERS = {"pyramid": "fpn"}  # old name -> new name


class RenamedWarning(FutureWarning):
    """Something was asked for by its name in the previous version."""


Called = TypeVar("Called", bound=Callable[..., Any])


def renamed_ids(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give options by id under the new ids, with a warning for each that had an old one.

    An old id also counts as the root of a longer one, such as `readable#loader`. Values that the configs have under old
    ids only for MONAI's own command are left out.
    """
    found = {}
    for name, value in _replaced(options).items():
        root, rest = name[: _root_length(name)], name[_root_length(name) :]
        new = CONFIG_IDS.get(root)
        if new is None:
            found[name] = value
        elif value not in (UNSET, f"@{new}"):
            _warn(root, new)
            found[new + rest] = value
    return found


def renamed_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Give the settings of a report under the new names of keys and classes, without a warning.

    Values that the configs have under old ids only for MONAI's own command are left out.
    """
    classes = {old: new for names in NAMES.values() for old, new in names.items()}
    return {
        CONFIG_IDS.get(name, name): classes.get(value, value) if isinstance(value, str) else value
        for name, value in settings.items()
        if name not in CONFIG_IDS or value not in (UNSET, f"@{CONFIG_IDS[name]}")
    }


def _replaced(options: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, value in options.items():
        place = name.replace("::", "#")
        old = next((old for old in PLACES if f"{place}#".startswith(f"{old}#")), None)
        if old is not None:
            _warn(old, PLACES[old])
        found[name if old is None else PLACES[old] + place.removeprefix(old)] = value
    return found


def encoder_of_file(file: str) -> str | None:
    """Give the encoder that a file of the bundle's configs chose, with a warning; None for a file that exists."""
    match = ENCODER_FILE.fullmatch(Path(file).as_posix())
    if match is None or Path(file).is_file():
        return None
    name = ENCODERS.get(match[1], match[1])
    _warn(file, f"the option encoder={name}")
    return name


def renamed_encoder(name: str) -> str:
    """Give the name that an encoder has now, with a warning if it had another."""
    if name in ENCODERS:
        _warn(f"The encoder {name}", ENCODERS[name])
    return ENCODERS.get(name, name)


def renamed_arguments(**names: str) -> Callable[[Called], Called]:
    """Decorate a function or a class that takes arguments under their old names, too, with a warning.

    An old name wins even if the new one is given, too, as the configs pass both, unless it is `UNSET`.

    Args:
        **names: new name of each old one.
    """

    def decorate(called: Called) -> Called:
        target: Any = called
        function = target.__init__ if isinstance(called, type) else target

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            for old, new in names.items():
                if old in kwargs and (value := kwargs.pop(old)) != UNSET:
                    _warn(f"The argument {old} of {called.__name__}", new)
                    kwargs[new] = value
            return function(*args, **kwargs)

        if isinstance(called, type):
            target.__init__ = wrapper
            return target
        return wrapper  # type: ignore[return-value]

    return decorate


class _OldNames(MetaPathFinder, Loader):
    """Finds old modules, and gives modules that have old names in them a loader that knows these."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in MOVED or fullname == GONE:
            return ModuleSpec(fullname, self, is_package=fullname == GONE)
        if fullname in NAMES:
            spec = PathFinder.find_spec(fullname, path, target)
            if spec is not None and isinstance(spec.loader, SourceFileLoader):
                spec.loader = _WithOldNames(spec.loader.name, spec.loader.path)
            return spec
        return None

    def exec_module(self, module: ModuleType) -> None:
        new = MOVED.get(module.__name__)
        if new:
            _warn(module.__name__, new, stacklevel=3)
            sys.modules[module.__name__] = import_module(new)


class _WithOldNames(SourceFileLoader):
    """Loads a module whose old names are looked up when they are asked for."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        module.__getattr__ = functools.partial(_renamed, module.__name__)  # type: ignore[method-assign]


def _renamed(module: str, name: str) -> Any:
    """Give the object that an old name of a module stands for now."""
    new = NAMES[module].get(name)
    if new is None:
        raise AttributeError(f"module '{module}' has no attribute '{name}'")
    home, _, own = f"{module}.{new}".rpartition(".") if "." not in new else new.rpartition(".")
    _warn(f"{module}.{name}", f"{home}.{own}")
    return getattr(import_module(home), own)


def _warn(old: str, new: str, *, stacklevel: int = 3) -> None:
    warnings.warn(f"{old} is {new} now; use that name.", RenamedWarning, stacklevel=stacklevel)


def _root_length(name: str) -> int:
    """Count the characters of the first part of an id, whose parts are separated by `#` or `::`."""
    return min((place for place in (name.find("#"), name.find("::")) if place >= 0), default=len(name))


def follow_old_names() -> None:
    """Let imports of old names find the modules under their new names from now on."""
    if not any(isinstance(finder, _OldNames) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OldNames())
