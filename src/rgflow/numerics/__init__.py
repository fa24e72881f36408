"""Mathematics without physics or networks: activations, Gaussian averages, criticality, statistics."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "activations": ["Activation", "activation", "activation_names", "leaky_relu"],
        "closed_forms": ["PairMoments", "closed_pair_moments"],
        "criticality": ["Criticality", "criticality"],
        "gaussian": [
            "Integral",
            "Moments",
            "chi_parallel",
            "chi_perpendicular",
            "expectation",
            "integral",
            "mesh_of",
            "moments",
        ],
        "pairs": ["PairNodes", "PairRoot", "expectation_pair", "pair_nodes", "pair_root", "state_of"],
        "second_moments": ["derivative_moment", "second_moment"],
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
