"""What compiling a large polynomial costs: seconds to build, seconds to run, and what sharing saves.

    python benchmarks/compile.py            # 10,000 monomials of degree <= 4 in 50 variables, and smaller ones
    python benchmarks/compile.py --quick    # 1,000 monomials only

Times are CPU seconds of this process on one thread. "products" is the time of the dense layers' matrix products alone.
"alone" is one network a monomial, their outputs added: for the first 200 monomials by the clock, for all by count.
"""

import argparse
import time

import numpy as np
import torch

from rgflow.compile import measured_error, polynomial
from rgflow.numerics import SparsePolynomial

__all__ = ["main"]

VARIABLES, DEGREE, BATCH, ALONE = 50, 4, 256, 200
TOLERANCE = 1e-2


def random_polynomial(monomials: int, *, seed: int) -> SparsePolynomial:
    generator, rows = np.random.default_rng(seed), set()
    while len(rows) < monomials:
        row = np.bincount(generator.integers(0, VARIABLES, generator.integers(1, DEGREE + 1)), minlength=VARIABLES)
        rows.add(tuple(row.tolist()))
    names = tuple(f"x{i}" for i in range(1, VARIABLES + 1))
    return SparsePolynomial(names, sorted(rows), generator.normal(size=monomials))


def seconds(work, *, runs: int = 5) -> float:
    times = []
    for _ in range(runs):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def matrix_products(module: torch.nn.Sequential, inputs: torch.Tensor) -> float:
    """Return the time of the products alone, each on the values that reach it."""
    reached = []
    for layer in module:
        if isinstance(layer, torch.nn.Linear):
            reached.append((inputs, layer.weight))
        inputs = layer(inputs)
    return seconds(lambda: [values @ weight.T for values, weight in reached])


def row(monomials: int) -> None:
    wanted = random_polynomial(monomials, seed=0)
    start = time.process_time()
    network = polynomial(wanted, tolerance=TOLERANCE)
    compiling = time.process_time() - start
    inputs = torch.rand(BATCH, VARIABLES, dtype=torch.float64) * 2 - 1
    with torch.no_grad():
        evaluating = seconds(lambda: network(inputs))
        products = matrix_products(network.module, inputs)
    measured = measured_error(network, samples=256).error
    sharing = network.sharing
    print(
        f"{len(wanted):>9} {compiling:>8.2f} {evaluating:>9.4f} {products:>9.4f} {evaluating / products:>6.2f}"
        f" {network.neurons:>8} {sharing.neurons_alone:>8} {network.memory / 2**20:>7.1f}"
        f" {network.error_bound:>9.1e} {measured:>9.1e}",
        flush=True,
    )


def alone() -> None:
    """Compare one shared network with a network a monomial."""
    wanted = random_polynomial(1000, seed=0)
    names, rows = wanted.variables, wanted.exponents[-ALONE:]
    parts = [SparsePolynomial(names, r[None], [c]) for r, c in zip(rows, wanted.coefficients[-ALONE:], strict=True)]
    together = SparsePolynomial(names, rows, wanted.coefficients[-ALONE:])
    start = time.process_time()
    networks = [polynomial(part, tolerance=TOLERANCE) for part in parts]
    compiling = time.process_time() - start
    start = time.process_time()
    shared = polynomial(together, tolerance=TOLERANCE)
    together_time = time.process_time() - start
    inputs = torch.rand(BATCH, VARIABLES, dtype=torch.float64) * 2 - 1
    with torch.no_grad():
        evaluating, evaluating_shared = (
            seconds(lambda: sum(n(inputs) for n in networks)), seconds(lambda: shared(inputs)),
        )  # fmt: skip
    print(
        f"{ALONE} monomials alone:  {sum(n.neurons for n in networks):>6} neurons, compiled in {compiling:.2f} s, ",
        end="",
    )
    print(f"evaluated in {evaluating:.4f} s")
    print(f"{ALONE} monomials shared: {shared.neurons:>6} neurons, compiled in {together_time:.2f} s, ", end="")
    print(f"evaluated in {evaluating_shared:.4f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of compiling polynomials to networks.")
    parser.add_argument("--quick", action="store_true", help="1,000 monomials only")
    given = parser.parse_args()
    torch.set_num_threads(1)
    polynomial("x*y", tolerance=TOLERANCE)  # the scales of the activation are found once
    print(f"degree <= {DEGREE} in {VARIABLES} variables, gelu, float64, tolerance {TOLERANCE:g}, batch {BATCH}")
    print("monomials  compile evaluate  products  ratio  neurons    alone     MiB     bound  measured")
    for monomials in (1000,) if given.quick else (1000, 3000, 10_000):
        row(monomials)
    alone()


if __name__ == "__main__":
    main()
