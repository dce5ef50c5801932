# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a loop checks before it starts, so that what cannot work fails before anything is written."""

from __future__ import annotations

from typing import Any

from monai_al.bundle import BundleConfigError, PythonTraining, TrainingConfig
from monai_al.bundle.loaded_weights import refuse_loaded
from monai_al.engines.labeled_validation import LABELED, VALIDATION_PART
from monai_al.engines.members import BEST, MEAN, Members
from monai_al.engines.settings import BUNDLE
from monai_al.handlers.named_embeddings import PIXELS, bottleneck_of, layer_and_grid
from monai_al.handlers.needs import (
    ENCODER,
    before_training,
    initial_needs_of,
    is_bottleneck,
    is_layer,
    needs_of,
    of_members,
)
from monai_al.handlers.watched_call import find_layer
from monai_al.records import DataError
from monai_al.sources import Source
from monai_al.strategies import Strategy
from monai_al.uncertainty import Measure

_OF_A_GROUP = ("init_process_group", "DistributedDataParallel")

__all__ = [
    "check_annotator",
    "check_encoder",
    "check_initial_weights",
    "check_members",
    "check_own_group",
    "check_parts",
    "check_pixels",
    "check_truth",
    "needs_encoder",
    "try_training",
]


def check_parts(source: Source, strategy: Strategy, *, annotates_test: bool = False) -> None:
    """There are items to annotate, and labels where they are needed before anybody annotates.

    And the data can take the pseudo labels of a strategy that gives some.

    Args:
        source: the data.
        strategy: the strategy.
        annotates_test: people annotate the test part, too.

    Raises:
        ValueError: people are to annotate the test set of a bundle that knows nothing of this package, or a strategy
            gives pseudo labels to it.
        DataError: there is nothing to annotate; or items of the validation part, of a test part that nobody annotates,
            or of a pool whose strategy looks at the truth, have no label.

    Example:
        >>> from monai_al.records import Pool
        >>> from monai_al.sources import SliceSource
        >>> from monai_al.strategies import Random
        >>> check_parts(SliceSource(Pool([]), cache=None), Random())
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: there are no items to annotate: give patients that are not in the test part
    """
    if not len(source.data.part("train")):
        raise DataError("there are no items to annotate: give patients that are not in the test part")
    asked = {}
    if source.cache is None:  # a bundle that knows nothing of this package says what is wrong with its test set itself
        if annotates_test:
            raise ValueError("--annotate_test needs a training config with a pool of its own: give 0")
        if strategy.gives_pseudo_labels:  # only its own postprocessing knows what its predictions mean
            raise ValueError(
                f"strategy {strategy.name} gives pseudo labels, which need a training config with a pool and a cache "
                "of its own: leave them out by --strategy#pseudo 0 --strategy#pseudo_growth 0"
            )
    else:
        asked["validation"] = (
            "they cannot be validated on; add their labels to the data set, or where --validation_fraction drew them "
            "give 0"
        )
        asked["test"] = (
            "they cannot be tested on; add their labels to the data set, or where --test_fraction drew them give 0, or "
            "--annotate_test 2, which lets people annotate the volumes of two patients"
        )
    if annotates_test:
        asked.pop("test", None)
    if strategy.uses_truth:
        asked["train"] = f"strategy {strategy.name} looks at the truth of every item; take another one, or give labels"
    for part, advice in asked.items():
        items = source.data.part(part).items
        without = items.where(lambda whole: whole.label is None)
        if len(without):
            first = items[int(without[0])].id
            raise DataError(f"{len(without)} items of the part {part!r} have no label, such as {first}: {advice}")


def check_annotator(annotator: Any, source: Source) -> None:
    """The annotator can answer for these data, as far as it tells before it is asked.

    Args:
        annotator: who labels; one without a method ``check`` says nothing.
        source: the data, prepared.

    Raises:
        ValueError: it cannot.
        DataError: what it answers with is not there.

    Example:
        >>> from monai_al.annotators import Oracle
        >>> from monai_al.records import Pool
        >>> from monai_al.sources import SliceSource
        >>> check_annotator(Oracle(), SliceSource(Pool([]), cache=None))
    """
    check = getattr(annotator, "check", None)
    if callable(check):
        check(source)


def check_members(strategy: Strategy, members: Members, source: Source, *, validate_on: str = VALIDATION_PART) -> None:
    """The members of a round can give what the strategy needs, and be tested as is asked for.

    Args:
        strategy: the strategy.
        members: the networks of the rounds.
        source: the data.
        validate_on: see :class:`monai_al.engines.LoopSettings`.

    Raises:
        ValueError: they cannot.

    Example:
        >>> from monai_al.records import Pool, RunFolder
        >>> from monai_al.sources import SliceSource
        >>> from monai_al.strategies import Random
        >>> members = Members(RunFolder("runs/a"), TrainingConfig({}), 5)
        >>> check_members(Random(), members, SliceSource(Pool([]), cache=None))
    """
    several = members.number > 1
    for need in needs_of(strategy).values():
        if isinstance(need, str) and not before_training(need) and several and members.tested == MEAN:
            raise ValueError(
                f"strategy {strategy.name} needs the layer {need!r} of one network: --members 1, or --tested best"
            )
        if of_members(need) and not several:
            raise ValueError(f"strategy {strategy.name} needs several networks per round: --members 5")
    validates = validate_on == LABELED or len(source.data.part("validation")) > 0
    if members.tested == BEST and not validates:
        advice = "this bundle has none" if source.validates_on_test else "set --validation_fraction"
        advice += f", or --validate_on {LABELED}, which takes labeled items"
        raise ValueError(f"--tested best needs a validation part: {advice}")


def check_initial_weights(training: TrainingConfig | PythonTraining, initial_weights: str) -> None:
    """Weights that a training config loads by itself enter the rounds only where they were asked for.

    Args:
        training: the config, whose parts were found.
        initial_weights: see :class:`monai_al.engines.LoopSettings`.

    Raises:
        BundleConfigError: it loads some that nobody asked for, or none that were asked for.

    Example:
        >>> check_initial_weights(TrainingConfig({}), "scratch")
    """
    if training.weights is not None:
        refuse_loaded(training.name, [one["file"] for one in training.weights], initial_weights)
    elif initial_weights == BUNDLE:
        raise BundleConfigError(
            f"--initial_weights {BUNDLE}: {training.name} loads no weights into its network: give scratch or previous"
        )


def check_own_group(training: TrainingConfig | PythonTraining, processes: int) -> None:
    """A config that several processes work with brings no process group of its own.

    Args:
        training: the config.
        processes: how many there are.

    Raises:
        BundleConfigError: it does, as MONAI's multi-GPU overlays do.

    Example:
        >>> check_own_group(TrainingConfig({"initialize": ["$dist.init_process_group('nccl')"]}), 2)
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: the training config starts a process group of its own: ...
    """
    if processes > 1 and any(word in str(training.raw()) for word in _OF_A_GROUP):
        raise BundleConfigError(
            f"{training.name} starts a process group of its own: leave its multi-GPU overlay out; the loop shares out "
            "every training by itself, and --train_overlays \"['multi_gpu']\" gives each process its GPU"
        )


def check_truth(source: Source, strategy: Strategy) -> None:
    """The truth that a strategy looks at is there, and full.

    Args:
        source: the data, prepared.
        strategy: the strategy.

    Raises:
        DataError: an item has no label, or one that leaves most of its pixels without annotation.

    Example:
        >>> from monai_al.records import Pool
        >>> from monai_al.sources import SliceSource
        >>> from monai_al.strategies import Random
        >>> check_truth(SliceSource(Pool([]), cache=None), Random())
    """
    if strategy.uses_truth and source.cache is not None:
        source.present(source.data.part("train").items)


def check_pixels(source: Source, strategy: Strategy, first: Strategy | None = None) -> None:
    """Images whose pixels are compared as they are have one size, as far as five tell that are spread over the pool.

    Args:
        source: the data, prepared.
        strategy: the strategy.
        first: the one that chooses the initial set; None: chance does.

    Raises:
        ValueError: two of the images differ in size.

    Example:
        >>> from monai_al.records import Pool
        >>> from monai_al.sources import SliceSource
        >>> from monai_al.strategies import Random
        >>> check_pixels(SliceSource(Pool([]), cache=None), Random())
    """
    initially = {} if first is None else initial_needs_of(first) or {}
    asked = {"embedding": needs_of(strategy), "initial": initially}
    option = next((name for name, needs in asked.items() if PIXELS in needs.values()), None)
    if option is None:
        return
    items = source.data.part("train").items
    some = [items[number] for number in sorted({round(i * (len(items) - 1) / 4) for i in range(5)})]
    sizes = [tuple(batch["image"].shape[2:]) for batch in source.loader(some, batch_size=1)]
    for item, size in zip(some, sizes, strict=True):
        if size != sizes[0]:
            shown = [" x ".join(map(str, one)) for one in (sizes[0], size)]
            raise ValueError(
                f"strategy {strategy.name} compares the pixels of images, and those of {some[0].id} ({shown[0]}) and "
                f"{item.id} ({shown[1]}) differ in number: give --strategy#{option} {PIXELS}:64, which resizes them"
            )


def needs_encoder(*strategies: Strategy) -> bool:
    """Whether one of some strategies needs a pretrained encoder, for its queries or for the initial set.

    Example:
        >>> from monai_al.strategies import Random
        >>> needs_encoder(Random())
        False
    """
    needs = [need for one in strategies for need in (needs_of(one), initial_needs_of(one) or {})]
    return ENCODER in [value for need in needs for value in need.values()]


def check_encoder(source: Source, *strategies: Strategy, given: bool, warm_start: bool = False) -> None:
    """The pretrained encoder that a strategy or a warm start needs can be trained.

    Args:
        source: the data.
        *strategies: who chooses.
        given: whether a config that trains one is given.
        warm_start: whether networks start from its weights.

    Raises:
        ValueError: none is given, or the data have no pool and cache that it could be trained on.

    Example:
        >>> from monai_al.records import Pool
        >>> from monai_al.sources import SliceSource
        >>> from monai_al.strategies import Random
        >>> check_encoder(SliceSource(Pool([]), cache=None), Random(), given=False)
    """
    name = next((one.name for one in strategies if needs_encoder(one)), None)
    if name is None and not warm_start:
        return
    if source.cache is None and not warm_start:
        raise ValueError(
            f"strategy {name} needs a pretrained encoder, which needs a training config with a pool and a cache of its "
            "own"
        )
    if not given and name is None:
        raise ValueError(
            "--warm_start encoder: name the config that trains the encoder by --encoder, or add the overlay "
            "encoders/warm_start, which does"
        )
    if not given:
        raise ValueError(
            f"strategy {name} needs a pretrained encoder: name the config that trains it by --encoder, such as "
            "configs/pretrain.yaml of the bundle group_contrastive_cardiac, or add the overlay encoders/from_file, "
            "which takes weights from a file"
        )
    if source.cache is None:
        raise ValueError(
            "an encoder needs a training config with a pool and a cache of its own"
            + ("; give --warm_start a file of weights" if warm_start else "")
        )


def try_training(
    training: TrainingConfig | PythonTraining, source: Source, strategy: Strategy, activation: str | None = None
) -> None:
    """Build the network, predict one item, and look for the layers that the strategy needs.

    Args:
        training: the training config.
        source: the data, prepared.
        strategy: the strategy.
        activation: of the network's outputs; None reads it off the config.

    Raises:
        DataError: the network cannot predict it, or its channels are not the classes.
        ValueError: it lacks dropout or a layer that the strategy needs.

    Example:
        >>> import tempfile
        >>> from monai_al.data import VolumeCache
        >>> from monai_al.datasets import phantom
        >>> from monai_al.sources import SliceSource
        >>> from monai_al.strategies import Random
        >>> training = TrainingConfig({"network_def": "$torch.nn.Conv2d(1, 5, 1)", "activation": "softmax"})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pool = phantom(folder, patients=1, shape=(16, 16, 6), classes=["background", "liver"])
        ...     source = SliceSource(pool, VolumeCache(folder, label_values=pool.label_values, progress=False))
        ...     try_training(training, source, Random())
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: the network has 5 output channels for the 2 classes background, liver
    """
    needs = list(needs_of(strategy).values())
    trained = training.load(None, activation)
    source.try_network(trained, [need for need in needs if isinstance(need, Measure)])
    for layer in filter(is_layer, needs):
        try:
            find_layer(trained.network, layer_and_grid(str(layer))[0])
        except ValueError as error:
            raise ValueError(
                f"strategy {strategy.name} needs a layer that the network does not have: {error}. Where the strategy's "
                "overlay brings a network of its own, no other overlay in --train_overlays may replace it"
            ) from error
    if any(map(is_bottleneck, needs)):
        (first,) = source.loader(source.data.part("train").items[:1], batch_size=1)
        bottleneck_of(trained.network, trained.inferer, first["image"].to(trained.device))
