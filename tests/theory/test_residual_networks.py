"""The theory of residual networks against drawn networks, extrapolated in 1/n; the closed recursion must fail."""

from dataclasses import dataclass

import pytest
import torch

from rgflow.records import MLP
from rgflow.theory import residual_flow
from theory.residual_ensembles import extrapolated, residual_moments
from theory.test_residual_flow import ONE, TWO, closed_recursion
from tolerances import z_limit


@dataclass(frozen=True)
class Case:
    """A network in units of the width, networks drawn at the smallest width, and the order in 1/n of the vertex's fit.

    The shift times n hardly depends on n, and is fitted by a straight line.
    """

    name: str
    skip: float
    weight: float
    bias: float
    parts: tuple[int, ...]
    inputs: torch.Tensor
    widths: tuple[int, ...] = (16, 32, 64)
    networks: int = 40_000
    order: int = 2

    def network(self, unit: int) -> MLP:
        widths = [self.inputs.shape[1], *(unit * part for part in self.parts)]
        return MLP(widths, self.name, weight_variance=self.weight, bias_variance=self.bias, skip=self.skip)


QUICK = {"relu": Case("relu", 0.8, 0.72, 0.0, (1, 1, 1, 1, 1), ONE, widths=(12, 24, 48), networks=20_000)}
THOROUGH = {
    "relu": Case("relu", 0.8, 0.72, 0.0, (1, 1, 1, 1, 1, 1), ONE, widths=(16, 32, 64), networks=100_000),
    "gelu, small skip": Case("gelu", 0.5, 1.4, 0.1, (1, 1, 1, 1), TWO),
    "relu, two inputs": Case("relu", 0.8, 0.7, 0.02, (1, 1, 1, 1), TWO),
    "tanh": Case("tanh", 0.9, 0.6, 0.05, (1, 1, 1, 1, 1, 1), ONE, order=1),
    "relu, projection": Case("relu", 0.5, 1.4, 0.02, (1, 1, 2, 2, 1), TWO),
    "tanh, projection": Case("tanh", 0.9, 0.6, 0.05, (1, 1, 1, 2, 2), TWO, order=1),
}
# Standard errors by which the recursion in the vertex alone must miss the few networks of the quick case, and the many.
CLOSED_FAILS, CLOSED_FAILS_CLEARLY = 5.0, 10.0


def distances(case: Case) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """(measured - flow, measured - closed recursion) of vertex and correction in standard errors, over all pairs."""
    found = []
    for index, unit in enumerate(case.widths):
        count = max(4000, case.networks * case.widths[0] // unit // 4000 * 4000)
        net = case.network(unit)
        kernel = residual_flow(net, case.inputs, order=0).kernel[-1]
        found.append(residual_moments(net, case.inputs, kernel, networks=count, seed=20 + index))
    net = case.network(case.widths[0])
    flow, equal = residual_flow(net, case.inputs, trajectories=2**17), len(set(case.parts)) == 1
    closed = closed_recursion(net, case.inputs) if equal else flow
    a, b = flow.pairs.unbind(1)
    share = case.widths[0] / net.widths[-2]
    result = {}
    for name, expected, wrong in (
        ("vertex", flow.vertex[-1], closed.vertex[-1]),
        ("shift", flow.correction[-1][a, b], closed.correction[-1][a, b]),
    ):
        units = torch.tensor(case.widths, dtype=torch.float64).reshape(-1, *[1] * expected.ndim)
        values = torch.stack([getattr(moments, name) for moments in found]) * units
        errors = torch.stack([getattr(moments, f"{name}_error") for moments in found]) * units
        limit = extrapolated(case.widths, values, errors, order=case.order if name == "vertex" else 1)
        upper = torch.ones_like(expected, dtype=torch.bool).triu() if expected.ndim == 2 else slice(None)
        result[name] = tuple(((limit.value - share * other) / limit.error)[upper] for other in (expected, wrong))
    return result


@pytest.mark.parametrize("name", QUICK)
def test_vertex_and_shift_are_those_of_drawn_networks_and_not_those_of_the_closed_recursion(name: str) -> None:
    found = distances(QUICK[name])
    cells = sum(len(right) for right, _ in found.values())
    for right, _ in found.values():
        assert float(right.abs().max()) <= z_limit(cells), found
    assert max(float(wrong.abs().max()) for _, wrong in found.values()) >= CLOSED_FAILS, found


@pytest.mark.slow
@pytest.mark.parametrize("name", THOROUGH)
def test_more_networks_with_two_inputs_and_changing_widths_agree(name: str) -> None:
    found = distances(THOROUGH[name])
    cells = sum(len(right) for right, _ in found.values())
    for right, _ in found.values():
        assert float(right.abs().max()) <= z_limit(cells), found
    if name == "relu":
        assert max(float(wrong.abs().max()) for _, wrong in found.values()) >= CLOSED_FAILS_CLEARLY, found
