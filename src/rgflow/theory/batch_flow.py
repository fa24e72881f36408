"""What fully connected layers do to a real batch at order 1/n: mean signal, mean spread, and their controls.

Signal of a layer: mean over the batch of K_aa. Spread: mean over pairs of K_aa - K_ab = mean D. The diagonal is
carried for every input. Pairs are sampled, most in proportion to their first-layer distance and some uniformly, so
that neither far nor near pairs can dominate by chance; a fit of D over all pairs (`pair_surface`) serves as control
variate for the weighted mean over the sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics.activations import Activation
from rgflow.theory.first_layer import FirstLayer, first_layer, pair_distance, second_state
from rgflow.theory.input_flow import InputState, input_flow
from rgflow.theory.laws import LayerLaw, bias_mixture
from rgflow.theory.pair_flow import PairState, concatenated, pair_flow
from rgflow.theory.pair_surface import PairSurface, pair_surface

__all__ = ["BatchFlow", "LayerMean", "batch_flow"]

TOWARDS_FAR = 0.75  # of the pairs; measured on digits and raw breast_cancer: least error of mean and deviation together
PAIRS_AT_ONCE = 32  # of the second layer: thousands of virtual neurons each
COINCIDENT = 1e-24  # distance over kernel below which two rows of the batch are the same input: rounding squared


@dataclass(frozen=True)
class LayerMean:
    """One layer's batch means: at infinite width, their relative 1/n shifts, and relative variances over seeds.

    `distance` (Q,) holds D of every pair at infinite width; `sampling` is the relative standard error of the mean spread
    that comes from sampling pairs. `control_*` = Var/mean^2 of one input's K_aa, of one pair's D, averaged.
    """

    signal: float
    spread: float
    signal_shift: float
    spread_shift: float
    control_signal: float
    control_spread: float
    sampling: float
    distance: Tensor


@dataclass(frozen=True)
class BatchFlow:
    """A chain on a batch: first layer, states of all inputs (layers 1..L), sampled pairs (layers 2..L) and batch means.

    `pair_index` (2, P) are the sampled pairs; `pair_weight` (P,) makes mean(weight * value) the mean over all pairs of
    different inputs, which are `all_pairs` (2, Q).
    """

    widths: tuple[int, ...]
    laws: tuple[LayerLaw, ...]
    activations: tuple[Activation, ...]
    first: FirstLayer
    inputs: tuple[InputState, ...]
    pairs: tuple[PairState, ...]
    pair_index: Tensor
    pair_weight: Tensor
    all_pairs: Tensor
    surface: PairSurface
    means: tuple[LayerMean, ...]


def batch_flow(
    inputs: Tensor,
    *,
    widths: Sequence[int],
    laws: Sequence[LayerLaw],
    activations: Sequence[Activation],
    seed: int,
    n_pairs: int = 256,
    order: int = 10,
) -> BatchFlow:
    """Return the flow of a fully connected chain on the rows of `inputs` (B, n_0).

    Shapes: `widths` (n_0..n_L), L `laws`, L - 1 `activations`.
    Errors: means to order 1/n; `n_pairs` sampled pairs leave the stated `sampling` error in the mean spread.
    Raises: SettingError if fewer than two rows differ, or a row's first kernel is zero.
    """
    first = first_layer(inputs, law=laws[0], seed=seed)
    everything = torch.triu_indices(len(inputs), len(inputs), 1)
    distance = pair_distance(first.inputs, first=everything[0], second=everything[1], law=laws[0])
    distinct = distance > COINCIDENT * first.kernel.mean()
    if not bool(distinct.any()) or float(first.kernel.min()) <= 0:
        raise SettingError("the batch has no two different rows, or an all-zero row with zero biases: no kernel flows")
    share = float(distinct.double().mean())
    everything, distance = everything[:, distinct], distance[distinct]
    generator = torch.Generator().manual_seed(seed)
    chance = TOWARDS_FAR * distance / distance.sum() + (1 - TOWARDS_FAR) / len(distance)
    sampled = torch.multinomial(chance, n_pairs, replacement=True, generator=generator)
    weight = 1 / (len(distance) * chance[sampled])
    a, b = everything
    surface = pair_surface(first=first.kernel[a], second=first.kernel[b], distance=distance, sampled=sampled)
    states = input_flow(first, laws=laws, activations=activations)
    index = everything[:, sampled]
    settings = (tuple(widths), tuple(laws), tuple(activations))
    pairs = _pair_states(first, states, index, settings=settings, order=order)
    means = [_first_mean(states[0], distance, share)]
    for state, pair in zip(states[1:], pairs, strict=True):
        start = _Sample(distance, sampled, weight, share)
        means.append(_layer_mean(state, pair, index=index, surface=surface, start=start))
    return BatchFlow(*settings, first, states, pairs, index, weight, everything, surface, tuple(means))


def _pair_states(
    first: FirstLayer,
    states: tuple[InputState, ...],
    index: Tensor,
    *,
    settings: tuple[tuple[int, ...], tuple[LayerLaw, ...], tuple[Activation, ...]],
    order: int,
) -> tuple[PairState, ...]:
    """Return the states of layers 2..L of the pairs `index` (2, P); none for a single layer."""
    widths, laws, activations = settings
    if len(laws) == 1:
        return ()
    mixtures = [bias_mixture(law, kernel=float(state.kernel.min())) for law, state in zip(laws, states, strict=True)]
    groups = [
        second_state(
            first,
            first=group[0],
            second=group[1],
            activation=activations[0],
            width=widths[1],
            law=laws[1],
            mixtures=mixtures[:2],
            order=order,
        )
        for group in index.split(PAIRS_AT_ONCE, dim=1)
    ]
    return pair_flow(
        concatenated(groups), widths=widths, laws=laws, activations=activations, mixtures=mixtures, order=order
    )


def _first_mean(state: InputState, distance: Tensor, share: float) -> LayerMean:
    return LayerMean(float(state.kernel.mean()), share * float(distance.mean()), 0.0, 0.0, 0.0, 0.0, 0.0, distance)


@dataclass(frozen=True)
class _Sample:
    """First-layer distances of all different pairs (Q,), which of them are sampled (P,), their weights, and the part of
    all pairs of the batch that are different."""

    distance: Tensor
    sampled: Tensor
    weight: Tensor
    share: float


def _layer_mean(
    state: InputState, pair: PairState, *, index: Tensor, surface: PairSurface, start: _Sample
) -> LayerMean:
    weight, here = start.weight, pair.kernel.distance
    growth = here / start.distance[start.sampled]
    fitted = start.distance * surface.extend(growth.clamp_min(torch.finfo(here.dtype).tiny).log()).exp()
    gap = weight * (here - fitted[start.sampled])
    spread = float(fitted.mean() + gap.mean())
    kernels = torch.stack([state.kernel[index[0]], state.kernel[index[1]]])
    shift, covariance = pair.kernel_shift(), pair.kernel_covariance()
    return LayerMean(
        signal=float(state.kernel.mean()),
        spread=start.share * spread,
        signal_shift=float((weight * shift[:, :2].sum(1)).sum() / (weight * kernels.sum(0)).sum()),
        spread_shift=float((weight * shift[:, 2]).sum() / (weight * here).sum()),
        control_signal=float((weight * covariance[:, 0, 0] / kernels[0] ** 2).sum() / weight.sum()),
        control_spread=float((weight * covariance[:, 2, 2] / here).sum() / (weight * here).sum()),
        sampling=float(gap.std()) / len(gap) ** 0.5 / spread,
        distance=fitted,
    )
