"""Random numbers and small smooth fields that pen, paper and camera are made of."""

import functools
from collections.abc import Mapping, Sequence
from typing import TypeVar

import cv2
import numpy as np

Name = TypeVar("Name", bound=str)


def rng_for(seed: int, index: int) -> np.random.Generator:
    """Random generator of one image: depends on the seed and the image's index, on nothing else."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, index))))


def pick(rng: np.random.Generator, weights: Mapping[Name, float]) -> Name:
    """One name, drawn with the given weights."""
    return list(weights)[lot(rng, list(weights.values()))]


def lot(rng: np.random.Generator, weights: Sequence[float]) -> int:
    """Index drawn with the given weights."""
    left = rng.random() * sum(weights)
    for index, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return index
    return len(weights) - 1


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """One number drawn evenly from low to high: `rng.uniform` at a third of its price."""
    return low + (high - low) * rng.random()


def log_between(rng: np.random.Generator, low: float, high: float) -> float:
    """One positive number, drawn evenly on the logarithmic scale."""
    return low * (high / low) ** rng.random()


def clip01(values: np.ndarray) -> np.ndarray:
    """Clip to 0-1 in place (several times faster than `np.clip` on arrays this small)."""
    np.maximum(values, 0, out=values)
    return np.minimum(values, 1, out=values)


@functools.lru_cache(maxsize=64)
def _enlarging(cells: int, size: int) -> np.ndarray:
    """Matrix (size x cells) of cubic interpolation along one axis."""
    return cv2.resize(np.eye(cells, dtype=np.float32), (cells, size), interpolation=cv2.INTER_CUBIC)


def smooth_field(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Smooth random field, size x size, about unit standard deviation: a coarse grid of noise,
    enlarged.
    """
    # Two small matrix products give what cv2.resize would, in a fraction of the time.
    enlarging = _enlarging(cells, size)
    return enlarging @ rng.standard_normal((cells, cells), dtype=np.float32) @ enlarging.T


@functools.lru_cache(maxsize=16)
def axis_of(size: int) -> np.ndarray:
    """0, 1, ... size - 1."""
    return np.arange(size, dtype=np.float32)


def plane(across: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Sum of a row and a column, as a whole plane."""
    return across[None, :] + along[:, None]
