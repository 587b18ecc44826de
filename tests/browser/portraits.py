"""Drawings that look like images of each kind, for pictures of the pages. Nobody's body is in them.

Each is made of ellipses, capsules and noise, between 0 and 1; ``part`` is how far along a series
it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np

__all__ = ["SIDE", "portrait"]

SIDE: Final = 320
Image = np.ndarray

_Y, _X = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1)


def _soft(distance: Image, edge: float = 0.006) -> Image:
    """1 where a signed distance is below 0, with an edge that is not sharp."""
    return 1 / (1 + np.exp(np.clip(distance / edge, -50, 50)))


def _oval(x: float, y: float, wide: float, high: float, turn: float = 0, edge=0.006) -> Image:
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    across, along = (_X - x) * c + (_Y - y) * s, (_Y - y) * c - (_X - x) * s
    return _soft((np.hypot(across / wide, along / high) - 1) * min(wide, high), edge)


def _capsule(start, end, thick: float, thin: float | None = None, edge=0.005) -> Image:
    """Something long between two points, thicker at its ends if ``thin`` is said."""
    (x0, y0), (x1, y1) = start, end
    length = (x1 - x0) ** 2 + (y1 - y0) ** 2
    at = np.clip(((_X - x0) * (x1 - x0) + (_Y - y0) * (y1 - y0)) / length, 0, 1)
    away = np.hypot(_X - x0 - at * (x1 - x0), _Y - y0 - at * (y1 - y0))
    waist = thick if thin is None else thin + (thick - thin) * (2 * at - 1) ** 2
    return _soft(away - waist, edge)


@cache
def _noise(seed: int, size: float) -> Image:
    """Clouds of a size, between -1 and 1 for the most part."""
    white = np.fft.fft2(np.random.default_rng(seed).normal(size=(SIDE, SIDE)))
    far = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None, :])
    clouds = np.fft.ifft2(white * np.exp(-((far * size) ** 2) * 8)).real
    return clouds / (2.2 * clouds.std())


def _over(image: Image, mask: Image, value: float | Image) -> Image:
    return image * (1 - mask) + value * mask


def _thorax(part: float) -> Image:
    wide = 0.43 + 0.02 * np.sin(np.pi * part)
    body, image = _oval(0.5, 0.52, wide, 0.31), np.full((SIDE, SIDE), 0.02)
    image = _over(image, body, 0.36 + 0.02 * _noise(1, 6))
    image = _over(image, _oval(0.5, 0.52, wide - 0.03, 0.28), 0.58 + 0.03 * _noise(2, 3))
    for side in (-1, 1):
        x, high = 0.5 + side * 0.2, 0.15 + 0.06 * part
        lung = _oval(x, 0.5, 0.145, high, side * 14) * (1 - _oval(0.47, 0.45, 0.15, 0.14))
        vessels = np.clip(_noise(7 + side + int(part * 9), 4) - 0.75, 0, 1) * 1.5
        image = _over(image, lung, 0.09 + vessels)
    heart = _oval(0.46, 0.45, 0.13 + 0.02 * part, 0.11, -24)
    image = _over(image, heart, 0.68 + 0.02 * _noise(3, 5))
    image = _over(image, _oval(0.43, 0.44, 0.07, 0.055, -24), 0.86)
    image = _over(image, _oval(0.57, 0.61, 0.032, 0.032), 0.9)
    for turn in range(-165, 170, 22):
        if abs(turn - 90) > 18:
            angle = np.radians(turn + 9 * part)
            x, y = 0.5 + (wide - 0.045) * np.cos(angle), 0.52 + 0.262 * np.sin(angle)
            image = _over(image, _oval(x, y, 0.035, 0.012, np.degrees(angle) + 90), 0.97)
    image = _over(image, _oval(0.5, 0.69, 0.062, 0.05), 0.93 + 0.05 * _noise(4, 3))
    image = _over(image, _oval(0.5, 0.752, 0.024, 0.02), 0.55)
    image = _over(image, _capsule((0.5, 0.78), (0.5, 0.82), 0.014), 0.95)
    return image + 0.25 * _soft(abs(_Y - 0.9 - 0.12 * (_X - 0.5) ** 2) - 0.004, 0.003)


def _head(part: float) -> Image:
    size = 0.9 + 0.1 * np.sin(np.pi * part)
    image = np.full((SIDE, SIDE), 0.02)
    image = _over(image, _oval(0.5, 0.5, 0.36 * size, 0.44 * size), 0.42)
    image = _over(image, _oval(0.5, 0.5, 0.345 * size, 0.425 * size), 0.98)
    brain = _oval(0.5, 0.5, 0.315 * size, 0.395 * size)
    folds = np.clip(np.abs(_noise(11, 9)) * 2.2, 0, 1)
    rim = 1 - _oval(0.5, 0.5, 0.25 * size, 0.33 * size, edge=0.03)
    image = _over(image, brain, 0.5 + 0.05 * _noise(12, 5) - 0.16 * rim * (1 - folds))
    for side in (-1, 1):
        image = _over(image, _oval(0.5 + side * 0.055, 0.42, 0.022, 0.1, side * 16), 0.2)
        image = _over(image, _oval(0.5 + side * 0.075, 0.62, 0.02, 0.07, side * -22), 0.2)
        image = _over(image, _oval(0.5 + side * 0.12, 0.5, 0.045, 0.075, side * 12), 0.6)
    return _over(image, _capsule((0.5, 0.12), (0.5, 0.32), 0.003), 0.72)


def _chest(_: float) -> Image:
    image = 0.1 + 0.62 * _oval(0.5, 0.62, 0.42, 0.62, edge=0.05) + 0.03 * _noise(21, 12)
    image *= 1 - 0.75 * _soft(_Y - 0.1 - 0.9 * np.abs(_X - 0.5) ** 2, 0.03)
    for side in (-1, 1):
        lung = _oval(0.5 + side * 0.2, 0.46, 0.15, 0.33, side * 5, 0.02)
        lung *= _soft(_Y - 0.76 + 0.5 * (_X - 0.5 - side * 0.2) ** 2 * 6, 0.02)
        image = _over(image, lung, 0.2 + 0.05 * np.clip(_noise(22 + side, 5), 0, 2))
    for number in range(9):
        for side in (-1, 1):
            x = (_X - 0.5) * side
            line = 0.13 + number * 0.078 + 0.55 * (x - 0.06) ** 2 + 0.14 * x
            rib = _soft(np.abs(_Y - line) - 0.011, 0.006) * _soft(0.03 - x) * _soft(x - 0.36)
            image += 0.1 * rib
    image = _over(image, 0.8 * _oval(0.44, 0.66, 0.15, 0.14, 24, 0.02), 0.78)
    image = _over(image, 0.75 * _capsule((0.5, 0.05), (0.5, 0.98), 0.045, edge=0.012), 0.8)
    for number in range(14):
        image -= (
            0.06
            * _soft(np.abs(_Y - 0.08 - number * 0.068) - 0.004)
            * _soft(np.abs(_X - 0.5) - 0.04)
        )
    for side in (-1, 1):
        start, end = (0.5 + side * 0.05, 0.17), (0.5 + side * 0.36, 0.1)
        image = _over(image, 0.5 * _capsule(start, end, 0.018), 0.85)
    return image


_FINGERS = (
    ((0.36, 0.74), (0.2, 0.6), (0.12, 0.5), (0.07, 0.43)),
    ((0.42, 0.68), (0.35, 0.45), (0.3, 0.28), (0.27, 0.18), (0.25, 0.11)),
    ((0.49, 0.67), (0.48, 0.42), (0.46, 0.24), (0.45, 0.13), (0.45, 0.05)),
    ((0.56, 0.68), (0.59, 0.44), (0.61, 0.27), (0.62, 0.17), (0.63, 0.09)),
    ((0.62, 0.71), (0.69, 0.5), (0.75, 0.37), (0.78, 0.29), (0.8, 0.22)),
)


def _hand(_: float) -> Image:
    flesh, bones = _oval(0.49, 0.68, 0.2, 0.22, edge=0.015), np.zeros((SIDE, SIDE))
    flesh = np.maximum(flesh, _capsule((0.48, 0.8), (0.47, 1.1), 0.14, edge=0.015))
    for finger in _FINGERS:
        for number, (start, end) in enumerate(itertools.pairwise(finger)):
            thick = 0.026 - 0.004 * number
            flesh = np.maximum(flesh, _capsule(start, end, 0.052 - 0.006 * number, edge=0.012))
            gap = 0.06
            (x0, y0), (x1, y1) = start, end
            inner = (
                (x0 + gap * (x1 - x0), y0 + gap * (y1 - y0)),
                (x1 - gap * (x1 - x0), y1 - gap * (y1 - y0)),
            )
            whole = _capsule(*inner, thick, thick * 0.62)
            bones = np.maximum(bones, whole - 0.3 * _capsule(*inner, thick * 0.5, thick * 0.3))
    for number in range(8):
        x, y = 0.4 + 0.055 * (number % 4), 0.775 + 0.06 * (number // 4)
        carpal = _oval(x, y, 0.03, 0.028, number * 30)
        bones = np.maximum(bones, carpal - 0.15 * _oval(x, y, 0.02, 0.018))
    for x, thick in ((0.435, 0.06), (0.555, 0.036)):
        bones = np.maximum(bones, 0.9 * _capsule((x, 0.9), (x, 1.2), thick))
    return 0.03 + 0.3 * flesh + 0.6 * bones * (0.92 + 0.08 * _noise(31, 3)) + 0.01 * _noise(32, 2)


def _fan(tissue: Image) -> Image:
    """As a probe sees it: a sector, grainy along its beams."""
    x, y = _X - 0.5, _Y + 0.08
    far, angle = np.hypot(x, y), np.abs(np.arctan2(x, y))
    inside = _soft(far - 1.0, 0.004) * _soft(0.16 - far, 0.004) * _soft(angle - 0.62, 0.004)
    grain = np.random.default_rng(41).rayleigh(0.55, (SIDE, SIDE))
    grain = (grain + np.roll(grain, 1, 1) + np.roll(grain, -1, 1)) / 3
    return inside * np.clip(tissue * grain * (1.1 - 0.45 * far), 0.015, 1)


def _abdomen(part: float) -> Image:
    tissue = 0.62 + 0.16 * _noise(42, 22) + 0.05 * _noise(43, 6)
    for number in range(3):
        tissue = tissue + 0.35 * _soft(np.abs(_Y - 0.13 - 0.035 * number) - 0.006, 0.004)
    tissue = _over(tissue, _oval(0.6, 0.46, 0.1, 0.17, 24), 0.02)
    tissue = tissue * (1 + 0.9 * _oval(0.57, 0.72, 0.07, 0.12, 18, 0.03))
    tissue = _over(tissue, _oval(0.33, 0.52 + 0.04 * part, 0.04, 0.05), 0.04)
    tissue = tissue + 0.8 * _soft(
        np.abs(np.hypot((_X - 0.42) / 1.2, _Y - 1.15) - 0.28) - 0.008, 0.006
    )
    return _fan(np.clip(tissue, 0.02, 2))


def _obstetric(part: float) -> Image:
    tissue = 0.7 + 0.15 * _noise(44, 18)
    tissue = _over(tissue, _oval(0.5, 0.53, 0.31, 0.24), 0.03)
    head = _oval(0.38, 0.5, 0.1, 0.085, -10)
    skull = head - _oval(0.38, 0.5, 0.088, 0.073, -10)
    tissue = _over(tissue, head, 0.4 + 0.1 * _noise(45, 8)) + 1.3 * skull
    body = _oval(0.56, 0.57, 0.13, 0.07, 14)
    tissue = _over(tissue, body, 0.75 + 0.2 * _noise(46, 7))
    for number in range(8):
        at = 0.47 + 0.028 * number
        tissue = tissue + 1.1 * _oval(at, 0.54 + 0.25 * (at - 0.47), 0.007, 0.012)
    tissue = tissue + 0.9 * _capsule((0.62, 0.6), (0.7, 0.5 + 0.05 * part), 0.02, 0.012)
    return _fan(np.clip(tissue, 0.02, 2))


def _knee(part: float) -> Image:
    leg = np.maximum(_oval(0.5, 0.5, 0.34, 0.62, 0), _oval(0.42, 0.5, 0.27, 0.3))
    image = _over(np.full((SIDE, SIDE), 0.02), leg, 0.72 + 0.05 * _noise(51, 9))
    image = _over(image, _oval(0.6, 0.2, 0.14, 0.24, -10), 0.3 + 0.04 * _noise(52, 5))
    image = _over(image, _oval(0.62, 0.85, 0.13, 0.26, 8), 0.3 + 0.04 * _noise(53, 5))
    femur = np.maximum(_capsule((0.46, -0.1), (0.47, 0.3), 0.11), _oval(0.5, 0.38, 0.18, 0.13))
    tibia = np.maximum(_capsule((0.5, 0.7), (0.47, 1.1), 0.1), _oval(0.5, 0.62, 0.17, 0.08))
    for bone, seed in ((femur, 54), (tibia, 55), (_oval(0.27, 0.36, 0.045, 0.085, 8), 56)):
        image = _over(image, bone, 0.05)
        marrow = _soft(0.86 - bone, 0.05)
        image = _over(image, marrow, 0.82 + 0.05 * _noise(seed, 4))
    image = _over(image, _capsule((0.36, 0.5), (0.64, 0.5), 0.012), 0.45)
    for x in (0.38, 0.62):
        image = _over(image, _oval(x, 0.51, 0.055, 0.016), 0.06)
    image = _over(image, _capsule((0.25, 0.43), (0.36, 0.63), 0.016), 0.08)
    return _over(image, _capsule((0.44, 0.55), (0.56, 0.44 + 0.02 * part), 0.014), 0.12)


def _breast(part: float) -> Image:
    edge = np.hypot(_X / 0.72, (_Y - 0.5) / 0.46) - 1
    tissue = _soft(edge * 0.5, 0.012)
    depth = np.clip(-edge * 2.2, 0, 1)
    strands = np.clip(_noise(61 + int(part * 3), 10) + 0.5 * _noise(62, 4), -0.6, 2)
    inner = _oval(0.24, 0.52, 0.34, 0.26, -8, 0.05)
    image = tissue * (0.16 + 0.2 * depth + inner * (0.2 + 0.22 * strands))
    muscle = _soft((_X * 1.6 + _Y - 0.42), 0.02)
    image = _over(image, 0.8 * muscle * tissue, 0.74)
    for number in range(6):
        x, y = 0.31 + 0.012 * (number % 3), 0.57 + 0.013 * (number // 2)
        image = _over(image, _oval(x, y, 0.0035, 0.0035, edge=0.002), 1)
    return image + 0.015 * _noise(63, 2) * tissue


_DRAWN: Final[dict[str, Callable[[float], Image]]] = {
    "Thorax": _thorax,
    "Head,": _head,
    "Chest,": _chest,
    "Hand,": _hand,
    "Abdomen": _abdomen,
    "Obstetric,": _obstetric,
    "Knee,": _knee,
    "Screening": _breast,
}


def portrait(description: str, part: float) -> Image:
    """Twelve bits of what a study of that description looks like, ``part`` of the way along."""
    drawn = _DRAWN[description.split(maxsplit=1)[0]](part)
    return np.clip(drawn * 4095, 0, 4095).astype("<u2")
