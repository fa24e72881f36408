"""The effective theory of a fully connected network at initialisation: kernel, vertex, mean shift, six-point function.

Convention and units: those of the record `rgflow.records.Flow`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import overload

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics.gaussian import PROMISED
from rgflow.records.architecture import MLP
from rgflow.records.flow import Flow, QuadrupleFlow
from rgflow.theory.flow_setup import FlowSetup, flow_setup
from rgflow.theory.kernel_flow import KernelFlow, kernel_flow
from rgflow.theory.pair_space import pair_space
from rgflow.theory.parameter_laws import EntryLaw
from rgflow.theory.quadruple_vertex import quadruple_vertex
from rgflow.theory.residual_entry import flow_with_skip
from rgflow.theory.single_flow import SingleFlow, single_flow
from rgflow.theory.vertex_errors import SENSITIVITY
from rgflow.theory.vertex_flow import vertex_flow

__all__ = ["flow"]

Law = str | EntryLaw | Sequence[str | EntryLaw]
MOST_PAIRS = 2_000  # of distinct inputs (N = 62): three matrices P x P for every layer, 32 MB each at this size


@overload
def flow(
    network: MLP, inputs: object, *, order: int = ..., weight_law: Law = ..., bias_law: Law = ..., seed: int = ...
) -> Flow: ...
@overload
def flow(
    network: MLP,
    inputs: object,
    *,
    order: int = ...,
    weight_law: Law = ...,
    bias_law: Law = ...,
    quadruples: object,
    seed: int = ...,
) -> Flow | QuadrupleFlow: ...
def flow(
    network: MLP,
    inputs: object,
    *,
    order: int = 1,
    weight_law: Law = "gaussian",
    bias_law: Law = "gaussian",
    quadruples: object = None,
    seed: int = 0,
) -> Flow | QuadrupleFlow:
    """Return the statistics over seeds of `network` on `inputs`, layer by layer, to the given order in 1/n.

    order 0: the kernel of wide networks, for any number of inputs. 1: also the connected four-point vertex on all pairs
    of inputs, and the shift of the mean kernel. 2: also the six-point function of a single input. With `quadruples`
    (Q, 4) the vertex V_(ab)(cd) of these alone, for any number of inputs: a `QuadrupleFlow` that holds the order-0 flow.
    `weight_law`, `bias_law`: "gaussian", "uniform", "rademacher", "truncated_normal", an `EntryLaw`, or one for each layer;
    the network's variances are those of the entries. Hidden layers see the kurtosis of weights in `correction` only; the
    first layer is a finite sum over features and takes its true law, by quasi-random neurons drawn with `seed`; the
    shape of biases stays at any width and enters everything.

    Shapes: `inputs` (N, n_0); results as `rgflow.records.Flow` says, P = N (N + 1) / 2.
    Units: kernel of z^2, vertex z^4, six-point z^6.
    Errors: truncation of relative order `control`, the relative variance of the kernel over seeds; `kernel_estimate` turns
    it into bars. `control` of scale-invariant networks is the sum of nu / n_l over the hidden layers below, in this
    order; their exact relative variance is prod(1 + nu / n_l) - 1. Numerical errors are reported with every quantity.
    Layer 2 is exact at every width, mean and vertex alike. With a skip see `residual_flow`, which answers.
    Raises: SettingError for inputs that do not fit, an order other than 0, 1, 2, too many pairs for order 1, several
    inputs at order 2, unknown or orthogonal laws, kernels that grow out of range; with a skip order 2, quadruples, biases
    or first-layer weights that are not Gaussian.
    Source: Roberts, Yaida and Hanin 2022, arXiv:2106.10165, ch. 4; laws other than Gaussian: docs/theory.md.

    Example:
    >>> from rgflow import MLP
    >>> found = flow(MLP((2, 100, 100, 1), "relu", weight_variance=2.0), [[1.0, 1.0], [1.0, 0.0]])
    >>> [round(value, 3) for value in found.control.tolist()]
    [0.0, 0.05, 0.1]
    """
    _check_order(order)
    if isinstance(network, MLP) and network.skip != 0.0:
        if quadruples is not None:
            raise SettingError(
                "quadruples are not served with a skip; take fewer inputs and their whole vertex, order=1"
            )
        return flow_with_skip(network, inputs, order=order, weight_law=weight_law, bias_law=bias_law, seed=seed)
    setup = flow_setup(network, inputs, weight_law=weight_law, bias_law=bias_law, seed=seed)
    if quadruples is not None:
        rows = _checked_quadruples(quadruples, inputs=len(setup.position))
        return _quadruple_flow(setup, rows)
    return _flow(setup, order=order, seed=seed)


def _check_order(order: int) -> None:
    if isinstance(order, bool) or order not in (0, 1, 2):
        raise SettingError(f"order is {order}; it must be 0 (kernel), 1 (vertex and correction) or 2 (six-point)")


def _checked_quadruples(quadruples: object, *, inputs: int) -> Tensor:
    rows = torch.as_tensor(quadruples)
    if rows.ndim != 2 or rows.shape[1] != 4 or rows.is_floating_point():
        raise SettingError(f"quadruples have shape {tuple(rows.shape)}; integers of shape (Q, 4) are needed")
    if len(rows) and not bool(((rows >= 0) & (rows < inputs)).all()):
        raise SettingError(
            f"quadruples hold the inputs {int(rows.min())} to {int(rows.max())}; there are 0 to {inputs - 1}"
        )
    return rows.long()


def _quadruple_flow(setup: FlowSetup, rows: Tensor) -> QuadrupleFlow:
    single = single_flow(setup)
    kernels = kernel_flow(setup, single)
    found = quadruple_vertex(setup, kernels, quadruples=setup.position[rows])
    return QuadrupleFlow(_kernel_part(setup, single, kernels, order=0), rows, found.vertex, found.error)


def _flow(setup: FlowSetup, *, order: int, seed: int) -> Flow:
    distinct = len(setup.inputs)
    if order == 2 and len(setup.position) > 1:
        raise SettingError(
            f"order 2 takes one input, {len(setup.position)} were given; use order=1, or one row at a time"
        )
    if order and distinct * (distinct + 1) // 2 > MOST_PAIRS:
        raise SettingError(
            f"{distinct} different inputs make {distinct * (distinct + 1) // 2} pairs; at most {MOST_PAIRS} fit into a"
            " vertex over all pairs: give quadruples=, or order=0"
        )
    single = single_flow(setup)
    kernels = kernel_flow(setup, single)
    plain = _kernel_part(setup, single, kernels, order=order)
    return plain if order == 0 else _with_vertex(setup, single, kernels, plain, seed=seed)


def _kernel_part(setup: FlowSetup, single: SingleFlow, kernels: KernelFlow, *, order: int) -> Flow:
    """Return the part of a flow that does not need the vertex of pairs, on all inputs given."""
    at, network = setup.position, setup.network
    below = torch.tensor(network.widths[:-1], dtype=torch.float64).unsqueeze(1)
    variance, kernel = single.vertex, single.kernel
    relative = torch.where(variance == 0, 0.0, variance / (below * kernel**2))
    apart = single.chi_perpendicular
    if any(step != 0.0 for step in network.activation.steps):  # a jump tears equal inputs apart at any distance
        apart = torch.where(kernel > 0, torch.inf, apart)
    return Flow(
        network=network,
        order=order,
        kernel=kernels.kernel[:, at][:, :, at],
        pairs=pair_space(len(at)).pairs,
        chi_parallel=single.chi_parallel[:, at],
        chi_perpendicular=apart[:, at],
        control=relative.amax(1),
        kernel_error=kernels.error,
        weight_laws=tuple(law.name for law in setup.weight_laws),
        bias_laws=tuple(law.name for law in setup.bias_laws),
    )


def _with_vertex(setup: FlowSetup, single: SingleFlow, kernels: KernelFlow, plain: Flow, *, seed: int) -> Flow:
    found = vertex_flow(setup, kernels, seed=seed)
    distinct, given = pair_space(len(setup.inputs)), pair_space(len(setup.position))
    # Where each pair of the given inputs stands among the pairs of distinct ones.
    place = distinct.position[setup.position[given.first], setup.position[given.second]]
    cumulant = found.neuron_cumulant
    six = plain.order == 2
    return replace(
        plain,
        correction=given.matrix(found.correction[:, place]),
        correction_error=found.correction_error,
        vertex=found.vertex[:, place][:, :, place],
        vertex_error=found.vertex_error,
        neuron_cumulant=None if cumulant is None else cumulant[:, place][:, :, place],
        six_point=single.six_point[:, 0] if six else None,
        six_point_error=_six_point_error(setup, single, kernels) if six else None,
    )


def _six_point_error(setup: FlowSetup, single: SingleFlow, kernels: KernelFlow) -> Tensor:
    """Return bounds on the numerical error of the six-point function of one input (L,)."""
    widths, errors = setup.network.widths, [0.0]
    # kappa_3 sums terms of at most 6 <s^6> in size; averages of six features answer to the kernel as V's, and once more.
    relative = PROMISED + (SENSITIVITY + 4) * kernels.diagonal_error
    for above in range(1, setup.network.depth):
        ratio = widths[above] / widths[above - 1] if above > 1 else 0.0
        passed = ratio**2 * abs(float(single.chi_parallel[above - 1, 0])) ** 3 * errors[-1]
        size = 6 * float(single.sixth[above, 0]) + 4 * abs(float(single.six_point[above, 0]))
        errors.append(passed + float(relative[above - 1]) * size)
    return torch.tensor(errors, dtype=torch.float64)
