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
from .functionals import GaussianProcessPrediction as GaussianProcessPrediction
from .functionals import LogMarginalLikelihood as LogMarginalLikelihood
from .functionals import batch_signal as batch_signal
from .functionals import batch_spread as batch_spread
from .laws import LayerLaw as LayerLaw
from .residual_adjoint import ResidualDeviation as ResidualDeviation
from .residual_adjoint import residual_functional_deviation as residual_functional_deviation
from .residual_expansion import residual_flow as residual_flow
from .scaling import LearningRates as LearningRates
from .scaling import learning_rates as learning_rates
from .seed_statistics import FunctionalStatistics as FunctionalStatistics
from .seed_statistics import functional_statistics as functional_statistics
from .skip_growth import residual_growth as residual_growth
from .universality import Criticality as Criticality
from .universality import criticality as criticality
