"""Experiments on ensembles: many small networks trained at once, each on its own minibatches and at its own rate."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "pairing": ["chosen", "compare", "edge_wins"],
        "scores": ["chance_score", "sample_losses", "score"],
        "training": ["TrainedArm", "TrainingPlan", "train_arm"],
    },
)
