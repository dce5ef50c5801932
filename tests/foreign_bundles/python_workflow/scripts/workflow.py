"""A training workflow whose properties are made by methods, once they are asked for."""

import logging
import os
import sys

import torch
from monai.bundle import BundleWorkflow
from monai.data import CacheDataset, DataLoader
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import CheckpointSaver, MeanDice, StatsHandler, ValidationHandler, from_engine
from monai.inferers import SimpleInferer, SlidingWindowInferer
from monai.transforms import Compose
from monai.utils import BundleProperty, set_determinism

from scripts import parts


class HippocampusTraining(BundleWorkflow):
    def __init__(self, dataset_dir="/workspace/data/Task04_Hippocampus", channels=(8, 16, 32)):
        super().__init__(workflow_type="train")
        logging.basicConfig(stream=sys.stdout, level=logging.INFO)
        self._props = {}
        self._set_props = {}
        self.dataset_dir = dataset_dir
        self.channels = channels
        self.patch_size = (32, 32, 32)
        self.batch_size = 2
        self.learning_rate = 0.004
        self.ckpt_dir = os.path.join(os.path.dirname(os.path.dirname(__file__)), "models")

    def initialize(self):
        set_determinism(0)
        self._props = {}

    def run(self):
        self.trainer.run()

    def finalize(self):
        torch.save(self.network_def.state_dict(), os.path.join(self.ckpt_dir, "last.pt"))
        set_determinism(None)

    def _get_property(self, name, property):
        if name in self._set_props:
            return self._set_props[name]
        if name not in self._props:
            make = getattr(type(self), f"get_{name}", None)
            if make is None and property[BundleProperty.REQUIRED]:
                raise ValueError(f"this workflow has no {name}")
            self._props[name] = None if make is None else make(self)
        return self._props[name]

    def _set_property(self, name, property, value):
        self._set_props[name] = value

    def get_bundle_root(self):
        return "."

    def get_device(self):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def get_network_def(self):
        return parts.network(self.channels).to(self.device)

    def get_max_epochs(self):
        return 50

    def get_val_interval(self):
        return 5

    def get_train_dataset_data(self):
        return parts.entries(self.dataset_dir)[: -parts.VALIDATION]

    def get_train_preprocessing(self):
        return parts.augmented(self.patch_size)

    def get_train_dataset(self):
        return CacheDataset(self.train_dataset_data, self.train_preprocessing, num_workers=0, progress=False)

    def get_train_inferer(self):
        return SimpleInferer()

    def get_train_postprocessing(self):
        return parts.postprocessing()

    def get_train_handlers(self):
        return [
            ValidationHandler(validator=self.evaluator, interval=self.val_interval, epoch_level=True),
            StatsHandler(tag_name="train_loss", output_transform=from_engine(["loss"], first=True)),
        ]

    def get_trainer(self):
        return SupervisedTrainer(
            device=self.device,
            max_epochs=self.max_epochs,
            train_data_loader=DataLoader(self.train_dataset, batch_size=self.batch_size, shuffle=True),
            network=self.network_def,
            optimizer=torch.optim.Adam(self.network_def.parameters(), self.learning_rate),
            loss_function=parts.loss(),
            inferer=self.train_inferer,
            postprocessing=self.train_postprocessing,
            train_handlers=self.train_handlers,
        )

    def get_val_dataset_data(self):
        return parts.entries(self.dataset_dir)[-parts.VALIDATION :]

    def get_val_preprocessing(self):
        return Compose(parts.preprocessing(self.patch_size))

    def get_val_dataset(self):
        return CacheDataset(self.val_dataset_data, self.val_preprocessing, num_workers=0, progress=False)

    def get_val_inferer(self):
        return SlidingWindowInferer(roi_size=self.patch_size, sw_batch_size=4, overlap=0.5)

    def get_val_postprocessing(self):
        return parts.postprocessing()

    def get_val_handlers(self):
        saved = {"save_dir": self.bundle_root + "/models", "save_dict": {"model": self.network_def}}
        return [CheckpointSaver(save_key_metric=True, key_metric_filename="model.pt", **saved)]

    def get_val_key_metric(self):
        return {"val_mean_dice": MeanDice(include_background=False, output_transform=from_engine(["pred", "label"]))}

    def get_evaluator(self):
        return SupervisedEvaluator(
            device=self.device,
            val_data_loader=DataLoader(self.val_dataset, batch_size=1),
            network=self.network_def,
            inferer=self.val_inferer,
            postprocessing=self.val_postprocessing,
            key_val_metric=self.val_key_metric,
            val_handlers=self.val_handlers,
        )
