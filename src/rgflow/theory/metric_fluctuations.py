"""How much the metric of a layer, its own average of squares over neurons, differs from one drawn network to another.

Convention: q_ab = (1/n_l) sum_j z_ja z_jb over the neurons j of one layer of one network; covariances over seeds.
Units: q of z^2, its covariance of z^4.
"""

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.records.flow import Flow
from rgflow.theory.pair_space import pair_space

__all__ = ["metric_covariance", "scale_invariant_relative_variance"]


def metric_covariance(flow: Flow, *, layer: int) -> Tensor:
    """Return Cov(q_ab, q_cd), (P, P), of q = (1/n_l) sum_j z_j z_j over seeds, in layer `layer` (1..L):
    V_(ab)(cd) / n_{l-1} + (1/n_l) [G_ac G_bd + G_ad G_bc + (V_(ac)(bd) + V_(ad)(bc)) / n_{l-1} + kappa_abcd].

    With the exact mean G and covariance V / n_{l-1} of the kernel of one network this holds at every width; here
    G = K + G1 / n_{l-1} and V are those of the flow, so what is neglected are their next orders: O(1/n^2) against
    V / n_{l-1}, and nothing in layers 1 and 2. kappa is the fourth cumulant of one neuron, 0 for Gaussian laws.
    Units: of z^4. Errors: truncation as said; numerical ones as the flow's. For deep scale-invariant networks see
    `scale_invariant_relative_variance`, which has no truncation.
    Raises: SettingError for a layer that is not there, or a flow of order 0.
    Source: law of total covariance over the layer below; Roberts, Yaida and Hanin 2022, arXiv:2106.10165, section 4.3.

    Example:
    >>> from rgflow import MLP
    >>> from rgflow.theory import flow
    >>> found = metric_covariance(flow(MLP((2, 50, 10), "relu", weight_variance=2.0), [[1.0, 1.0]]), layer=2)
    >>> round(float(found), 9)  # 4 * ((1 + 2 / 10) * (1 + 5 / 50) - 1)
    1.28
    """
    index = flow.index(layer)
    if flow.vertex is None or flow.correction is None:
        raise SettingError("the flow has order 0 and no vertex; metric_covariance needs flow(network, inputs, order=1)")
    if flow.network.skip != 0.0:
        raise SettingError(
            f"the network has skip {flow.network.skip:g}; its neurons are not Gaussian at a given kernel, which this form takes"
            " for granted: take skip=0, or draw networks with rgflow.ensembles"
        )
    below, width = flow.network.widths[index : index + 2]
    mean = flow.kernel[index] + flow.correction[index] / below
    space = pair_space(len(mean))
    shared = flow.vertex[index] / below
    own = space.crossed(mean) + space.exchanged(shared)
    if flow.neuron_cumulant is not None:
        own = own + flow.neuron_cumulant[index]
    return shared + own / width


def scale_invariant_relative_variance(flow: Flow, *, layer: int) -> float:
    """Return Var(q) / E(q)^2 of one input in layer `layer` of a scale-invariant network without biases, exactly:
    (1 + 2 / n_l) prod_{k < l} (1 + nu / n_k) - 1, the product over the hidden layers below.

    Errors: none in 1/n, for Gaussian weights at any variance; rounding.
    Raises: SettingError for other activations, biases or laws.
    Source: Hanin and Nica 2019, arXiv:1812.05994, moments as products over layers.

    Example:
    >>> from rgflow import MLP
    >>> from rgflow.theory import flow
    >>> found = flow(MLP((2, 10, 10, 1), "identity", weight_variance=1.0), [[1.0, 1.0]])
    >>> round(scale_invariant_relative_variance(found, layer=3), 12)  # 3 * 1.2**2 - 1
    3.32
    """
    flow.index(layer)
    network = flow.network
    slopes = network.activation.scale_invariant
    if slopes is None or any(network.bias_variance) or flow.neuron_cumulant is not None or network.skip != 0.0:
        raise SettingError(
            f"the product over layers is exact for scale-invariant activations, no biases, Gaussian weights and no"
            f" skip; this network has {network.activation.name}, bias variances {network.bias_variance}, laws"
            f" {flow.weight_laws or 'gaussian'} and skip {network.skip:g}: use metric_covariance"
        )
    second = (slopes[0] ** 2 + slopes[1] ** 2) / 2
    fourth = (slopes[0] ** 4 + slopes[1] ** 4) / 2
    growth = 3.0 * fourth / second**2 - 1.0  # <x^4> = 3 of the Gaussian: Var s^2 / <s^2>^2
    widths = torch.tensor(network.widths[1:layer], dtype=torch.float64)
    return (1.0 + 2.0 / network.widths[layer]) * float((1.0 + growth / widths).prod()) - 1.0
