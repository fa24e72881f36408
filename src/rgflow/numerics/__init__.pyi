from .activations import (
    Activation as Activation,
)
from .activations import (
    activation as activation,
)
from .activations import (
    activation_names as activation_names,
)
from .activations import (
    leaky_relu as leaky_relu,
)
from .closed_forms import PairMoments as PairMoments
from .closed_forms import closed_pair_moments as closed_pair_moments
from .criticality import Criticality as Criticality
from .gaussian import (
    Integral as Integral,
)
from .gaussian import (
    Moments as Moments,
)
from .gaussian import (
    chi_parallel as chi_parallel,
)
from .gaussian import (
    chi_perpendicular as chi_perpendicular,
)
from .gaussian import (
    expectation as expectation,
)
from .gaussian import (
    integral as integral,
)
from .gaussian import (
    mesh_of as mesh_of,
)
from .gaussian import (
    moments as moments,
)
from .pairs import (
    PairNodes as PairNodes,
)
from .pairs import (
    PairRoot as PairRoot,
)
from .pairs import (
    expectation_pair as expectation_pair,
)
from .pairs import (
    pair_nodes as pair_nodes,
)
from .pairs import (
    pair_root as pair_root,
)
from .pairs import (
    state_of as state_of,
)
from .second_moments import derivative_moment as derivative_moment
from .second_moments import second_moment as second_moment
from .sparse_polynomial import Kind as Kind
from .sparse_polynomial import SparsePolynomial as SparsePolynomial
from .statistics import (
    Statistic as Statistic,
)
from .statistics import (
    effective_samples as effective_samples,
)
from .statistics import (
    jackknife as jackknife,
)
from .statistics import (
    mean as mean,
)
from .statistics import (
    standard_deviation as standard_deviation,
)
from .statistics import (
    variance as variance,
)
from .statistics import (
    z_threshold as z_threshold,
)
