"""Frozen nouns that the rooms hand to each other; validation only, no knowledge of how they are made."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "architecture": ["MLP"],
        "comparison": ["Arm", "Comparison"],
        "dataset": ["Dataset", "Task"],
        "estimate": ["ErrorKind", "Estimate", "Quantity"],
        "layer": ["Finding", "LayerReport", "Severity", "Source"],
        "measurement": ["EnsembleMeasurement", "RowForecast", "RowIdentity"],
        "tuning": ["LayerChange"],
    },
)
