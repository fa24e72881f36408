"""Moments of absolute values and signs of Gaussian variables in mpmath, by the plain recursion: slow and to 40 digits.

Method: |z| = z sgn z and <z_i f> = sum_j K_ij <d_j f> (Stein), d sgn = 2 delta, until only signs are left: two by the
arcsine, four by Plackett's integral.
"""

import itertools

import mpmath as mp

__all__ = ["absolute_moment"]

Matrix = list[list[mp.mpf]]


def absolute_moment(kernel: Matrix) -> mp.mpf:
    """Return <|z_1| ... |z_n|>, n <= 4, for a regular covariance."""
    with mp.workdps(40):
        return _moment(kernel, "a" * len(kernel))


def _moment(kernel: Matrix, kinds: str) -> mp.mpf:
    if not kinds:
        return mp.mpf(1)
    if "a" not in kinds:
        return _signs(kernel)
    which = kinds.index("a")
    signed = kinds[:which] + "s" + kinds[which + 1 :]
    total = mp.mpf(0)
    for p, kind in enumerate(signed):
        if kind == "a":
            total += kernel[which][p] * _moment(kernel, signed[:p] + "s" + signed[p + 1 :])
        else:
            density = 2 / mp.sqrt(2 * mp.pi * kernel[p][p])
            total += kernel[which][p] * density * _moment(_given(kernel, p), signed[:p] + signed[p + 1 :])
    return total


def _given(kernel: Matrix, p: int) -> Matrix:
    keep = [i for i in range(len(kernel)) if i != p]
    return [[kernel[i][j] - kernel[i][p] * kernel[j][p] / kernel[p][p] for j in keep] for i in keep]


def _signs(kernel: Matrix) -> mp.mpf:
    if len(kernel) % 2:
        return mp.mpf(0)
    deviation = [mp.sqrt(kernel[i][i]) for i in range(len(kernel))]
    rho = [[kernel[i][j] / deviation[i] / deviation[j] for j in range(len(kernel))] for i in range(len(kernel))]
    if len(kernel) == 2:
        return 2 / mp.pi * mp.asin(rho[0][1])

    def integrand(s: mp.mpf) -> mp.mpf:
        t = 1 - s * s
        moved = [[t * rho[i][j] if i != j else mp.mpf(1) for j in range(4)] for i in range(4)]
        total = mp.mpf(0)
        for i, j in itertools.combinations(range(4), 2):
            k, l = [m for m in range(4) if m not in (i, j)]
            rest = _given(_ordered(moved, (i, j, k, l)), 0)
            rest = _given(rest, 0)
            height = rest[0][0] * rest[1][1] - rest[0][1] ** 2
            angle = mp.atan2(rest[0][1], mp.sqrt(max(height, 0)))
            total += rho[i][j] / mp.sqrt(1 - moved[i][j] ** 2) * angle
        return 2 * s * total

    edges = [0] + [mp.mpf(10) ** -k for k in range(10, -1, -1)]
    return 4 / mp.pi**2 * mp.quad(integrand, edges)


def _ordered(matrix: Matrix, order: tuple[int, ...]) -> Matrix:
    return [[matrix[i][j] for j in order] for i in order]
