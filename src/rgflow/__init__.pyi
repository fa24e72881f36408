__version__: str

from . import compile as compile
from . import ensembles as ensembles
from . import lattice as lattice
from . import structure as structure
from . import theory as theory
from .numerics.activations import Activation as Activation
from .numerics.activations import activation as activation
from .records import (
    MLP as MLP,
)
from .records import (
    Comparison as Comparison,
)
from .records import (
    Dataset as Dataset,
)
from .records import (
    Estimate as Estimate,
)
from .records import (
    Finding as Finding,
)
from .records import (
    Flow as Flow,
)
from .records import (
    Hamiltonian as Hamiltonian,
)
from .records import (
    LayerReport as LayerReport,
)
from .report import CheckReport as CheckReport
from .report import DataReport as DataReport
from .studies import Tuned as Tuned
from .studies import check as check
from .studies import describe as describe
from .studies import tune as tune
from .studies import verify as verify
