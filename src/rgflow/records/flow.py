"""The statistics of a fully connected network's preactivations at initialisation, layer by layer.

Convention: layers 1..L stand at index 0..L-1; N inputs, P = N (N + 1) / 2 pairs a <= b in row-major order. Vertex,
correction and six-point function carry the width of the previous layer:
    E Khat^(l) = K^(l) + correction^(l) / n_{l-1},    n_{l-1} Cov(Khat_ab, Khat_cd) = vertex^(l),
    n_{l-1}^2 kappa_3(Khat) = six_point^(l),          Khat^(l) the kernel of one drawn network.
Units: kernel and correction of z^2, vertex and neuron cumulant of z^4, six-point of z^6.
"""

from dataclasses import dataclass

from torch import Tensor

from rgflow.errors import SettingError
from rgflow.records.architecture import MLP

__all__ = ["Flow", "QuadrupleFlow"]


@dataclass(frozen=True)
class Flow:
    """Kernel, its O(1/n) shift and vertex in every layer, with the numerical error of each.

    Shapes: `kernel`, `correction` (L, N, N); `vertex` (L, P, P); `six_point` (L,); `pairs` (P, 2); `chi_parallel`,
    `chi_perpendicular` (L, N): growth of a change of K_aa, and of a small distance, in the step out of the layer;
    `control` (L,): largest Var(Khat_aa) / K_aa^2 of the layer, to leading order in 1/n;
    `kernel_error`, `correction_error`, `vertex_error`, `six_point_error` (L,): bound on the numerical error of every
    entry of a layer (integration and rounding, carried from layer to layer; not the truncation in 1/n).
    `neuron_cumulant` (L, P, P): fourth cumulant of one neuron at fixed layer below, widths included; None where
    weights and biases are Gaussian, for which it vanishes. What `order` does not include is None.
    """

    network: MLP
    order: int
    kernel: Tensor
    pairs: Tensor
    chi_parallel: Tensor
    chi_perpendicular: Tensor
    control: Tensor
    kernel_error: Tensor
    correction: Tensor | None = None
    correction_error: Tensor | None = None
    vertex: Tensor | None = None
    vertex_error: Tensor | None = None
    six_point: Tensor | None = None
    six_point_error: Tensor | None = None
    neuron_cumulant: Tensor | None = None
    weight_laws: tuple[str, ...] = ()
    bias_laws: tuple[str, ...] = ()

    @property
    def depth(self) -> int:
        """Number L of layers."""
        return len(self.kernel)

    def index(self, layer: int) -> int:
        """Return where layer `layer` in 1..L stands; raise SettingError if there is no such layer."""
        if isinstance(layer, bool) or layer != int(layer) or not 1 <= layer <= self.depth:
            raise SettingError(f"layer is {layer}; this flow has the layers 1 to {self.depth}")
        return int(layer) - 1


@dataclass(frozen=True)
class QuadrupleFlow:
    """The vertex of chosen quadruples of inputs in every layer; N may be far too large for P x P.

    Shapes: `quadruples` (Q, 4) of input indices a, b, c, d; `vertex` (L, Q) = n_{l-1} Cov(Khat_ab, Khat_cd);
    `vertex_error` (L,) as in `Flow`. `kernel` and all else of order 0 stand in `flow`.
    """

    flow: Flow
    quadruples: Tensor
    vertex: Tensor
    vertex_error: Tensor
