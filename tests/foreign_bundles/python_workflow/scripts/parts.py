"""What both workflows are made of."""

import glob
import os

from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from monai.transforms import (
    Activationsd,
    AsDiscreted,
    Compose,
    EnsureChannelFirstd,
    LoadImaged,
    Orientationd,
    RandCropByPosNegLabeld,
    RandShiftIntensityd,
    ScaleIntensityRangePercentilesd,
    SpatialPadd,
)

BOTH = ["image", "label"]
VALIDATION = 10


def entries(dataset_dir):
    images = sorted(glob.glob(os.path.join(dataset_dir, "imagesTr", "*.nii.gz")))
    labels = sorted(glob.glob(os.path.join(dataset_dir, "labelsTr", "*.nii.gz")))
    return [{"image": image, "label": label} for image, label in zip(images, labels, strict=True)]


def network(channels=(8, 16, 32)):
    return UNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=3,
        channels=channels,
        strides=(2,) * (len(channels) - 1),
        num_res_units=1,
        norm="instance",
    )


def loss():
    return DiceCELoss(to_onehot_y=True, softmax=True, squared_pred=True, batch=True)


def preprocessing(patch_size):
    return [
        LoadImaged(BOTH),
        EnsureChannelFirstd(BOTH),
        Orientationd(BOTH, axcodes="RAS"),
        ScaleIntensityRangePercentilesd("image", lower=1, upper=99, b_min=0, b_max=1, clip=True),
        SpatialPadd(BOTH, spatial_size=patch_size),
    ]


def augmented(patch_size):
    crop = RandCropByPosNegLabeld(BOTH, "label", spatial_size=patch_size, pos=3, neg=1, num_samples=2)
    return Compose([*preprocessing(patch_size), crop, RandShiftIntensityd("image", offsets=0.1, prob=0.5)])


def postprocessing():
    return Compose(
        [Activationsd("pred", softmax=True), AsDiscreted(BOTH[1:] + ["pred"], argmax=[False, True], to_onehot=3)]
    )
