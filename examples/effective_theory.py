"""Every number and picture of docs/effective_theory.md: run it to print the numbers and draw the pictures again.

python examples/effective_theory.py [FOLDER]    writes kernel.png, vertex.png, collapse.png into FOLDER (docs/pictures)
"""

import math
import sys
from pathlib import Path

import matplotlib
import torch

from rgflow import MLP
from rgflow.ensembles import sample_kernels
from rgflow.theory import couplings, criticality, flow, metric_covariance, optimal_aspect_ratio

matplotlib.use("Agg")
from matplotlib import pyplot as plt

INK, ACCENT = "#1c2430", "#1f5fa8"
NETWORKS = 20_000
# Two inputs of mean square 1 with correlation 1/2.
INPUTS = torch.tensor([[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, -1.0]], dtype=torch.float64)


def kernel_step(folder: Path) -> None:
    """Section 1: the kernel of three networks, and where it goes off and at criticality."""
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for weight, style in ((1.8, "--"), (2.0, "-"), (2.2, ":")):
        network = MLP((4, *(64,) * 20, 1), "relu", weight_variance=weight)
        found = flow(network, INPUTS[:1], order=0)
        layers = range(1, network.depth + 1)
        axes.semilogy(layers, found.kernel[:, 0, 0], style, color=ACCENT, label=f"$C_W = {weight}$")
        print(f"relu C_W {weight}: K in layer 1 {found.kernel[0, 0, 0]:.4g}, in layer 21 {found.kernel[-1, 0, 0]:.4g}")
    axes.set(xlabel="layer", ylabel="kernel $K$", xticks=range(1, 22, 4))
    axes.legend(frameon=False)
    figure.savefig(folder / "kernel.png", dpi=150)


def vertex_step(folder: Path) -> None:
    """Section 2: the vertex of tanh and relu against an ensemble that is exact in law."""
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for name, marker in (("relu", "o"), ("tanh", "s"), ("gelu", "^")):
        network = MLP((4, *(64,) * 8, 1), name, weight_variance=1.0).critical()
        found = flow(network, INPUTS, order=1)
        drawn = sample_kernels(network, INPUTS, networks=NETWORKS, seed=1)
        layers = range(1, network.depth + 1)
        ratio = found.vertex[:, 0, 0] / found.kernel[:, 0, 0] ** 2 / 64
        measured = drawn.covariance[:, 0, 0] / found.kernel[:, 0, 0] ** 2
        error = drawn.covariance_error[:, 0, 0] / found.kernel[:, 0, 0] ** 2
        axes.plot(layers, ratio, "-", color=ACCENT)
        axes.errorbar(layers, measured, 2 * error, fmt=marker, color=INK, label=name, capsize=2, markersize=4)
        nu = criticality(name).growth
        print(
            f"{name}: nu {nu:.4f}, V/(n K^2) in layer 9 {ratio[-1]:.4f}, measured {measured[-1]:.4f} +- {error[-1]:.4f}"
        )
        shift = found.correction[-1, 0, 1] / 64
        print(
            f"{name}: K_ab {found.kernel[-1, 0, 1]:.5f}, shift G1/n {shift:+.5f}, measured mean "
            f"{drawn.mean[-1, 0, 1]:.5f} +- {drawn.mean_error[-1, 0, 1]:.5f}"
        )
    axes.set(xlabel="layer", ylabel="$V / (n K^2)$")
    axes.legend(frameon=False)
    figure.savefig(folder / "vertex.png", dpi=150)


def collapse_step(folder: Path) -> None:
    """Section 3: relative variances of networks of four widths on one curve, depth over width."""
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for width, marker in ((16, "o"), (32, "s"), (64, "^"), (128, "D")):
        network = MLP((4, *(width,) * 16, 1), "relu", weight_variance=2.0)
        drawn = sample_kernels(network, INPUTS[:1], networks=NETWORKS, seed=2)
        aspect = torch.arange(1, 17) / width
        variance, error = drawn.covariance[1:, 0, 0], drawn.covariance_error[1:, 0, 0]
        axes.errorbar(aspect, variance, 2 * error, fmt=marker, color=INK, markersize=4, label=f"$n = {width}$")
        exact = [(1 + 5 / width) ** layer - 1 for layer in range(1, 17)]
        scores = (variance - torch.tensor(exact)) / error
        print(f"relu n {width}: rms z against (1 + 5/n)^l - 1: {scores.square().mean().sqrt():.2f}")
    line = torch.logspace(math.log10(1 / 128), 0, 100)
    axes.loglog(line, 5 * line, "--", color=ACCENT, label=r"$\nu\, l/n$")
    axes.loglog(line, torch.expm1(5 * line), "-", color=ACCENT, label=r"$e^{\nu l/n} - 1$")
    axes.set(xlabel="depth / width", ylabel="relative variance of the kernel")
    axes.legend(frameon=False, ncols=2)
    figure.savefig(folder / "collapse.png", dpi=150)


def couplings_step() -> None:
    """Section 4: couplings of the output distribution, metric fluctuations, aspect ratio."""
    network = MLP((4, *(64,) * 4, 3), "gelu", weight_variance=1.0).critical()
    found = flow(network, INPUTS, order=1)
    action = couplings(found, layer=5, neurons=3)
    print("quadratic", action.quadratic.tolist())
    print("inverse of K", torch.linalg.inv(found.kernel[-1]).tolist())
    print("quartic", action.quartic.tolist())
    deviation = metric_covariance(found, layer=4).diagonal().sqrt()
    print("sd of the layer metric (aa, ab, bb) in layer 4", deviation.tolist(), "of", found.kernel[3].tolist())
    ratio = optimal_aspect_ratio("gelu", outputs=3)
    print(f"r* {ratio.ratio:.4f}: {ratio.warning}")


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    kernel_step(folder)
    vertex_step(folder)
    collapse_step(folder)
    couplings_step()


if __name__ == "__main__":
    main()
