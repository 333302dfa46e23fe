"""Names of version 0.1, which keep working for one version with a warning that tells the new one."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["MOVED", "follow_old_names"]

# Old room -> new room -> modules, "old:new" where the name is another.
ROOMS = {
    "maths": {
        "networks": "alpnet deeplab dinov2 encoders lora pyramid:fpn slice_adapter vit_blocks weights",
        "ops": "appearance cells_to_pixels:upsampling components fingerprint graph_cut guided_filter packed_linear "
        "pieces:chunking precision settled_weights slices",
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
GONE = "protoseg.maths"  # a room of which nothing is left


class _OldNames(MetaPathFinder, Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in MOVED or fullname == GONE:
            return ModuleSpec(fullname, self, is_package=fullname == GONE)
        return None

    def exec_module(self, module: ModuleType) -> None:
        new = MOVED.get(module.__name__)
        if new:
            warnings.warn(f"{module.__name__} is {new} now; use that name.", FutureWarning, stacklevel=2)
            sys.modules[module.__name__] = import_module(new)


def follow_old_names() -> None:
    """From now on, let imports of old names find the modules under their new ones."""
    if not any(isinstance(finder, _OldNames) for finder in sys.meta_path):
        sys.meta_path.append(_OldNames())
