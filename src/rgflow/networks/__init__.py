"""Ordinary PyTorch models: loading, drawing, reading by running, measuring, and writing weights back."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "chain": ["Chain", "NotAChain", "recognise_chain"],
        "equality": ["cloned_layers", "enclosing_blocks", "tied_parameters"],
        "factories": ["Factory", "as_factory", "load_factory"],
        "guard": ["untouched"],
        "laws": ["ParameterLaw", "initial_laws"],
        "mean_field": ["MeanFieldResult", "forecast_rows"],
        "measure": ["measure_ensemble"],
        "redraw": ["Draws", "draw_networks"],
        "trial": ["Trial", "run_trial"],
        "stability": ["CurvatureMeasurement", "curvature_top"],
    },
)
