"""Mathematics without physics or networks: activations, Gaussian averages, criticality, statistics."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "activations": ["Activation", "activation", "activation_names", "leaky_relu"],
        "closed_forms": ["closed_derivative_moment", "closed_second_moment"],
        "criticality": ["Criticality", "criticality"],
        "gaussian": ["chi_parallel", "chi_perpendicular", "derivative_moment", "expectation", "moments", "second_moment"],
        "pairs": ["PairNodes", "expectation_pair", "pair_nodes"],
        "statistics": [
            "Statistic",
            "effective_samples",
            "jackknife",
            "mean",
            "standard_deviation",
            "variance",
            "z_threshold",
        ],
    },
)
