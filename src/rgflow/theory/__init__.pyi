from .action_couplings import Couplings as Couplings
from .action_couplings import couplings as couplings
from .batch_spreads import BatchStatistics as BatchStatistics
from .batch_spreads import LayerStatistics as LayerStatistics
from .batch_spreads import batch_statistics as batch_statistics
from .chain_forecast import (
    ChainForecast as ChainForecast,
)
from .chain_forecast import (
    ChainSettings as ChainSettings,
)
from .chain_forecast import (
    forecast_chain as forecast_chain,
)
from .effective_flow import flow as flow
from .functionals import GaussianProcessPrediction as GaussianProcessPrediction
from .functionals import LogMarginalLikelihood as LogMarginalLikelihood
from .functionals import batch_signal as batch_signal
from .functionals import batch_spread as batch_spread
from .gram_matrix import Gram as Gram
from .gram_matrix import gram as gram
from .gram_on_disk import open_gram as open_gram
from .gram_planning import GramPlan as GramPlan
from .gram_planning import gram_plan as gram_plan
from .gram_tiles import GramTile as GramTile
from .gram_tiles import gram_tile as gram_tile
from .kernel_estimates import KernelEstimate as KernelEstimate
from .kernel_estimates import kernel_estimate as kernel_estimate
from .laws import LayerLaw as LayerLaw
from .metric_fluctuations import metric_covariance as metric_covariance
from .metric_fluctuations import (
    scale_invariant_relative_variance as scale_invariant_relative_variance,
)
from .neuron_information import AspectRatio as AspectRatio
from .neuron_information import InformationCurve as InformationCurve
from .neuron_information import MutualInformation as MutualInformation
from .neuron_information import NeuronEntropy as NeuronEntropy
from .neuron_information import entropy as entropy
from .neuron_information import lognormal_information as lognormal_information
from .neuron_information import mutual_information as mutual_information
from .neuron_information import optimal_aspect_ratio as optimal_aspect_ratio
from .orthogonal_step import orthogonal_flow as orthogonal_flow
from .orthogonal_step import orthogonal_sources as orthogonal_sources
from .parameter_laws import EntryLaw as EntryLaw
from .parameter_laws import truncated_normal as truncated_normal
from .regression_in_memory import KernelRegression as KernelRegression
from .regression_in_memory import Prediction as Prediction
from .regression_in_memory import kernel_regression as kernel_regression
from .regression_on_tiles import IterativeRegression as IterativeRegression
from .regression_on_tiles import iterative_regression as iterative_regression
from .residual_adjoint import ResidualDeviation as ResidualDeviation
from .residual_adjoint import residual_functional_deviation as residual_functional_deviation
from .residual_expansion import residual_flow as residual_flow
from .scaling import LearningRates as LearningRates
from .scaling import learning_rates as learning_rates
from .seed_statistics import FunctionalStatistics as FunctionalStatistics
from .seed_statistics import functional_statistics as functional_statistics
from .skewed_weights import skewness_shift as skewness_shift
from .skip_growth import residual_growth as residual_growth
from .stored_matrix import StoredMatrix as StoredMatrix
from .universality import Criticality as Criticality
from .universality import criticality as criticality
