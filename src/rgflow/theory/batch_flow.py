"""What fully connected layers do to a real batch at order 1/n: mean signal, mean spread, and their controls.

Signal of a layer: mean over the batch of K_aa. Spread: mean over pairs of K_aa - K_ab = mean D. The diagonal is
carried for every input. Pairs are sampled with probability proportional to their first-layer distance, so that the mean
spread is the first layer's, which is exact, times the mean growth of D over the sample; a fit of the growth over all
pairs (`pair_surface`) serves as control variate.
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
from rgflow.theory.pair_flow import PairState, pair_flow
from rgflow.theory.pair_surface import PairSurface, pair_surface

__all__ = ["BatchFlow", "LayerMean", "batch_flow"]

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
    """A chain on a batch: first layer, states of all inputs (layers 1..L), sampled pairs (layers 2..L) and batch means."""

    widths: tuple[int, ...]
    laws: tuple[LayerLaw, ...]
    activations: tuple[Activation, ...]
    first: FirstLayer
    inputs: tuple[InputState, ...]
    pairs: tuple[PairState, ...]
    pair_index: Tensor
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
    n_pairs: int = 96,
    order: int = 12,
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
    sampled = torch.multinomial(distance / distance.sum(), n_pairs, replacement=True, generator=generator)
    a, b = everything
    surface = pair_surface(first=first.kernel[a], second=first.kernel[b], distance=distance, sampled=sampled)
    states = input_flow(first, laws=laws, activations=activations)
    mixtures = [bias_mixture(law, kernel=float(state.kernel.min())) for law, state in zip(laws, states, strict=True)]
    index = everything[:, sampled]
    pairs: tuple[PairState, ...] = ()
    if len(laws) > 1:
        second = second_state(
            first,
            first=index[0],
            second=index[1],
            activation=activations[0],
            width=widths[1],
            law=laws[1],
            mixtures=mixtures[:2],
            order=order,
        )
        pairs = pair_flow(second, widths=widths, laws=laws, activations=activations, mixtures=mixtures, order=order)
    means = [_first_mean(states[0], distance, share)]
    for state, pair in zip(states[1:], pairs, strict=True):
        means.append(_layer_mean(state, pair, index=index, surface=surface, start=(distance, sampled), share=share))
    return BatchFlow(
        tuple(widths), tuple(laws), tuple(activations), first, states, pairs, index, everything, surface, tuple(means)
    )


def _first_mean(state: InputState, distance: Tensor, share: float) -> LayerMean:
    return LayerMean(float(state.kernel.mean()), share * float(distance.mean()), 0.0, 0.0, 0.0, 0.0, 0.0, distance)


def _layer_mean(
    state: InputState,
    pair: PairState,
    *,
    index: Tensor,
    surface: PairSurface,
    start: tuple[Tensor, Tensor],
    share: float,
) -> LayerMean:
    distance, sampled = start
    growth = pair.kernel.distance / distance[sampled]
    fitted = surface.extend(growth.log()).exp()
    gap = growth - fitted[sampled]
    mean_growth = float((distance * fitted).sum() / distance.sum() + gap.mean())
    kernels = torch.stack([state.kernel[index[0]], state.kernel[index[1]]])
    shift, covariance = pair.kernel_shift(), pair.kernel_covariance()
    here = pair.kernel.distance
    return LayerMean(
        signal=float(state.kernel.mean()),
        spread=share * float(distance.mean()) * mean_growth,
        signal_shift=float(shift[:, :2].sum() / kernels.sum()),
        spread_shift=float((growth * shift[:, 2] / here).sum() / growth.sum()),
        control_signal=float((covariance[:, 0, 0] / kernels[0] ** 2).mean()),
        control_spread=float((covariance[:, 2, 2] / here**2).mean()),
        sampling=float(gap.std()) / len(gap) ** 0.5 / mean_growth,
        distance=distance * fitted,
    )
