"""The critical point of an activation, as the theory room offers it; computed in `rgflow.numerics.criticality`.

Convention: weight_variance is fan_in * Var W; kernels and bias variances are mean squares of preactivations.
"""

from rgflow.numerics.criticality import Criticality, Kind, criticality

__all__ = ["Criticality", "Kind", "criticality"]
