"""The Gaussian blur of SSIMULACRA 2's reference tool, with its rounding.

A sum of three cosines, each a recursion (Charalampidis 2016, "Recursive implementation of the
Gaussian filter using truncated cosine functions"), so that every pixel costs the same at any width.
Nothing in the recursions decays, so their rounding adds up along a row, and where a picture is flat
the score sees it as structure.
"""

import numpy as np

SIGMA = 1.5  # pixels


def _coefficients() -> tuple[int, np.ndarray, np.ndarray]:
    """Radius in pixels, and of each cosine the gain of what comes in and of what was there."""
    radius = round(3.2795 * SIGMA + 0.2546)
    odd = np.array([1, 3, 5])
    omega = odd * np.pi / (2 * radius)
    p = np.array([1, -1, 1]) / np.tan(omega / 2)
    r = np.array([1, -1, 1]) * p * p / np.sin(omega)
    rho = np.exp(-0.5 * (SIGMA * omega) ** 2) / radius
    zeta = np.cross(p, r)
    # The weights that keep the sum at 1 and the variance at SIGMA squared, nearest to a Gaussian.
    weights = np.linalg.solve(
        np.array([p, r, zeta]), np.array([1, radius**2 - SIGMA**2, zeta @ rho])
    )
    gains = -weights * np.cos(omega * (radius + 1))
    return radius, gains.astype(np.float32), (2 * np.cos(omega)).astype(np.float32)


RADIUS, GAINS, TURNS = _coefficients()


def recursive_gaussian(planes: np.ndarray) -> np.ndarray:
    """`[N, H, W]` float32 blurred across, then down, with zeros outside."""
    across = _along_the_first_axis(planes.transpose(2, 0, 1))
    blurred: np.ndarray = _along_the_first_axis(across.transpose(2, 1, 0)).transpose(1, 0, 2)
    return blurred


def _along_the_first_axis(signals: np.ndarray) -> np.ndarray:
    """`[L, M, N]` blurred along L.

    Each number is rounded to float32 where the tool's processor rounds it, which multiplies and
    adds in one: float64 holds such a product whole.
    """
    nothing = np.zeros((2 * RADIUS, *signals.shape[1:]), np.float32)
    entering = np.concatenate([signals, nothing[: RADIUS - 1]])
    leaving = entering[2 * RADIUS :]
    leaving += signals[: len(leaving)]
    gains, turns = (constants[:, None, None].astype(np.float64) for constants in (GAINS, TURNS))
    product = np.empty((3, *signals.shape[1:]))
    before, last = np.zeros_like(product, np.float32), np.zeros_like(product, np.float32)
    blurred = np.empty(signals.shape, np.float32)
    for number, pair in enumerate(entering, 1 - RADIUS):
        np.multiply(turns, last, out=product)
        np.subtract(product, before, out=before, casting="same_kind")
        np.multiply(gains, pair, out=product)
        np.add(product, before, out=before, casting="same_kind")
        before, last = last, before
        if number >= 0:
            np.add(last[0], last[1], out=blurred[number])
            blurred[number] += last[2]
    return blurred
