"""Configurations of the Ising model on a torus for the tests of this room: several chains, one after the other."""

import numpy as np

from rgflow.lattice import Ising, sample

__all__ = ["ising_samples"]

_CHAINS = 20
_APART = 5  # cluster updates between records: neighbours in a chain then share little


def ising_samples(side: int, temperature: float, *, samples: int, seed: int = 0) -> np.ndarray:
    """Return spins (samples, side * side), int8."""
    records = -(-samples // _CHAINS)
    found = sample(
        Ising(temperature=temperature),
        shape=(side, side),
        chains=_CHAINS,
        sweeps=_APART * records,
        every=_APART,
        seed=seed,
    )
    return found.states.reshape(-1, side * side).numpy().astype(np.int8)[:samples]
