# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Every bundle of the Model Zoo: what it is, which data it reads, and the options that make it small.

The options are ids of the bundle's own config. They are for a CPU and tiny data: sizes of patches, batches and
networks, no workers, no mixed precision, a validation after the one epoch. Repairs are further ones, without which a
bundle fails by itself under today's MONAI.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import layouts
from real_images import RealImages


@dataclass(frozen=True)
class ZooBundle:
    """How to try a bundle.

    Args:
        what: what it is, for people.
        make: writes its data; see :mod:`layouts`.
        options: id -> value, for MONAI and for monai_al.
        repairs: the same, where the bundle is older than the MONAI that runs it.
        config: its training config; None where it has none.
        epochs: the id of the number of epochs, for MONAI.
        packages: what it needs beside MONAI's usual companions.
        stand_in: what is there in place of which file of the bundle that has to be downloaded.
        workflow: the class that trains, where it is not MONAI's ``ConfigWorkflow``.
        data_option: the option that names the data.
        data_end: what follows the folder of the data there, such as a slash.
    """

    what: str
    make: Callable[[RealImages, Path, Path], object] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    repairs: Mapping[str, Any] = field(default_factory=dict)
    config: str | None = "train.json"
    epochs: str = "train#trainer#max_epochs"
    packages: tuple[str, ...] = ()
    stand_in: str = ""
    workflow: str = ""
    data_option: str = "dataset_dir"
    data_end: str = ""


NO_WORKERS = {"train#dataloader#num_workers": 0, "validate#dataloader#num_workers": 0}
NO_AMP = {"train#trainer#amp": False, "validate#evaluator#amp": False}
CPU = NO_WORKERS | NO_AMP
CUBE = [32, 32, 32]
PATCHES = {"train#random_transforms#0#spatial_size": CUBE, "validate#inferer#roi_size": CUBE}
ONE_PATCH = {"train#random_transforms#0#num_samples": 1}
TINY_DYNUNET = {"network_def#filters": [4, 4, 8, 8, 8, 8]}
ONE_WINDOW = {"validate#inferer#sw_batch_size": 1, "validate#inferer#overlap": 0.25}
DINTS = CPU | PATCHES | ONE_WINDOW | {
    "arch_ckpt": "$torch.load(@arch_ckpt_path, map_location='cpu', weights_only=False)",
    "dints_space#device": "cpu",
    "train#deterministic_transforms#11#spatial_size": CUBE,
    "val_interval": 1,
}  # fmt: skip
ARCHITECTURE = "a made-up architecture in place of models/search_code_18590.pt"
SMALL_PICTURES = NO_WORKERS | {"train#dataloader#batch_size": 2, "validate#dataloader#batch_size": 2}
SWIN = {
    "_target_": "SwinUNETR", "spatial_dims": 3, "in_channels": 1, "out_channels": 14, "feature_size": 12,
    "use_checkpoint": True,
}  # fmt: skip
LATENT = {"train#dataset#num_workers": 0, "autoencoder_def#channels": [32, 32, 32], "discriminator_def#channels": 8}

BUNDLES: Mapping[str, ZooBundle] = {
    "brats_mri_axial_slices_generative_diffusion": ZooBundle(
        "generates slices: an autoencoder, trained against a discriminator",
        partial(layouts.brain_tumour_task, size=48),
        LATENT | {"train_batch_size_slice": 2, "train_patch_size": [32, 32]},
        config="train_autoencoder.json", packages=("torchvision",),
    ),
    "brats_mri_generative_diffusion": ZooBundle(
        "generates volumes: an autoencoder, trained against a discriminator",
        partial(layouts.brain_tumour_task, size=48),
        LATENT | {"train_batch_size": 1, "train_patch_size": CUBE, "latent_channels": 2},
        config="train_autoencoder.json", packages=("torchvision",),
    ),
    "brats_mri_segmentation": ZooBundle(
        "segments 3D volumes of four channels, three overlapping classes",
        layouts.tumour_channels,
        NO_WORKERS | {
            "amp": False, "train#random_transforms#0#roi_size": CUBE, "validate#inferer#roi_size": CUBE,
            "network_def#init_filters": 8, "val_interval": 1,
        },
        repairs={"loss#squared_pred": False}, epochs="epochs",
    ),
    "breast_density_classification": ZooBundle("classifies pictures", config=None, packages=("torchvision",)),
    "classification_template": ZooBundle(
        "classifies slices", layouts.labeled_slices, {"num_workers": 0, "batch_size": 2},
        config="train.yaml", epochs="num_epochs",
    ),
    "endoscopic_inbody_classification": ZooBundle(
        "classifies pictures", layouts.labeled_frames,
        SMALL_PICTURES | {"train#deterministic_transforms#3#spatial_size": [64, 64]},
    ),
    "endoscopic_tool_segmentation": ZooBundle(
        "segments colour pictures, one class", layouts.tool_frames,
        SMALL_PICTURES | {
            "train#deterministic_transforms#3#spatial_size": [96, 64], "network_def#backbone": "efficientnet-b0",
            "val_interval": 1,
        },
    ),
    "lung_nodule_ct_detection": ZooBundle(
        "detects boxes in volumes", layouts.nodule_boxes,
        NO_WORKERS | {
            "amp": False, "batch_size": 1, "val_interval": 1, "patch_size": [64, 64, 32],
            "val_patch_size": [64, 64, 32],
        },
        epochs="epochs", packages=("torchvision",),
    ),
    "maisi_ct_generative": ZooBundle(
        "generates volumes: a control network for a trained diffusion network", layouts.latent_volumes,
        {
            "amp": False, "train#dataloader#num_workers": 0, "train#dataloader#persistent_workers": False,
            "diffusion_unet_def#use_flash_attention": False, "controlnet_def#use_flash_attention": False,
        },
        epochs="epochs", packages=("scikit-image",),
    ),
    "mednist_gan": ZooBundle(
        "generates pictures", layouts.hands, {"real_dataloader#batch_size": 4, "real_dataloader#num_workers": 0},
        epochs="trainer#max_epochs",
    ),
    "mednist_reg": ZooBundle(
        "registers pictures", layouts.hands,
        {
            "datalist": "$list(sorted(glob.glob(@dataset_dir + '/*.jpeg')))[:12]",
            "val_datalist": "$list(sorted(glob.glob(@dataset_dir + '/*.jpeg')))[12:]",
            "data_loader#batch_size": 4, "val#data_loader#batch_size": 4,
        },
        repairs={"loss_metric#metric_handler#_target_": "IgniteMetricHandler"},
        config="train.yaml", epochs="max_epochs",
    ),
    "multi_organ_segmentation": ZooBundle(
        "segments 3D volumes, seven classes; a network whose architecture was searched for",
        partial(layouts.architecture, classes=7, name="configs/dataset_0.json", size=40), DINTS,
        config="train.yaml", stand_in=ARCHITECTURE,
    ),
    "pancreas_ct_dints_segmentation": ZooBundle(
        "segments 3D volumes, two classes; a network whose architecture was searched for",
        partial(layouts.architecture, classes=2, name="configs/dataset_0.json", size=40), DINTS,
        config="train.yaml", stand_in=ARCHITECTURE,
    ),
    "pathology_nuclei_classification": ZooBundle(
        "classifies nuclei in patches, whose masks are an input", partial(layouts.nuclei, size=64),
        SMALL_PICTURES | NO_AMP, epochs="max_epochs", packages=("torchvision",),
    ),
    "pathology_nuclei_segmentation_classification": ZooBundle(
        "segments nuclei in patches, each by itself, and classifies them", partial(layouts.nuclei_arrays, size=264),
        NO_WORKERS | {"amp": False, "batch_size": 1, "val_interval": 1},
        epochs="epochs", packages=("scikit-image", "torchvision"),
    ),
    "pathology_nuclick_annotation": ZooBundle(
        "segments a nucleus from clicks, which are made from its label", partial(layouts.nuclei, size=64),
        SMALL_PICTURES | NO_AMP | {"network_def#features": [4, 4, 8, 8, 8, 4], "val_interval": 1},
        repairs={"loss#squared_pred": False}, epochs="max_epochs", packages=("torchvision",),
    ),
    "pathology_tumor_detection": ZooBundle(
        "classifies patches of whole slides", layouts.slides,
        SMALL_PICTURES | NO_AMP, epochs="num_epochs", packages=("pandas", "cucim", "torchvision"),
    ),
    "pediatric_abdominal_ct_segmentation": ZooBundle(
        "segments 3D volumes, three classes",
        partial(
            layouts.absolute_datalist, name="configs/TS_test.json", n=8, n_test=2, shape=(40, 40, 32),
            spacing=(1.6, 1.6, 3.2), classes=3,
        ),
        CPU | ONE_PATCH | TINY_DYNUNET | {"spatial_size": CUBE, "val_interval": 1},
        config="train.yaml", epochs="max_epochs", packages=("itk",),
    ),
    "prostate_mri_anatomy": ZooBundle(
        "segments 3D volumes, two classes", layouts.prostates,
        CPU | {
            "train#random_transforms#6#spatial_size": CUBE, "train#random_transforms#6#num_samples": 1,
            "validate#inferer#roi_size": CUBE, "network_def#channels": [4, 4, 8, 8, 8, 8], "val_interval": 1,
        },
        packages=("pandas",), data_end="/",
    ),
    "renalStructures_CECT_segmentation": ZooBundle(
        "segments 3D volumes of three files, five classes", layouts.renal_phases,
        CPU | {
            "train#random_transforms#6#spatial_size": CUBE, "train#random_transforms#6#num_samples": 1,
            "validate#inferer#roi_size": CUBE, "network_def#init_filters": 8, "val_interval": 1,
        },
    ),
    "renalStructures_UNEST_segmentation": ZooBundle(
        "segments 3D volumes, three classes; a transformer of a fixed size",
        partial(layouts.folder_pairs, n=14, shape=(96, 96, 96), spacing=(1, 1, 1), classes=3),
        CPU | ONE_PATCH | {
            "train#dataloader#batch_size": 1, "validate#inferer#sw_batch_size": 1, "val_interval": 1,
        },
        packages=("einops",),
    ),
    "segmentation_template": ZooBundle(
        "segments 3D volumes, three classes", layouts.numbered_pairs,
        {"num_workers": 0, "batch_size": 2, "network_def#channels": [4, 4, 8, 8], "val_interval": 1},
        config="train.yaml", epochs="num_epochs",
    ),
    "spleen_ct_segmentation": ZooBundle(
        "segments 3D volumes, one class",
        partial(layouts.folder_pairs, n=15, shape=(40, 40, 32), spacing=(1.6, 1.6, 2.2), classes=1),
        CPU | PATCHES | ONE_PATCH | {"network_def#channels": [4, 4, 8, 8, 8], "val_interval": 1},
        epochs="epochs",
    ),
    "spleen_deepedit_annotation": ZooBundle(
        "segments 3D volumes, one class, with clicks that are made from the label",
        partial(layouts.folder_pairs, n=15, shape=(40, 40, 32), spacing=(1.6, 1.6, 2.2), classes=1),
        CPU | TINY_DYNUNET | {"spatial_size": CUBE, "val_interval": 1},
        epochs="epochs", packages=("itk", "scikit-image"),
    ),
    "swin_unetr_btcv_segmentation": ZooBundle(
        "segments 3D volumes, 13 classes",
        partial(layouts.folder_pairs, n=15, shape=(64, 64, 64), spacing=(1.5, 1.5, 2), classes=13),
        CPU | ONE_PATCH | {
            "train#random_transforms#0#spatial_size": [64, 64, 64], "validate#inferer#roi_size": [64, 64, 64],
            "train#dataloader#batch_size": 1, "validate#inferer#sw_batch_size": 1, "val_interval": 1,
        },
        repairs={"network_def": SWIN}, packages=("einops", "itk"),
    ),
    "valve_landmarks": ZooBundle(
        "finds landmarks in slices", layouts.landmark_archive,
        {"num_iters": 2, "batch_size": 2, "num_substeps": 1, "num_workers": 0}, epochs="num_epochs",
    ),
    "ventricular_short_axis_3label": ZooBundle(
        "segments slices of one archive, three classes", layouts.heart_archive,
        {
            "val_interval": 1, "num_iters": 4, "batch_size": 4, "num_substeps": 1, "train_dataloader#num_workers": 0,
            "eval_dataloader#num_workers": 0, "network_def#channels": [4, 4, 8, 8, 8],
        },
        epochs="num_epochs",
    ),
    "vista2d": ZooBundle(
        "segments cells in pictures, each by itself", layouts.cells,
        {"train#num_workers": 0, "validate#num_workers": 0},
        config="hyper_parameters.yaml", data_option="basedir", workflow="scripts.workflow.VistaCell",
        packages=("opencv-python", "fastremap", "tifffile", "cellpose", "segment_anything"),
    ),
    "vista3d": ZooBundle(
        "segments 3D volumes, one class, from prompts",
        partial(
            layouts.folds, name="configs/msd_task09_spleen_folds.json", n=8, n_test=2, shape=(40, 40, 40),
            spacing=(1.6, 1.6, 1.6), classes=1,
        ),
        NO_WORKERS | {
            "amp": False, "validate#evaluator#amp": False, "patch_size": CUBE, "val_interval": 1,
            "train#dataloader#persistent_workers": False,
        },
        repairs={"loss#squared_pred": False}, epochs="epochs", packages=("einops",),
    ),
    "wholeBody_ct_segmentation": ZooBundle(
        "segments 3D volumes, 104 classes",
        partial(layouts.folder_pairs, n=15, shape=CUBE, spacing=(1.6, 1.6, 1.6), classes=104),
        CPU | {
            "train#random_transforms#0#roi_size": CUBE, "validate#inferer#roi_size": CUBE, "batch_size": 1,
            "train#deterministic_transforms#6#k_divisible": CUBE, "network_def#init_filters": 8,
            "validate#preprocessing#transforms#6#k_divisible": CUBE, "val_interval": 1,
        },
    ),
    "wholeBrainSeg_Large_UNEST_segmentation": ZooBundle(
        "segments 3D volumes, 132 classes; a transformer of a fixed size",
        partial(
            layouts.folder_pairs, n=7, shape=(96, 96, 96), spacing=(1, 1, 1), classes=132, folders=("images", "labels"),
            ct=False,
        ),
        CPU | {"validate#dataloader#batch_size": 1, "validate#inferer#sw_batch_size": 1, "val_interval": 1},
        packages=("einops",),
    ),
}  # fmt: skip
