# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Every knob of our bundles, declared once; the check before a run, ``--help`` and ``docs/options.md`` use it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from monai_al.options.option import Option

__all__ = ["OPTIONS", "SECTIONS", "options_of"]

SECTIONS = {
    "loop": "The loop",
    "data": "Data",
    "training": "Training",
    "encoder": "Pretrained encoder",
    "result": "Inference and evaluation",
    "machine": "Machine and files",
    "tracking": "Tracking",
}
_SEEDS = {"low": 0, "high": 2**32 - 1}
_MANY = 10**6


def _section(section: str) -> Any:
    return functools.partial(Option, section=section)


def _declared() -> Iterator[Option]:
    loop = _section("loop")
    yield loop(name="rounds", kind="whole", low=1, help="number of rounds; may grow when a run goes on")
    yield loop(name="budget", kind="budget", help="how many items a round asks for; see configs of the bundle")
    yield loop(name="seed", kind="whole", help="of the experiment; all randomness derives from it", **_SEEDS)
    yield loop(name="members", kind="whole", low=1, high=100, help="networks trained per round")
    yield loop(
        name="tested",
        kind="choice",
        choices=("mean", "best"),
        help="of several members: their mean probability, or the one of the highest 3D Dice on the validation part",
    )
    yield loop(
        name="validate_on",
        kind="choice",
        choices=("validation_part", "labeled"),
        help="what chooses weights or the best member, where that is asked for: the validation part, or a fifth of the "
        "labeled patients, which is left out of the training",
    )
    yield loop(
        name="initial_set",
        kind="choice",
        choices=("strategy", "random", "central_stratified", "coreset", "cluster_representatives"),
        help="who chooses the first query: the strategy, where it needs no trained network; chance; or one that "
        "needs none: a central slice of each patient, or by an encoder k-center or representatives of clusters",
    )
    yield loop(
        name="initial_weights",
        kind="choice",
        choices=("scratch", "previous", "bundle"),
        help="of each round's training: new ones, those of the round before, or those that another bundle loads itself",
    )
    yield loop(
        name="warm_start",
        kind="path",
        optional=True,
        help="pretrained weights to start from: encoder, those of the encoder's training, or a file; null: random ones",
    )
    yield loop(
        name="activation",
        kind="choice",
        choices=("softmax", "sigmoid", "multilabel", "none"),
        optional=True,
        help="from the network's outputs to probabilities; null: as the training config tells",
    )
    yield loop(
        name="folds",
        kind="whole",
        low=0,
        high=100,
        help="above 1: parts of the labeled patients, each scored by a network that is trained on the others",
    )
    yield loop(
        name="empty_policy",
        kind="choice",
        choices=("strict", "ignore_empty", "count_empty"),
        help="how Dice and HD95 treat empty masks",
    )
    yield loop(
        name="score_inside",
        kind="flag",
        help="of a bundle of others: what its preprocessing crops away counts in no score; false: it counts as missed",
    )
    yield loop(
        name="share_first_model",
        kind="flag",
        help="networks of the first round that another run with the same cache has trained are taken from there",
    )
    yield loop(
        name="scoring_batch_size", kind="whole", low=1, high=_MANY, help="items per batch where nothing is trained"
    )
    yield loop(
        name="scribble_speed",
        kind="number",
        low=1,
        high=_MANY,
        help="how many times faster a weak label is given than a full one, as costs count: a figure of the literature",
    )
    yield loop(
        name="slice_overhead",
        kind="number",
        low=0,
        high=1,
        help="share of an average slice's cost that does not grow with its foreground, an empty slice's cost (an "
        "assumption)",
    )
    yield loop(
        name="opening_cost",
        kind="number",
        low=0,
        high=_MANY,
        help="what opening a volume costs, in full slices, where costs count that (an assumption)",
    )
    yield loop(
        name="selector",
        kind="config",
        optional=True,
        choices=("top_k", "stochastic_batches", "power_noise", "stratified"),
        help="how scores become items; null: as the strategy does",
    )
    yield loop(name="strategy", kind="config", help="chooses the items of a query: an overlay of configs/strategies")
    yield loop(name="annotator", kind="config", help="answers a query with labels: an overlay of configs/annotators")
    yield loop(
        name="weak_share",
        kind="number",
        above=0,
        high=1,
        help="of the items that an oracle answers with scribbles; the others get their full label",
    )
    yield loop(name="scribble_folder", kind="path", optional=True, help="files of scribbles; null: beside the images")
    yield loop(name="scribble_suffix", kind="text", help="follows the name of an image in that of its scribbles")
    yield loop(
        name="scribble_values",
        kind="config",
        optional=True,
        help="{stored value: class number, or 255: not annotated}; null: above the classes and 255 are not annotated",
    )
    yield loop(name="scribble_width", kind="whole", low=1, high=100, help="of drawn scribbles, in stored pixels")
    yield loop(
        name="scribble_length", kind="number", above=0, high=1, help="of drawn scribbles, a share of the longest path"
    )
    yield loop(name="handlers", kind="config", help="attached to the loop: an overlay of configs/tracking")
    yield loop(
        name="training_config",
        kind="path",
        help="the training config: a name in the bundle, or a path to any bundle's, or to a workflow in Python "
        "(workflow.py, or workflow.py:Training where it holds several)",
    )
    yield loop(name="train_overlays", kind="names", help="laid over the training config: names in the bundle, or paths")
    yield loop(name="image_key", kind="text", help="of another bundle's entries: the key of the image")
    yield loop(name="label_key", kind="text", help="of another bundle's entries: the key of the label")
    yield loop(
        name="patient",
        kind="text",
        optional=True,
        help="of another bundle's images: regular expression whose group is the patient in an image's path; null: as "
        "the entries or the paths tell",
    )
    yield loop(name="train_map", kind="config", help="where a knob goes in another bundle's training config")
    yield loop(
        name="bundle_ids",
        kind="config",
        help="ids of parts that are not found in another bundle by what they are, such as {evaluator: my_evaluator}",
    )
    yield loop(
        name="properties_path",
        kind="path",
        optional=True,
        help="MONAI's JSON file of properties, whose ids stand for those of bundle_ids that are not given; null: none",
    )
    yield loop(
        name="nested_overrides",
        kind="config",
        help="nested ids of the training config, or of the encoder's, and their values",
    )

    data = _section("data")
    yield data(name="dataset_dir", kind="path", optional=True, help="the data set's folder; null: the built-in phantom")
    yield data(
        name="test_fraction",
        kind="number",
        low=0,
        below=1,
        help="share of the patients for testing; 0: nobody is",
    )
    yield data(
        name="annotate_test",
        kind="whole",
        low=0,
        high=_MANY,
        help="patients whose volumes people annotate, once, to test on; in place of test_fraction",
    )
    yield data(name="validation_fraction", kind="number", low=0, below=1, help="share of the patients for validation")
    yield data(name="split_seed", kind="whole", help="draws the patients of the parts", **_SEEDS)
    yield data(
        name="image_size",
        kind="wholes",
        entries=(2, 3),
        low=8,
        high=65536,
        optional=True,
        help="rows and columns of what the network gets; null: those of the median field of view, up to longest_side",
    )
    yield data(
        name="spacing",
        kind="number",
        above=0,
        high=1000,
        choices=("fit",),
        optional=True,
        help="mm between pixels, slices cropped or padded; fit: as the files tell; null: the whole view is resized",
    )
    yield data(
        name="longest_side",
        kind="whole",
        low=16,
        high=65536,
        help="the most rows or columns where image_size is derived from the files",
    )
    yield data(name="grid", kind="config", help="the pixels of the network, of image_size, spacing and the files")
    yield data(
        name="padding_value", kind="number", help="around a view that is smaller than image_size at that spacing"
    )
    yield data(name="intensity", kind="config", help="scales the grey values of a volume")
    yield data(
        name="in_channels", kind="whole", low=1, high=_MANY, help="channels of an image, such as 3 of a colour one"
    )
    yield data(
        name="colours",
        kind="choice",
        choices=("rgb", "grey"),
        help="of pictures in colours: all three, with in_channels 3, or their brightness, with in_channels 1",
    )
    yield data(
        name="out_channels",
        kind="whole",
        low=1,
        high=254,
        help="outputs of the network: the classes, or 1 with a sigmoid",
    )
    yield data(
        name="volume_depth",
        kind="whole",
        low=1,
        high=65536,
        help="slices of each volume where whole volumes are annotated",
    )
    yield data(name="phantom", kind="config", help="the built-in data: patients, volumes_per_patient, shape, classes")
    yield data(name="datalist", kind="config", help="the data set: an overlay of configs/datasets")

    training = _section("training")
    yield training(
        name="steps", kind="whole", low=1, optional=True, help="optimiser steps per round, drawn with replacement"
    )
    yield training(
        name="epochs",
        kind="whole",
        low=1,
        optional=True,
        help="passes over the labeled items per round; instead of steps",
    )
    yield training(name="default_steps", kind="whole", low=1, help="steps where neither steps nor epochs are given")
    yield training(
        name="steps_per_epoch",
        kind="whole",
        low=1,
        optional=True,
        help="steps between two validations; null: none in between",
    )
    yield training(name="val_interval", kind="whole", low=1, help="epochs between two validations")
    yield training(
        name="validation_batch_size", kind="whole", low=1, high=_MANY, help="items per batch of a validation"
    )
    yield training(name="batch_size", kind="whole", low=1, high=_MANY, help="items per training step")
    yield training(name="learning_rate", kind="number", low=0, high=100, help="the largest one of the schedule")
    yield training(
        name="lr_schedule",
        kind="choice",
        choices=("one_cycle", "polynomial", "warmup_cosine", "constant"),
        help="how the learning rate changes over the steps of a round",
    )
    yield training(name="warmup", kind="number", low=0, below=1, help="share of the steps in which warmup_cosine rises")
    yield training(name="end_learning_rate", kind="number", low=0, high=100, help="where warmup_cosine ends")
    yield training(name="weight_decay", kind="number", low=0, high=100, help="of the optimiser")
    yield training(name="channels", kind="wholes", entries=(2, _MANY), low=1, high=_MANY, help="of the U-Net's levels")
    yield training(name="dropout", kind="number", low=0, below=1, help="probability; above 0 for mc_dropout and bald")
    yield training(
        name="feature_dropout",
        kind="number",
        low=0,
        below=1,
        help="probability for each channel of what the second decoder of weak_supervision gets",
    )
    yield training(
        name="pseudo_weight",
        kind="number",
        low=0,
        help="of the pseudo labels of weak_supervision, beside what is annotated",
    )
    yield training(
        name="model",
        kind="choice",
        choices=("last", "best"),
        help="which weights count: the last, or the best on validation",
    )
    yield training(
        name="key_metric",
        kind="choice",
        choices=("loss", "dice"),
        help="what is best on validation: the lowest loss, or the highest 3D Dice",
    )
    yield training(
        name="early_stopping",
        kind="whole",
        low=1,
        optional=True,
        help="validations without improvement before training stops",
    )
    yield training(name="gradient_clip", kind="number", above=0, help="largest norm of the gradient")
    yield training(name="ranking_margin", kind="number", low=0, help="of the loss that learning_loss learns by")
    yield training(name="amp", kind="flag", help="mixed precision")

    encoder = _section("encoder")
    yield encoder(
        name="encoder", kind="path", optional=True, help="the config that trains it before the first round; null: none"
    )
    yield encoder(name="encoder_overlays", kind="names", help="laid over it: names in the bundle, or paths")
    yield encoder(
        name="encoder_backbone", kind="choice", choices=("resnet18", "resnet34", "resnet50"), help="its network"
    )
    yield encoder(name="encoder_width", kind="number", above=0, high=16, help="share of the backbone's channels")
    yield encoder(name="encoder_file", kind="path", optional=True, help="a file of weights, in place of a pretraining")
    yield encoder(
        name="encoder_network",
        kind="config",
        choices=("resnet18", "resnet34", "resnet50", "resnet101", "vit"),
        help="the network of encoder_file",
    )
    yield encoder(
        name="encoder_head", kind="text", optional=True, help="a layer of such a part of a config that is taken off"
    )
    yield encoder(
        name="encoder_prefix", kind="text", optional=True, help="what stands before the names in encoder_file"
    )
    yield encoder(
        name="encoder_mean",
        kind="numbers",
        entries=(1, _MANY),
        help="of each channel that encoder_file's network takes",
    )
    yield encoder(
        name="encoder_std", kind="numbers", entries=(1, _MANY), above=0, help="standard deviations beside encoder_mean"
    )
    yield encoder(
        name="encoder_range",
        kind="numbers",
        entries=(2, 2),
        optional=True,
        help="values of images that become 0 and 1 for encoder_file's network; null: these two",
    )
    yield encoder(
        name="encoder_size",
        kind="wholes",
        entries=(2, 3),
        low=8,
        high=65536,
        optional=True,
        help="pixels that images are resized to for encoder_file's network; null: as they are, for vit about 224",
    )
    yield encoder(name="pretrain_epochs", kind="whole", low=1, help="passes over the pool")
    yield encoder(
        name="pretrain_batch_size",
        kind="whole",
        low=1,
        high=_MANY,
        optional=True,
        help="images per step; null: chosen by the groups, or 16 where there are none",
    )
    yield encoder(name="pretrain_learning_rate", kind="number", above=0, high=100, help="of the pretraining")
    yield encoder(name="pretrain_validation", kind="number", low=0, below=1, help="share of patients validated on")
    yield encoder(
        name="pretrain_patience",
        kind="whole",
        low=1,
        optional=True,
        help="epochs that do not lower the validation loss",
    )
    yield encoder(
        name="encoder_embedding", kind="text", help="the layer that gives the embedding, such as bottleneck:2"
    )
    yield encoder(name="pretrain_weight_decay", kind="number", low=0, high=100, help="of the pretraining")
    for group in ("nt_xent", "patient_group", "volume_group", "slice_group"):
        yield encoder(name=group, kind="number", low=0, help=f"weight of the loss's part {group}")
    yield encoder(name="temperature", kind="number", low=0.01, high=100, help="of the contrastive losses")
    yield encoder(name="two_sided", kind="flag", help="both views of an item count as anchors")
    yield encoder(name="augment_both", kind="flag", help="both views are augmented")
    yield encoder(
        name="backbone_weights", kind="path", optional=True, help="a file of pretrained weights of the backbone"
    )
    yield encoder(name="backbone_prefix", kind="text", optional=True, help="of the backbone's names in that file")
    yield encoder(
        name="backbone_width", kind="number", above=0, high=16, help="share of the backbone's channels in that file"
    )

    result = _section("result")
    yield result(
        name="run_dir",
        kind="path",
        optional=True,
        help="the output_dir of the run whose network is used; null: the bundle's own, where it has models/model.pt",
    )
    yield result(
        name="round", kind="whole", low=0, optional=True, help="the round whose network is used; null: the last one"
    )
    yield result(
        name="part",
        kind="choice",
        choices=("train", "validation", "test", "all"),
        optional=True,
        help="what is evaluated; null: test, or all of a data set that is not the run's own",
    )

    yield result(name="trust", kind="flag", help="execute the config of a run that is somebody else's")

    machine = _section("machine")
    yield machine(name="output_dir", kind="path", help="where the results go: the run folder")
    yield machine(name="cache_dir", kind="path", help="preprocessed volumes, shared by runs")
    yield machine(name="ckpt_dir", kind="path", help="weights of a training that runs alone")
    yield machine(name="device", kind="text", help="cpu, cuda, cuda:1, or mps")
    yield machine(
        name="threads", kind="whole", low=1, high=256, optional=True, help="CPU threads; null: as many as torch takes"
    )
    yield machine(name="num_workers", kind="whole", low=0, high=256, help="processes that load batches")
    yield machine(name="progress", kind="flag", help="progress bars")

    tracking = _section("tracking")
    yield tracking(name="tensorboard", kind="flag", help="the pretraining writes to TensorBoard")
    yield tracking(name="tensorboard_dir", kind="path", help="where TensorBoard's files go")
    yield tracking(name="mlflow_uri", kind="text", help="where MLflow's runs go")
    yield tracking(name="mlflow_experiment", kind="text", help="the experiment's name in MLflow")


OPTIONS: dict[str, Option] = {option.name: option for option in _declared()}


def options_of(names: Any) -> list[Option]:
    """The declared options among some ids, in the table's order.

    Example:
        >>> [option.name for option in options_of({"seed": 0, "rounds": 4, "no_such_knob": 1})]
        ['rounds', 'seed']
    """
    return [option for option in OPTIONS.values() if option.name in names]
