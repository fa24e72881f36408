"""How well and how fast Hamiltonians of spins are fitted, beside naive mean field, scikit-learn and coniii.

Accuracy: rms error / rms coupling on glasses of 14 spins drawn exactly; medians over glasses. `scikit-learn` is one logistic
regression a site with an equal penalty, the two copies of a coupling averaged. `coniii` (pseudo-likelihood) takes part where
it can be imported. Discoveries: planted sparse graphs, and noise. Speed: wall-clock and CPU seconds, medians; peak memory of
a process of its own. Set OMP_NUM_THREADS: on a busy machine one thread is faster than two.

    python benchmarks/fits.py                                     # all tables, some ten minutes on one core
    python benchmarks/fits.py --table accuracy --glasses 2
"""

import argparse
import importlib.util
import itertools
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from rgflow.datasets import load
from rgflow.lattice import Lattice
from rgflow.structure import (
    Terms,
    fit_by_screening,
    fit_hamiltonian,
    fit_terms,
    parameter_errors,
    select_support,
    support_terms,
)
from rgflow.structure.terms import all_terms, untied

__all__ = ["main"]

SITES = 14
SAMPLES = (1000, 10_000, 50_000)
BETAS = (0.5, 1.0, 2.0)
PAIRS = np.stack(np.triu_indices(SITES, 1), axis=1)


@dataclass(frozen=True)
class Clock:
    """Seconds of one call: on the wall, and of the processor."""

    wall: float
    processor: float


def clocked(call: Callable[[], object]) -> Clock:
    """Time one call."""
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return Clock(time.perf_counter() - wall, time.process_time() - processor)


def glass(beta: float, *, seed: int) -> np.ndarray:
    """Return couplings N(0, beta^2 / sites) of all pairs."""
    return beta * np.random.default_rng(seed).standard_normal(len(PAIRS)) / np.sqrt(SITES)


def states(sites: int) -> np.ndarray:
    """Return all configurations."""
    return np.array(list(itertools.product([-1, 1], repeat=sites)), dtype=np.int8)


def drawn(pairs: np.ndarray, couplings: np.ndarray, *, sites: int, count: int, seed: int) -> np.ndarray:
    """Return exact draws of a model of pairs."""
    every = states(sites)
    exponent = np.zeros(len(every))
    for (i, j), coupling in zip(pairs, couplings, strict=True):
        exponent += coupling * (every[:, i] * every[:, j])
    weights = np.exp(exponent - exponent.max())
    return every[np.random.default_rng(seed).choice(len(every), count, p=weights / weights.sum())]


def by_likelihood(spins: np.ndarray) -> np.ndarray:
    """Pseudo-likelihood of rgflow."""
    return fit_terms(spins, untied([PAIRS], sites=SITES)).parameters.numpy()


def by_screening(spins: np.ndarray) -> np.ndarray:
    """Interaction screening of rgflow."""
    return fit_by_screening(spins, untied([PAIRS], sites=SITES)).parameters.numpy()


def by_mean_field(spins: np.ndarray) -> np.ndarray:
    """Naive mean field: J = -(covariance)^-1."""
    return -np.linalg.pinv(np.cov(spins.T))[tuple(PAIRS.T)]


def by_regressions(spins: np.ndarray) -> np.ndarray:
    """One logistic regression of scikit-learn a site, with the penalty of rgflow, copies averaged."""
    couplings = np.zeros((SITES, SITES))
    for site in range(SITES):
        others = np.delete(np.arange(SITES), site)
        model = LogisticRegression(C=0.8, fit_intercept=False)  # weights are 2 J: 5/2 |J|^2 a site = |w|^2 / (2 C)
        couplings[site, others] = model.fit(spins[:, others], spins[:, site]).coef_[0] / 2.0
    return ((couplings + couplings.T) / 2.0)[tuple(PAIRS.T)]


def by_coniii(spins: np.ndarray) -> np.ndarray:
    """Pseudo-likelihood of coniii; its fields are fitted too."""
    from coniii.solvers import Pseudo  # pyright: ignore[reportMissingImports]

    return Pseudo(spins.astype(np.int64)).solve(np.zeros(SITES + len(PAIRS)))[SITES:]


def methods() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Return the estimators by name."""
    found = {
        "rgflow, pseudo-likelihood": by_likelihood,
        "rgflow, interaction screening": by_screening,
        "scikit-learn, a regression a site": by_regressions,
        "naive mean field": by_mean_field,
    }
    return found | ({"coniii, pseudo-likelihood": by_coniii} if importlib.util.find_spec("coniii") else {})


def accuracy(glasses: int) -> Iterator[str]:
    """Return the table of errors against samples."""
    yield from ["| beta | samples | method | error | ratio to rgflow | CPU s |", "|---|---|---|---|---|---|"]
    for beta, samples in itertools.product(BETAS, SAMPLES):
        errors: dict[str, list[float]] = {name: [] for name in methods()}
        seconds: dict[str, list[float]] = {name: [] for name in methods()}
        for seed in range(glasses):
            truth = glass(beta, seed=seed)
            spins = drawn(PAIRS, truth, sites=SITES, count=samples, seed=seed)
            for name, method in methods().items():
                start = time.process_time()
                found = method(spins)
                seconds[name].append(time.process_time() - start)
                errors[name].append(float(np.sqrt(((found - truth) ** 2).mean() / (truth**2).mean())))
        first = np.median(errors["rgflow, pseudo-likelihood"])
        for name in errors:
            middle = np.median(errors[name])
            spent = np.median(seconds[name])
            yield (f"| {beta} | {samples} | {name} | {middle:.3f} | {middle / first:.2f} | {spent:.3f} |")


def calibration(draws: int) -> Iterator[str]:
    """Return the table of mean squared z-scores (1 is right) of 8 spins with all pairs."""
    yield from ["| samples | route | mean z^2 | its error |", "|---|---|---|---|"]
    terms = all_terms(8, 2)
    truth = 0.3 * np.random.default_rng(0).standard_normal(28)
    for samples, route in itertools.product((100, 1000, 10_000), ("joint", "sites")):
        found = []
        for seed in range(draws):
            spins = drawn(terms.groups[1], truth, sites=8, count=samples, seed=seed)
            fit = fit_terms(spins, terms)
            errors = parameter_errors(spins, fit, route=route).errors  # pyright: ignore[reportArgumentType]
            found.append(float((((fit.parameters[8:].numpy() - truth) / errors[8:].numpy()) ** 2).mean()))
        yield (f"| {samples} | {route} | {np.mean(found):.3f} | {np.std(found) / np.sqrt(draws):.3f} |")


def discoveries(draws: int) -> Iterator[str]:
    """Return the table of false discoveries and power: 16 sites, 20 of 120 pairs at +-J, and noise."""
    yield from [
        "| coupling | samples | nominal rate | false among kept | its error | found | noise: any kept |",
        "|---|---|---|---|---|---|---|",
    ]
    terms = all_terms(16, 2)
    for coupling, samples, rate in itertools.product((0.1, 0.3), (500, 4000), (0.05, 0.2)):
        shares, power, any_kept = [], [], []
        for seed in range(draws):
            generator = np.random.default_rng(seed)
            chosen = np.sort(generator.choice(120, 20, replace=False))
            signs = generator.choice([-coupling, coupling], 20)
            spins = drawn(terms.groups[1][chosen], signs, sites=16, count=samples, seed=seed)
            kept = select_support(spins, terms, false_discoveries=rate).selected
            true = torch.zeros(136, dtype=torch.bool)
            true[16 + torch.from_numpy(chosen)] = True
            shares.append(float((kept & ~true).sum() / max(int(kept.sum()), 1)))
            power.append(float((kept & true).sum() / 20))
            noise = generator.choice(np.array([-1, 1], dtype=np.int8), (samples, 16))
            any_kept.append(bool(select_support(noise, terms, false_discoveries=rate).selected.any()))
        error = np.std(shares) / np.sqrt(draws)
        yield (
            f"| {coupling} | {samples} | {rate} | {np.mean(shares):.3f} | {error:.3f} | {np.mean(power):.2f}"
            f" | {np.mean(any_kept):.2f} |"
        )


def ising(samples: int) -> np.ndarray:
    """Return 16 x 16 Ising configurations at T = 2.5."""
    return load(f"ising:16x16:T=2.5:samples={samples}:seed=1").inputs.reshape(samples, 256).numpy()


def all_pairs_256(spins: np.ndarray, terms: Terms) -> Callable[[], object]:
    """The couplings alone."""
    return lambda: fit_terms(spins, terms)


def regressions_256(spins: np.ndarray) -> Callable[[], object]:
    """Four of the 256 regressions of scikit-learn."""

    def call() -> None:
        for site in range(4):
            LogisticRegression(C=0.8).fit(np.delete(spins, site, 1), spins[:, site])

    return call


def speed(repeats: int) -> Iterator[str]:
    """Return the table of seconds and memory."""
    spins, pairs = ising(4000), all_terms(256, 2)
    noise = np.random.default_rng(0).choice(np.array([-1, 1], dtype=np.int8), (2000, 4096))
    lattice = Lattice((64, 64))
    tied = support_terms("translation", sites=4096, lattice=lattice)
    jobs = {
        "256 spins, 4,000 samples, all pairs: couplings": (all_pairs_256(spins, pairs), 1.0),
        "the same with errors and second opinion": (lambda: fit_hamiltonian(spins), 1.0),
        "the same by scikit-learn, 4 of 256 sites, times 64": (regressions_256(spins), 64.0),
        "8.2e6 spins, translation (3 parameters): couplings": (lambda: fit_terms(noise, tied), 1.0),
        "8.2e6 spins with errors and second opinion": (
            lambda: fit_hamiltonian(noise, support="translation", lattice=lattice),
            1.0,
        ),
    }
    yield from ["| job | wall s | CPU s |", "|---|---|---|"]
    for name, (job, factor) in jobs.items():
        job()
        clocks = [clocked(job) for _ in range(repeats)]
        wall, spent = (np.median([getattr(clock, kind) for clock in clocks]) for kind in ("wall", "processor"))
        yield (f"| {name} | {factor * wall:.2f} | {factor * spent:.2f} |")
    found = subprocess.run([sys.executable, __file__, "--table", "memory"], capture_output=True, text=True, check=True)
    yield from ["", found.stdout.strip()]


def memory() -> list[str]:
    """Return the table of the large fit: 1,000 spins (a chain, J = 0.4), 4,000 samples, all pairs."""
    generator = np.random.default_rng(0)
    spins = np.ones((4000, 1000), dtype=np.int8)
    flips = np.where(generator.random((4000, 1000)) < 1.0 / (1.0 + np.exp(-0.8)), 1, -1).astype(np.int8)
    np.cumprod(flips, axis=1, dtype=np.int8, out=spins)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    fitted = []
    clock = clocked(lambda: fitted.append(fit_hamiltonian(spins, errors=False)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    forecast = fitted[0].fit.memory / 2**30
    row = f"| {peak:.2f} | {before:.2f} | {forecast:.2f} | {clock.wall:.1f} | {clock.processor:.1f} |"
    return [
        "1,000 spins, 4,000 samples, all 500,500 parameters, without errors:",
        "",
        "| peak of the process, GiB | before the fit | forecast for the fit | wall s | CPU s |",
        "|---|---|---|---|---|",
        row,
    ]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    tables = ("accuracy", "calibration", "discoveries", "speed", "memory")
    parser.add_argument("--table", choices=tables, default=None)
    parser.add_argument("--glasses", type=int, default=5)
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    work = {
        "accuracy": lambda: accuracy(chosen.glasses),
        "calibration": lambda: calibration(chosen.draws),
        "discoveries": lambda: discoveries(chosen.draws),
        "speed": lambda: speed(chosen.repeats),
        "memory": memory,
    }
    for name in (chosen.table,) if chosen.table else tables[:-1]:
        for line in work[name]():
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
