"""The effective theory of networks at initialisation: kernels, their fluctuations over seeds, tangent kernels, gradients."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "batch_flow": ["BatchFlow", "batch_flow"],
        "chain_forecast": ["ChainForecast", "ChainSettings", "forecast_chain"],
        "criticality": ["Criticality", "criticality"],
        "laws": ["LayerLaw"],
        "scaling": ["LearningRates", "learning_rates"],
        "seed_deviation": ["Deviation", "seed_deviation"],
    },
)
