# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A vision transformer with the names and the parts of those whose weights are published, built for a file."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_al.networks.stored_weights import check_weights, tensors_in, weights_for

__all__ = ["VisionTransformer", "load_transformer"]

CLASS, PLACES, PATCHES = "cls_token", "pos_embed", "patch_embed.proj.weight"
SCALE, BIAS, HIDDEN = "blocks.0.ls1.gamma", "blocks.0.attn.qkv.bias", "blocks.0.mlp.fc1.weight"
REGISTERS = "register_tokens"
OF_TRAINING = ("head.", "mask_token")  # what only a training or a classification needs
HEAD_WIDTH = 64  # of every published size
EPSILON = 1e-6


class VisionTransformer(nn.Module):
    """A vision transformer of 2D images, whose features are its class token.

    A. Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021: patches become tokens, with a class token before
    them, a learned embedding of their places, and blocks of attention and of two linear layers behind layer norms. As
    in DINOv2 (M. Oquab et al., TMLR 2024, arXiv:2304.07193) each branch may be scaled by channel, and there may be
    register tokens, which have no place. For another grid of patches than that of training, the embedding of places is
    resized.

    Parameters bear the names of DINO's and DINOv2's files (``cls_token``, ``pos_embed``, ``blocks.0.norm1.weight``).

    Args:
        in_channels: channels of the image.
        patch: rows and columns of a patch.
        grid: patches of each side in training.
        width: channels of a token, W.
        depth: number of blocks.
        heads: of the attention; None: one for each 64 channels.
        hidden: channels inside the two linear layers; None: four times the width.
        registers: number of register tokens.
        layer_scale: whether branches are scaled.
        qkv_bias: whether queries, keys and values have a bias.

    Raises:
        ValueError: the heads do not divide the width.

    Example:
        >>> network = VisionTransformer(1, patch=8, grid=4, width=128, depth=2)
        >>> network(torch.zeros(2, 1, 32, 48)).shape
        torch.Size([2, 128])
    """

    def __init__(
        self,
        in_channels: int = 3,
        *,
        patch: int = 14,
        grid: int = 16,
        width: int = 384,
        depth: int = 12,
        heads: int | None = None,
        hidden: int | None = None,
        registers: int = 0,
        layer_scale: bool = False,
        qkv_bias: bool = True,
    ) -> None:
        super().__init__()
        heads = max(1, width // HEAD_WIDTH) if heads is None else heads
        if width % heads:
            raise ValueError(f"a width of {width} cannot be shared by {heads} heads")
        self.patch, self.grid = patch, grid
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, 1 + grid**2, width))
        self.register_tokens = nn.Parameter(torch.zeros(1, registers, width)) if registers else None
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(in_channels, width, patch, stride=patch)
        hidden = 4 * width if hidden is None else hidden
        self.blocks = nn.ModuleList(_Block(width, heads, hidden, layer_scale, qkv_bias) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Features of a batch.

        Args:
            x: ``(B, in_channels, rows, columns)``, multiples of the patch.

        Returns:
            ``(B, W)``, the class token behind the last layer norm.

        Raises:
            ValueError: the sides are no multiples of the patch.
        """
        rows, columns = x.shape[2:]
        if rows % self.patch or columns % self.patch:
            raise ValueError(
                f"images of {rows} x {columns} pixels cannot be cut into patches of {self.patch} x {self.patch}: "
                f"give multiples of {self.patch} by --encoder_size"
            )
        places = self._places(rows // self.patch, columns // self.patch)
        tokens = self.patch_embed.proj(x).flatten(2).transpose(1, 2)  # type: ignore[operator]
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), tokens], dim=1) + places
        if self.register_tokens is not None:
            tokens = torch.cat([tokens[:, :1], self.register_tokens.expand(len(x), -1, -1), tokens[:, 1:]], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens[:, 0])

    def _places(self, rows: int, columns: int) -> Tensor:
        """The embedding of the class token's and of the patches' places, ``(1, 1 + rows * columns, W)``."""
        if (rows, columns) == (self.grid, self.grid):
            return self.pos_embed
        first, rest = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        image = rest.reshape(1, self.grid, self.grid, -1).permute(0, 3, 1, 2)
        image = F.interpolate(image, size=(rows, columns), mode="bicubic", antialias=True)
        return torch.cat([first, image.flatten(2).transpose(1, 2)], dim=1)


def load_transformer(path: str | Path | None, prefix: str | None = None, *, in_channels: int = 3) -> VisionTransformer:
    """The vision transformer whose weights lie in a file, of the sizes that they tell.

    The names are those of DINO's and DINOv2's files (small, base and large, also with registers), in whatever
    dictionaries and behind whatever prefix. The head of a classification and the token of masked patches are left out.

    Args:
        path: the file; it is loaded with ``weights_only=True``.
        prefix: what stands before the names; needed only where the file holds several transformers.
        in_channels: channels of the image.

    Returns:
        The network, with one head of attention for each 64 channels.

    Raises:
        ValueError: no file is given, it cannot be read or holds no vision transformer, or weights are missing,
            unexpected, of another shape or not finite; the message lists them.

    Example:
        >>> import tempfile
        >>> source = VisionTransformer(patch=8, grid=4, width=64, depth=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save({"teacher": source.state_dict()}, f"{folder}/vit.pt")
        ...     network = load_transformer(f"{folder}/vit.pt")
        >>> torch.equal(network.pos_embed, source.pos_embed)
        True
    """
    tensors = tensors_in(path, "encoder_file")
    found = weights_for(tensors, dict.fromkeys((CLASS, PLACES, PATCHES)), str(path), prefix)
    found = {name: weight for name, weight in found.items() if not name.startswith(OF_TRAINING)}
    network = VisionTransformer(
        in_channels, **_sizes(found, str(path)), layer_scale=SCALE in found, qkv_bias=BIAS in found
    )
    check_weights(found, network.state_dict(), str(path), "a vision transformer of these sizes")
    network.load_state_dict(found)
    return network


def _sizes(weights: Mapping[str, Tensor], file: str) -> dict[str, int]:
    missing = [name for name in (CLASS, PLACES, PATCHES, HIDDEN) if name not in weights]
    if missing:
        raise ValueError(f"{file}: its weights are not those of a vision transformer; missing: {', '.join(missing)}")
    patches = weights[PLACES].shape[1] - 1
    grid = math.isqrt(patches)
    if grid**2 != patches:
        raise ValueError(f"{file}: {PLACES} holds {patches} places beside the class token's, which are no square grid")
    numbers = [int(number) for name in weights for number in re.findall(r"^blocks\.(\d+)\.", name)]
    return {
        "patch": weights[PATCHES].shape[-1],
        "grid": grid,
        "width": weights[CLASS].shape[-1],
        "depth": 1 + max(numbers),
        "hidden": len(weights[HIDDEN]),
        "registers": weights[REGISTERS].shape[1] if REGISTERS in weights else 0,
    }


class _Block(nn.Module):
    """Attention and two linear layers, each behind a layer norm and beside what it is added to."""

    def __init__(self, width: int, heads: int, hidden: int, layer_scale: bool, qkv_bias: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=EPSILON)
        self.attn = _Attention(width, heads, qkv_bias)
        self.ls1 = _Scale(width) if layer_scale else nn.Identity()
        self.norm2 = nn.LayerNorm(width, eps=EPSILON)
        self.mlp = nn.Module()
        self.mlp.fc1, self.mlp.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.ls2 = _Scale(width) if layer_scale else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        hidden = F.gelu(self.mlp.fc1(self.norm2(x)))  # type: ignore[operator]
        return x + self.ls2(self.mlp.fc2(hidden))  # type: ignore[operator]


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width, bias=bias), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        query, key, value = self.qkv(x).reshape(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value)
        return self.proj(seen.transpose(1, 2).reshape(batch, tokens, width))


class _Scale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.gamma * x
