# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The path of pixels that a stroke through the background follows."""

from __future__ import annotations

import numpy as np

from monai_al.transforms._strokes import pixels_along, waves

__all__ = ["background_path"]

DIRECTIONS = 64  # of a turn around the foreground
TURNS = 1.4  # around the foreground, farther and farther away: the ends pass each other
ENOUGH = 0.25  # of the curve must lie in the background, else there is no room for it
CORNERS = 6  # of a zigzag
SIZE = 0.2  # half of the sides of a zigzag, as a share of the shorter side


def background_path(
    background: np.ndarray, foreground: np.ndarray, distance: float, wobble: float, rng: np.random.Generator
) -> np.ndarray:
    """The longest part in the background of a curve around the foreground, or of a zigzag where there is none.

    Args:
        background: bool ``(h, w)``, where the path may run.
        foreground: bool ``(h, w)``, from which it stays away.
        distance: of its nearer end from the convex hull of the foreground, as a share of the shorter side; the other
            end is twice as far away.
        wobble: how much nearer or farther it comes, as a share of the distance.
        rng: where it begins, in which direction it goes and how it wobbles.

    Returns:
        int64 ``(n, 2)``, rows and columns of pixels, each the 8-neighbour of the one before or the same; n is 0 where
        the background has no room for it.
    """
    if foreground.any():
        points = _around(foreground, distance * min(background.shape), wobble, rng)
    else:
        points = _zigzag(background.shape, wobble, rng)
    pixels = pixels_along(points)
    longest = _longest_run(pixels, background)
    return longest if len(longest) >= ENOUGH * len(pixels) else longest[:0]


def _around(foreground: np.ndarray, distance: float, wobble: float, rng: np.random.Generator) -> np.ndarray:
    """A curve that leaves the convex hull slowly, as points ``(n, 2)``."""
    extremes = _row_ends(foreground)
    centre = extremes.mean(0)
    turns = rng.random() + rng.choice([-1, 1]) * np.arange(round(TURNS * DIRECTIONS)) / DIRECTIONS
    units = np.stack([np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)], 1)
    limits = units[:DIRECTIONS]
    reach = ((extremes - centre) @ limits.T).max(0)
    along = np.linspace(0, 1, len(turns))
    away = distance * (1 + along + wobble * waves(along, rng))
    # a point is outside of the hull where it passes the reach of one direction; along its ray the first one counts
    cosines = np.maximum(units @ limits.T, 1e-6)
    radii = ((reach + away[:, None]) / cosines).min(1)
    return centre + radii[:, None] * units


def _row_ends(region: np.ndarray) -> np.ndarray:
    """The first and the last pixel of each row, which have the convex hull of all."""
    rows = np.flatnonzero(region.any(1))
    first = region[rows].argmax(1)
    last = region.shape[1] - 1 - region[rows, ::-1].argmax(1)
    return np.stack([np.tile(rows, 2), np.concatenate([first, last])], 1).astype(float)


def _zigzag(shape: tuple[int, ...], wobble: float, rng: np.random.Generator) -> np.ndarray:
    """A line to and fro through the middle of the image, in a random direction, as points ``(n, 2)``."""
    along = np.linspace(-1, 1, CORNERS)
    across = np.where(np.arange(CORNERS) % 2, 1.0, -1.0)
    points = np.stack([along, across], 1) + wobble * rng.uniform(-0.5, 0.5, (CORNERS, 2))
    turn = rng.uniform(0, 2 * np.pi)
    turned = points @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return (np.array(shape) - 1) / 2 + SIZE * min(shape) * turned


def _longest_run(pixels: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """The longest part of a curve on allowed pixels."""
    nearest = np.clip(pixels, 0, np.array(allowed.shape) - 1)
    free = (nearest == pixels).all(1) & allowed[tuple(nearest.T)]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], free, [False]])))
    starts, ends = edges[::2], edges[1::2]
    if len(starts) == 0:
        return pixels[:0]
    longest = int(np.argmax(ends - starts))
    return pixels[starts[longest] : ends[longest]]
