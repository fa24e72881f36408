from .activations import (
    Activation as Activation,
    activation as activation,
    activation_names as activation_names,
    leaky_relu as leaky_relu,
)
from .closed_forms import PairMoments as PairMoments, closed_pair_moments as closed_pair_moments
from .criticality import Criticality as Criticality
from .gaussian import (
    Integral as Integral,
    Moments as Moments,
    chi_parallel as chi_parallel,
    chi_perpendicular as chi_perpendicular,
    expectation as expectation,
    integral as integral,
    mesh_of as mesh_of,
    moments as moments,
)
from .pairs import (
    PairNodes as PairNodes,
    PairRoot as PairRoot,
    expectation_pair as expectation_pair,
    pair_nodes as pair_nodes,
    pair_root as pair_root,
    state_of as state_of,
)
from .second_moments import derivative_moment as derivative_moment, second_moment as second_moment
from .statistics import (
    Statistic as Statistic,
    effective_samples as effective_samples,
    jackknife as jackknife,
    mean as mean,
    standard_deviation as standard_deviation,
    variance as variance,
    z_threshold as z_threshold,
)
