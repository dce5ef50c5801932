# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the presets of the papers shall give, and what the papers say."""

from __future__ import annotations

SB, GCC, SEL = "stochastic_batches_prostate", "group_contrastive_cardiac", "selective_uncertainty_spleen"
SAAL = "ssl_cluster_skin_lesion"
SAME = "the same"
# setting -> (what our configs give, what the paper says, or in brackets its code)
_ALL_GCC = {
    "network": ("LevelDropoutUNet, 1.815 M", "U-Net [16 to 256 channels, 1.81 M]"),
    "dropout": ("0.05, 0.1, 0.2, 0.3, 0.5", "[in the encoder, 0.05, 0.1, 0.2, 0.3, 0.5]"),
    "loss": ("0.5 CE + 0.5 Dice", "[0.5 (CE + Dice)]"),
    "optimiser": ("SGD 0.01, weight decay 0.0001, momentum 0.9", "[SGD 0.01, momentum 0.9, weight decay 1e-4]"),
    "schedule": ("polynomial: 0.01, 0.005, 0 at the start, in the middle and at the end", "[polynomial, power 0.9]"),
    "length": (
        "1200, 1800, 2400, 3000, 6000, 9000, 12000, 24000 steps",
        "[60000 times the labeled share: 1200, 1800, 2400, 3000, 6000, 9000, 12000, 24000 steps]",
    ),
    "batch": ("6", "[6]"),
    "validation": ("val_dice, every 200 steps", "3D Dice [every 200 steps]"),
    "tested": ("best weights of the best of 5 networks", "best weights of the best of 5 networks"),
    "initial weights": ("scratch", "scratch"),
    "labeled, %": ("1, 2, 3, 4, 5, 10, 15, 20, 40", "[1,] 2, 3, 4, 5, 10, 15, 20, 40"),
    "image": ("1 x 256 x 256, 0 to 1", "[256 x 256; clipped at the 99th percentile, min-max]"),
    "augmentation": (
        "either (RandRotate90d 0.75, RandAxisFlipd) or RandLabelAffined 0.5 by 20 degrees",
        "[0.5: 90-degree turn and flip; else 0.5: rotation by 20 degrees]",
    ),
    "losses of the encoder": ("1, 0.05, 0.35, 0", "1, 0.05, 0.35, 0"),
    "encoder": ("resnet18 of width 1, 100 epochs at 0.0003", "ResNet-18, 100 epochs at 3e-4"),
}
_ONE_VOLUME = {"losses of the encoder": ("1, 0, 0.35, 0", "1, 0, 0.35, 0")}
_ALL_SEL = {
    "network": ("BasicUNet, 7.783 M", "U-Net, 32 to 512 channels [7.76 M]"),
    "dropout": ("none", "[none]; a rate for MC dropout and BALD is not given"),
    "loss": ("1 CE (sigmoid)", "binary cross entropy"),
    "optimiser": ("Adam 0.0001, weight decay 0", "Adam 1e-4"),
    "schedule": ("constant", "silent"),
    "length": ("100 epochs, patience 5", "up to 100 epochs, until the validation loss settles [patience 5]"),
    "batch": ("16", "16"),
    "validation": ("val_loss, every epoch", "validation loss"),
    "tested": ("best weights of 1 network", "[lowest validation loss, 1 network]"),
    "initial weights": ("previous", "fine-tuned"),
    "labeled": ("150, 200, 250 to 800 in 14 rounds", "150, then 50 a query; six points of 10 to 35 %"),
    "image": ("1 x 512 x 512, 0 to 1", "[512 x 512]; window silent"),
    "augmentation": (
        "RandGaussianSmoothd 0.5, RandFlipd 0.5, RandFlipd 0.5, RandLabelAffined 0.5 by 15 degrees",
        "[Gaussian blur, rotation, flips; each 0.5]",
    ),
}
_ALL_SB = {
    "network": ("DropoutUNet, 6.822 M", "U-Net [64-128-256-512, first block 1-32-64]; the number is not given"),
    "dropout": ("0.5, 0.5, 0.5, 0.5, 0.5, 0.5", "[0.5 at six places]"),
    "loss": ("0.5 CE + 0.5 Dice of the foreground", "[0.5 CE + 0.5 Dice of the foreground]"),
    "optimiser": ("Adam 0.0001, weight decay 0.0001", "Adam [1e-4, weight decay 1e-4]"),
    "schedule": (
        "warmup_cosine: 0, 0.0001, 1e-07 at the start, after 10 epochs and at the end",
        "[linear warm-up of 10 epochs, cosine to 1e-7]",
    ),
    "length": ("75 epochs of 250 steps", "[75 epochs of 250 steps]"),
    "batch": ("4", "[4]"),
    "validation": ("none", "[not used]"),
    "tested": ("last weights of 1 network", "[last weights, 1 network]"),
    "initial weights": ("scratch", "scratch"),
    "labeled": ("10, 20, 30 to 200 in 20 rounds", "10, then 10 a query [20 rounds]"),
    "image": ("1 x 128 x 128, 0 to 1", "[128 x 128]; normalisation silent"),
    "augmentation": (
        "RandLabelAffined 1 by 10 degrees, RandGaussianNoised 0.5 (sd 0.01)",
        "[rotation by 10 degrees, always; noise of sd 0.01, 0.5]",
    ),
}
EXPECTED: dict[str, dict[str, tuple[str, str]]] = {
    "SB, PROMISE12": _ALL_SB
    | {"patients: pool, validation, test": ("36, 4, 10", "10 to test [109 slices for validation]")},
    "SB, hippocampus": _ALL_SB
    | {
        "network": ("DropoutUNet, 6.822 M", SAME),
        "image": ("1 x 48 x 64, 0 to 1", "silent"),
        "patients: pool, validation, test": ("198, 10, 52", "silent [350 slices for validation]"),
    },
    "GCC, ACDC": _ALL_GCC,
    "GCC, CHAOS": _ALL_GCC
    | _ONE_VOLUME
    | {
        "image": ("1 x 256 x 256, -1 to 1", "[189 x 189 at 1.89 mm, then 256 x 256; liver window to -1..1]"),
        "patients: pool, validation, test": ("15, 2, 3", "75, 10, 15 % [15, 2, 3]"),
    },
    "GCC, MS-CMR": _ALL_GCC
    | _ONE_VOLUME
    | {
        "network": ("DualBranchUNet, 2.450 M", "U-Net with two decoders, of pseudo-labels [2.45 M]"),
        "loss": (
            "CE of what is annotated + 0.5 Dice against mixed pseudo labels, of both decoders",
            "[partial CE + 0.5 Dice against the mixed prediction, the mean of both decoders]",
        ),
        "length": ("1200, 1800, 2400, 3000, 6000, 9000, 12000, 24000 steps", "[the same]"),
        "image": ("1 x 256 x 256, mean 0, sd 1", "212 x 212 at 1.37 mm [then 256 x 256]; z-score"),
    },
    "GCC, DAVIS": _ALL_GCC
    | _ONE_VOLUME
    | {
        "length": ("6000, 12000, 18000, 24000 steps", "[60000 times the labeled share]"),
        "labeled, %": ("1, 10, 20, 30, 40", "[1,] 10, 20, 30, 40"),
        "image": ("3 x 256 x 256, 0 to 1", "[256 x 256]; normalisation silent"),
    },
    "SEL, spleen": _ALL_SEL | {"patients: pool, validation, test": ("21, 6, 14", "silent")},
    "SEL, BraTS": _ALL_SEL
    | {
        "batch": ("32", "32"),
        "labeled": ("500, 600, 700 to 2700 in 23 rounds", "500, then 100 a query; six points of 10 to 35 %"),
        "image": ("1 x 240 x 240, 0 to 1", "silent; 240 x 240 natively"),
        "patients: pool, validation, test": (
            "50, 11, 15",
            "silent; the percentages tell of a pool of about 7750 slices, 155 of 50 patients",
        ),
    },
    "SAAL, ISIC 2017": {
        "network": ("BasicUNet, 17.969 M", "U-Net [64-128-256-512-512]"),
        "dropout": ("none", "silent"),
        "loss": ("1 CE + 1 Dice", "CE + Dice [half of it]"),
        "optimiser": ("Adam 0.0001, weight decay 0", "[Adam 1e-4, new in each round]"),
        "schedule": ("constant", "silent"),
        "length": ("10, then 2 epochs", "10 epochs, then 2 a round"),
        "batch": ("10", "[10]"),
        "validation": ("none", "silent"),
        "tested": ("last weights of 1 network", "[last weights]"),
        "initial weights": ("previous", "fine-tuned"),
        "labeled": ("300, 335, 370 to 615 in 10 rounds", "300, then 35 in each of 9 rounds"),
        "image": ("1 x 256 x 256, 0 to 1", "256 x 256, grey, min-max [in the segmentation 0 to 255]"),
        "augmentation": ("none", "[none]"),
        "patients: pool, validation, test": ("1600, 0, 400", "1600, 0, 400"),
        "pretraining": (
            "SGD 0.01, weight decay 0, momentum 0.9, x 0.5 every 40 epochs, batch 1, up to 10000 epochs, patience 50",
            "[SGD 0.01, momentum 0.9, x 0.5 every 40 epochs, batch 1, at most 10000 epochs, patience 50]",
        ),
        "deformations": (
            "curve 0.9, shuffling 0.5, painting 0.9 (0.8 outside), flip 0.4",
            "[curve 0.9, shuffling 0.5, painting 0.9 (0.8 outside), flip 0.4]",
        ),
        "pretraining validates on": ("10 % of the pool's patients", "[the 400 test images]"),
        "warm start": ("encoder", "weights of the pretraining"),
        "embedding": ("2048 values", "512 x 2 x 2 = 2048 values"),
        "clusters": ("10", "10"),
    },
}
PARAMETERS = {GCC: 1.81e6, SEL: 7.76e6, "GCC, MS-CMR": 2.45e6}  # of the authors' code; ours must be within 1 %
