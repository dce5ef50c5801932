"""The same training by MONAI's PythonicWorkflow, with and without a data set that takes other entries."""

import torch
from monai.bundle import PythonicWorkflow
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.inferers import SimpleInferer, SlidingWindowInferer
from monai.transforms import Compose
from monai.utils import set_determinism

from . import parts


class PythonicTraining(PythonicWorkflow):
    def __init__(self, config_file="configs/hyperparameters.yaml", properties_path=None, meta_file=None, **override):
        super().__init__("train", properties_path, config_file, meta_file, **override)

    def run(self):
        self.trainer.run()

    def finalize(self):
        return True

    def of_config(self, id):
        return self.parser.get_parsed_content(id)

    def get_bundle_root(self):
        return "."

    def get_dataset_dir(self):
        return "/workspace/data/Task04_Hippocampus"

    def get_device(self):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def get_network_def(self):
        set_determinism(seed=123)
        return parts.network().to(self.device)

    def get_max_epochs(self):
        return self.of_config("epochs")

    def get_train_dataset_data(self):
        return parts.entries(self.dataset_dir)[: -parts.VALIDATION]

    def get_train_dataset(self):
        return Dataset(self.train_dataset_data, parts.augmented(self.of_config("patch_size")))

    def get_train_inferer(self):
        return SimpleInferer()

    def get_trainer(self):
        return SupervisedTrainer(
            device=self.device,
            max_epochs=self.max_epochs,
            train_data_loader=DataLoader(self.train_dataset, batch_size=2, shuffle=True),
            network=self.network_def,
            optimizer=torch.optim.Adam(self.network_def.parameters(), self.of_config("learning_rate")),
            loss_function=parts.loss(),
            inferer=self.train_inferer,
        )

    def get_val_dataset_data(self):
        return parts.entries(self.dataset_dir)[-parts.VALIDATION :]

    def get_evaluator(self):
        preprocessing = Compose(parts.preprocessing(self.of_config("patch_size")))
        return SupervisedEvaluator(
            device=self.device,
            val_data_loader=DataLoader(Dataset(self.val_dataset_data, preprocessing), batch_size=1),
            network=self.network_def,
            inferer=SlidingWindowInferer(roi_size=self.of_config("patch_size"), sw_batch_size=4, overlap=0.5),
            postprocessing=parts.postprocessing(),
        )


class FixedTraining(PythonicTraining):
    """Makes its data set from what lies on the disk, whatever the property says."""

    def get_train_dataset(self):
        fixed = parts.entries(self.dataset_dir)[: -parts.VALIDATION]
        return Dataset(fixed, parts.augmented(self.of_config("patch_size")))
