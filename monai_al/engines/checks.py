# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a loop checks before it starts, so that what cannot work fails before anything is written."""

from __future__ import annotations

from monai_al.bundle import TrainingConfig
from monai_al.engines.members import BEST, MEAN, Members
from monai_al.handlers.named_embeddings import BOTTLENECK, bottleneck_of
from monai_al.handlers.needs import ENCODER, before_training, initial_needs_of, is_layer, needs_of, of_members
from monai_al.handlers.watched_call import find_layer
from monai_al.records import DataError
from monai_al.sources import Source
from monai_al.strategies import Strategy
from monai_al.uncertainty import Measure

__all__ = ["check_encoder", "check_members", "check_parts", "needs_encoder", "try_training"]


def check_parts(source: Source) -> None:
    """There are items to annotate and items to test on.

    Raises:
        DataError: one of them is missing.

    Example:
        >>> from monai_al.records import Pool
        >>> from monai_al.sources import SliceSource
        >>> check_parts(SliceSource(Pool([]), cache=None))
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: 0 items to annotate and 0 to test on: both are needed
    """
    n_pool, n_test = len(source.data.part("train")), len(source.data.part("test"))
    if not n_pool or not n_test:
        raise DataError(f"{n_pool} items to annotate and {n_test} to test on: both are needed")


def check_members(strategy: Strategy, members: Members, source: Source) -> None:
    """The members of a round can give what the strategy needs, and be tested as is asked for.

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
    if members.tested == BEST and not len(source.data.part("validation")):
        advice = "this bundle has none" if source.validates_on_test else "set --validation_fraction"
        raise ValueError(f"--tested best needs a validation part: {advice}")


def needs_encoder(strategy: Strategy) -> bool:
    """Whether a strategy needs a pretrained encoder, for its queries or for the initial set.

    Example:
        >>> from monai_al.strategies import Random
        >>> needs_encoder(Random())
        False
    """
    return ENCODER in (*needs_of(strategy).values(), *(initial_needs_of(strategy) or {}).values())


def check_encoder(strategy: Strategy, source: Source, given: bool) -> None:
    """The pretrained encoder that a strategy needs can be trained.

    Args:
        strategy: the strategy.
        source: the data.
        given: whether a config that trains one is given.

    Raises:
        ValueError: none is given, or the data have no pool and cache that it could be trained on.

    Example:
        >>> from monai_al.records import Pool
        >>> from monai_al.sources import SliceSource
        >>> from monai_al.strategies import Random
        >>> check_encoder(Random(), SliceSource(Pool([]), cache=None), given=False)
    """
    if not needs_encoder(strategy):
        return
    if not given:
        raise ValueError(
            f"strategy {strategy.name} needs a pretrained encoder: name the config that trains it by --encoder, such "
            "as configs/pretrain.yaml of the bundle group_contrastive_cardiac"
        )
    if source.cache is None:
        raise ValueError("an encoder needs a training config with a pool and a cache of its own")


def try_training(training: TrainingConfig, source: Source, strategy: Strategy, activation: str | None = None) -> None:
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
        find_layer(trained.network, str(layer))
    if BOTTLENECK in needs:
        (first,) = source.loader(source.data.part("train").items[:1], batch_size=1)
        bottleneck_of(trained.network, trained.inferer, first["image"].to(trained.device))
