__version__: str

from . import ensembles as ensembles
from . import theory as theory
from .numerics.activations import Activation as Activation, activation as activation
from .records import (
    Comparison as Comparison,
    Dataset as Dataset,
    Estimate as Estimate,
    Finding as Finding,
    LayerReport as LayerReport,
    MLP as MLP,
)
from .report import CheckReport as CheckReport
from .studies import Tuned as Tuned, check as check, tune as tune, verify as verify
