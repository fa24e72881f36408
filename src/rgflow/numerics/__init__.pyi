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
from .chain_statistics import ChainStatistics as ChainStatistics
from .chain_statistics import chain_statistics as chain_statistics
from .chain_statistics import split_r_hat as split_r_hat
from .closed_forms import PairMoments as PairMoments
from .closed_forms import closed_pair_moments as closed_pair_moments
from .criticality import Criticality as Criticality
from .feature_covariance import FeatureCovariance as FeatureCovariance
from .feature_covariance import QuadrupleCovariance as QuadrupleCovariance
from .feature_covariance import feature_covariance as feature_covariance
from .feature_covariance import quadruple_covariance as quadruple_covariance
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
from .kernel_derivatives import CurvatureShift as CurvatureShift
from .kernel_derivatives import KernelCurvature as KernelCurvature
from .kernel_derivatives import KernelResponse as KernelResponse
from .kernel_derivatives import kernel_curvature as kernel_curvature
from .kernel_derivatives import kernel_response as kernel_response
from .pair_space import pair_count as pair_count
from .pair_space import pair_inputs as pair_inputs
from .pair_space import pair_matrix as pair_matrix
from .pair_space import pair_vector as pair_vector
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
from .standard_laws import StandardLaw as StandardLaw
from .standard_laws import TruncatedNormal as TruncatedNormal
from .standard_laws import exponential as exponential
from .standard_laws import standard_law as standard_law
from .standard_laws import truncated_normal as truncated_normal
from .standard_laws import two_point as two_point
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
