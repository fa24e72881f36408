"""The door from the flow of any network to that of residual networks: which of its options the latter can serve.

Convention: as in `residual_expansion`, where vertex and correction are moments of z itself.
"""

from collections.abc import Sequence
from dataclasses import replace

from rgflow.errors import SettingError
from rgflow.records.architecture import MLP
from rgflow.records.flow import Flow
from rgflow.theory.flow_setup import checked_rows
from rgflow.theory.parameter_laws import EntryLaw, laws_per_layer
from rgflow.theory.residual_expansion import residual_flow

__all__ = ["flow_with_skip"]

Law = str | EntryLaw | Sequence[str | EntryLaw]


def flow_with_skip(network: MLP, inputs: object, *, order: int, weight_law: Law, bias_law: Law, seed: int) -> Flow:
    """Return the flow of a network with skip != 0, to order 0 or 1.

    Raises: SettingError for order 2, first-layer weights or biases that are not Gaussian, or several kurtoses: their
    statistics are not derived for residual networks.
    """
    layers = network.depth
    weights = laws_per_layer(weight_law, layers=layers, name="weight_law")
    biases = laws_per_layer(bias_law, layers=layers, name="bias_law")
    remedy = "take skip=0, or draw networks with rgflow.ensembles"
    if order == 2:
        raise SettingError(
            f"order is 2 and the network has skip {network.skip:g}; a residual network has order 0 or 1: {remedy}"
        )
    if any(not law.gaussian and size > 0 for law, size in zip(biases, network.bias_variance, strict=True)):
        raise SettingError(f"bias_law is {biases[0].name!r}; with a skip only Gaussian biases are derived: {remedy}")
    if not weights[0].gaussian:
        raise SettingError(
            f"weight_law of the first layer is {weights[0].name!r}; with a skip its shape stays visible in every layer and is"
            f" not derived: give 'gaussian' for it (weight_law may be one law per layer), {remedy}"
        )
    kurtoses = {law.kurtosis for law in weights[1:]} or {0.0}
    if len(kurtoses) > 1:
        raise SettingError(
            f"weight_law has the kurtoses {sorted(kurtoses)}; with a skip layers 2 to L share one: {remedy}"
        )
    rows = checked_rows(inputs, features=network.widths[0])
    found = residual_flow(network, rows, order=order, weight_kurtosis=kurtoses.pop(), seed=seed)
    names = tuple(law.name for law in weights), tuple(law.name for law in biases)
    return replace(found, weight_laws=names[0], bias_laws=names[1])
