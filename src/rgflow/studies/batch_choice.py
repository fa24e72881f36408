"""How many inputs one check looks at: as many as the forecast can afford, and always the same for both sides."""

from dataclasses import dataclass

from rgflow.datasets import batch_of
from rgflow.networks import Chain, Draws, NotAChain, Trial, recognise_chain, run_trial
from rgflow.records import Dataset

__all__ = ["BatchChoice", "fitting_batch"]

CHAIN_BATCH = 256  # inputs for the analytic theory, whose cost hardly grows with them
LOCATIONS = 256  # inputs times positions for mean-field replicas, whose cost is cubic in them
FEWEST = 8  # inputs below which a spread means little


@dataclass(frozen=True)
class BatchChoice:
    """The batch, the model's structure as found on it, the trial run, and notes on what was capped."""

    batch: Dataset
    structure: "Chain | NotAChain"
    trial: Trial
    notes: tuple[str, ...]


def fitting_batch(draws: Draws, data: Dataset, *, size: int | None, seed: int) -> BatchChoice:
    """Return the batch on which a model is checked: `size` inputs, or as many as its kind affords."""
    draw = draws.draw(0)
    trial = run_trial(draw, data.inputs[: min(len(data.inputs), FEWEST)])
    largest = batch_of(data, size=min(size or CHAIN_BATCH, len(data.inputs)), seed=seed)
    structure = recognise_chain(draw, largest.inputs)
    if isinstance(structure, Chain) or size is not None:
        return BatchChoice(largest, structure, trial, ())
    affordable = min(max(LOCATIONS // trial.positions, FEWEST), len(data.inputs), CHAIN_BATCH)
    if affordable == len(largest.inputs):
        return BatchChoice(largest, structure, trial, ())
    note = (
        f"batch of {affordable}: inputs x positions are capped at {LOCATIONS} ({trial.positions} positions);"
        " BatchNorm depends on the batch, so give --batch if you train with another"
    )
    return BatchChoice(batch_of(data, size=affordable, seed=seed), structure, trial, (note,))
