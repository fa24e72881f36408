"""Loops over the entries of one tile of a Gram matrix, compiled for the processor; imported only where they run.

Every loop over columns is free of branches and works on arrays that stay in the first-level cache, so that it runs on
whole vector registers; `place` says where in the result a tile stands (row, column) and, by 1 instead of 0, that it lies
on the diagonal of a symmetric matrix, of which only the upper half is filled. Polynomials are evaluated eight coefficients at
a time. All constants come in as arrays of the
working dtype: a literal would lift float32 to float64. Formulas: `separable_form`, `layer_programme`.
"""

import math

import numpy as np
from numba import njit, prange

# For `compiled_tile` alone: compiled functions take no keyword-only arguments.
__all__: list[str] = []

_OPTIONS = {"fastmath": {"reassoc", "contract", "arcp", "nsz"}, "error_model": "numpy", "cache": True}


@njit(**_OPTIONS)
def _horner(total, v, powers, count):
    """Total = sum_k powers[k] v^k over k < count; the array of powers is padded with zeros to a multiple of eight."""
    width = v.shape[0]
    top = (count + 7) // 8 * 8 - 8
    if count - top <= 4:
        for b in range(width):
            x = v[b]
            s = powers[top + 3]
            s = s * x + powers[top + 2]
            s = s * x + powers[top + 1]
            total[b] = s * x + powers[top]
    else:
        for b in range(width):
            x = v[b]
            s = powers[top + 7]
            s = s * x + powers[top + 6]
            s = s * x + powers[top + 5]
            s = s * x + powers[top + 4]
            s = s * x + powers[top + 3]
            s = s * x + powers[top + 2]
            s = s * x + powers[top + 1]
            total[b] = s * x + powers[top]
    for k in range(top - 8, -1, -8):
        for b in range(width):
            x = v[b]
            s = total[b]
            s = s * x + powers[k + 7]
            s = s * x + powers[k + 6]
            s = s * x + powers[k + 5]
            s = s * x + powers[k + 4]
            s = s * x + powers[k + 3]
            s = s * x + powers[k + 2]
            s = s * x + powers[k + 1]
            total[b] = s * x + powers[k]


@njit(**_OPTIONS)
def _gathered(total, v, powers, segment, count):
    """The same with one set of powers per segment of the angle, (segments, powers)."""
    width = v.shape[0]
    for b in range(width):
        total[b] = powers[segment[b], count - 1]
    for k in range(count - 2, -1, -1):
        for b in range(width):
            total[b] = total[b] * v[b] + powers[segment[b], k]


@njit(**_OPTIONS)
def _half(cosine, row, columns, start, near, half, constants):
    """Fill half = (1 - |cos t|) / 2, from the distance of the unit vectors where the cosine has lost digits."""
    one_half = constants[1]
    width = cosine.shape[0]
    close = 0
    for b in range(width):
        half[b] = one_half - one_half * abs(cosine[b])
        close += half[b] < near
    if close > 0:
        for b in range(width):
            if half[b] < near:
                total = 0.0
                sign = 1.0 if cosine[b] >= 0.0 else -1.0
                for k in range(row.shape[0]):
                    difference = float(row[k]) - sign * float(columns[start + b, k])
                    total += difference * difference
                half[b] = 0.25 * total


@njit(**_OPTIONS)
def _angle(half, sign, angle, scratch, total, arcsine, count, constants):
    """Fill angle = 2 asin(sqrt(half)) where sign >= 0, else pi less it."""
    one, two, four, pi = constants[0], constants[2], constants[3], constants[4]
    zero = one - one
    width = half.shape[0]
    for b in range(width):
        scratch[b] = four * half[b] - one
    _horner(total, scratch, arcsine, count)
    for b in range(width):
        near = two * math.sqrt(half[b]) * total[b]
        angle[b] = near if sign[b] >= zero else pi - near


@njit(parallel=True, **_OPTIONS)
def places(cosine, rows, columns, place, near, variable, edges, arcsine, arcsine_terms, constants, segment):
    """Replace cosines by the variable v = gain t / (t + stretch) - 1 of the angle, or by places on segments."""
    height, width = cosine.shape
    segments = edges.shape[0] - 1
    gain, stretch, one = variable[0], variable[1], constants[0]
    for group in prange((height + 15) // 16):
        work = np.empty((4, width), cosine.dtype)
        for a in range(group * 16, min(group * 16 + 16, height)):
            start = place[2] * (a // 8 * 8)
            v = cosine[a][start:]
            half, angle, scratch, total = work[0][start:], work[1][start:], work[2][start:], work[3][start:]
            _half(v, rows[a], columns, start, near, half, constants)
            _angle(half, v, angle, scratch, total, arcsine, arcsine_terms, constants)
            if segments == 1:
                for b in range(width - start):
                    v[b] = gain * angle[b] / (angle[b] + stretch) - one
            else:
                for b in range(width - start):
                    found = 0
                    for s in range(1, segments):
                        found += angle[b] > edges[s]
                    segment[a, start + b] = found
                    low, high = edges[found], edges[found + 1]
                    v[b] = ((angle[b] - low) - (high - angle[b])) / (high - low)


@njit(parallel=True, **_OPTIONS)
def separable(places_of, segment, row, column, core, terms, place, out):
    """Fill out = sum_j column[j] sum_k v^k sum_p row[p] core[s, p, j, k]."""
    height, width = places_of.shape
    segments = core.shape[0]
    for group in prange((height + 15) // 16):
        total = np.empty(width, places_of.dtype)
        powers = np.zeros((segments, core.shape[3]), places_of.dtype)
        for a in range(group * 16, min(group * 16 + 16, height)):
            start = place[2] * (a // 8 * 8)
            count_columns = width - start
            v, result = places_of[a][start:], out[place[0] + a][place[1] + start : place[1] + width]
            sums = total[start:]
            started = False
            for j in range(column.shape[0]):
                count = terms[j]
                if count == 0:
                    continue
                for s in range(segments):
                    for k in range(count):
                        value = 0.0
                        for p in range(row.shape[1]):
                            value += row[a, p] * core[s, p, j, k]
                        powers[s, k] = value
                    powers[s, count:] = 0.0
                if segments == 1:
                    _horner(sums, v, powers[0], count)
                else:
                    _gathered(sums, v, powers, segment[a][start:], count)
                factor = column[j][start:]
                if started:
                    for b in range(count_columns):
                        result[b] += factor[b] * sums[b]
                else:
                    for b in range(count_columns):
                        result[b] = factor[b] * sums[b]
                started = True
            if not started:
                result[:] = 0.0


@njit(parallel=True, **_OPTIONS)
def angle_layers(
    cosine,
    rows,
    columns,
    place,
    near,
    arcsine,
    arcsine_terms,
    constants,
    steps,
    row,
    row_ends,
    column,
    column_ends,
    kernel,
    tangent,
):
    """Scale-invariant activations, all layers: `steps` (layers, 6), `row` (layers, 4, a), `row_ends` (2, a)."""
    height, width = cosine.shape
    groups = (height + 7) // 8
    one, two, half_pi = constants[0], constants[2], constants[5]
    zero = one - one
    for group in prange(groups):
        work = np.empty((5, width), cosine.dtype)
        for a in range(group * 8, min(group * 8 + 8, height)):
            start = place[2] * (a // 8 * 8)
            wide, known = width - start, cosine[a][start:]
            half, angle, scratch = work[0][start:], work[1][start:], work[2][start:]
            total, sign = work[3][start:], work[4][start:]
            theta = tangent[place[0] + a][place[1] + start : place[1] + width]
            result = kernel[place[0] + a][place[1] + start : place[1] + width]
            _half(known, rows[a], columns, start, near, half, constants)
            begin, first, bias, slope = row_ends[0, a], column_ends[0][start:], constants[6], constants[7]
            for b in range(wide):
                size = one - two * half[b]
                sign[b] = size if known[b] >= zero else -size
                theta[b] = bias + slope * (begin * first[b] * sign[b] - constants[8])
            for layer in range(steps.shape[0]):
                share, scale, even, odd = steps[layer, 0], steps[layer, 1], steps[layer, 2], steps[layer, 3]
                rate_b, rate_w = steps[layer, 4], steps[layer, 5]
                root_a, cos_a, c_a, s_a = row[layer, 0, a], row[layer, 1, a], row[layer, 2, a], row[layer, 3, a]
                root, cos = column[layer, 0][start:], column[layer, 1][start:]
                c, s = column[layer, 2][start:], column[layer, 3][start:]
                _angle(half, sign, angle, scratch, total, arcsine, arcsine_terms, constants)
                for b in range(wide):
                    t = angle[b]
                    sine = two * math.sqrt(half[b] * (one - half[b]))
                    far = half[b] if sign[b] >= zero else one - half[b]
                    inner = far - share * (sine - t * sign[b])
                    theta[b] = (
                        rate_b
                        + rate_w * (root_a * root[b]) * (one - two * inner)
                        + scale * (even + odd * (half_pi - t)) * theta[b]
                    )
                    turn = s_a * c[b] - c_a * s[b]
                    far = turn * turn + cos_a * cos[b] * inner
                    sign[b] = one - two * far
                    half[b] = max(min(far, one - far), zero)
            final, last = row_ends[1, a], column_ends[1][start:]
            for b in range(wide):
                result[b] = final * last[b] * sign[b]


@njit(inline="always", **_OPTIONS)
def _arc(t, powers, constants):
    """Return asin(t) / 2, by the arctangent of t / (1 + w) in sixteen powers, and 1 / w; w = sqrt(1 - t^2)."""
    one = constants[0]
    w = math.sqrt(one - t * t)
    both = one / (w * (one + w))
    tan = t * w * both
    x = constants[9] * tan * tan - one
    s = powers[15] * x + powers[14]
    s = s * x + powers[13]
    s = s * x + powers[12]
    s = s * x + powers[11]
    s = s * x + powers[10]
    s = s * x + powers[9]
    s = s * x + powers[8]
    s = s * x + powers[7]
    s = s * x + powers[6]
    s = s * x + powers[5]
    s = s * x + powers[4]
    s = s * x + powers[3]
    s = s * x + powers[2]
    s = s * x + powers[1]
    s = s * x + powers[0]
    return tan * s, (one + w) * both


@njit(**_OPTIONS)
def _gelu_layer(y, theta, row, column, step, powers, constants):
    one, quarter, by_two_pi, by_pi = constants[0], constants[10], constants[11], constants[12]
    r_a, x_a, p_a = row
    r, x, p = column[0], column[1], column[2]
    scale, bias, rate_b, rate_w = step
    for b in range(y.shape[0]):
        size, k = r_a * r[b], y[b]
        arc, inverse = _arc(k * size, powers, constants)
        inverse = size * inverse
        root = by_two_pi * inverse
        angle = quarter + by_pi * arc
        ends = p_a + p[b] - one
        peak = (x_a * x[b] + k * k * ends) * root
        value = k * angle + peak
        slope = angle + k * (root * (one + ends + ends) + peak * inverse * inverse)
        theta[b] = rate_b + rate_w * value + scale * slope * theta[b]
        y[b] = bias + scale * value


@njit(**_OPTIONS)
def _erf_layer(y, theta, row, column, step, powers, constants):
    two_by_pi, four_by_pi = constants[13], constants[14]
    scale, bias, rate_b, rate_w = step
    r_a, r = row[0], column[0]
    for b in range(y.shape[0]):
        size = r_a * r[b]
        arc, inverse = _arc(y[b] * size, powers, constants)
        value = four_by_pi * arc
        slope = two_by_pi * size * inverse
        theta[b] = rate_b + rate_w * value + scale * slope * theta[b]
        y[b] = bias + scale * value


@njit(parallel=True, **_OPTIONS)
def arc_layers(cosine, place, gelu, powers, constants, steps, row, row_ends, column, column_ends, kernel, tangent):
    """Erf and GELU, all layers; `row` (layers, 3, a) and `column`: r, variance, r^2; `row_ends` (2, a).

    `powers`: sixteen numbers in a tuple, `constants` too: loops without branches need them in registers.
    """
    height, width = cosine.shape
    for group in prange((height + 7) // 8):
        values = np.empty(width, cosine.dtype)
        tangents = np.empty(width, cosine.dtype)
        for a in range(group * 8, min(group * 8 + 8, height)):
            start = place[2] * (a // 8 * 8)
            known, y, theta = cosine[a][start:], values[start:], tangents[start:]
            begin, first = row_ends[0, a], column_ends[0][start:]
            for b in range(width - start):
                y[b] = begin * first[b] * known[b]
                theta[b] = constants[6] + constants[7] * (y[b] - constants[8])
            for layer in range(steps.shape[0]):
                of_row = (row[layer, 0, a], row[layer, 1, a], row[layer, 2, a])
                step = (steps[layer, 0], steps[layer, 1], steps[layer, 2], steps[layer, 3])
                of_column = (column[layer, 0][start:], column[layer, 1][start:], column[layer, 2][start:])
                if gelu:
                    _gelu_layer(y, theta, of_row, of_column, step, powers, constants)
                else:
                    _erf_layer(y, theta, of_row, of_column, step, powers, constants)
            kernel[place[0] + a][place[1] + start : place[1] + width] = y
            tangent[place[0] + a][place[1] + start : place[1] + width] = theta


@njit(parallel=True, **_OPTIONS)
def reflect(matrix, low, high, left, right):
    """Write rows low..high, columns left..right of a square matrix below its diagonal, in blocks that stay in cache."""
    for group in prange((right - left + 15) // 16):
        first = left + group * 16
        last = min(first + 16, right)
        for top in range(low, high, 16):
            for b in range(first, last):
                for a in range(top, min(top + 16, high, b)):
                    matrix[b, a] = matrix[a, b]
