from .chain_forecast import (
    ChainForecast as ChainForecast,
)
from .chain_forecast import (
    ChainSettings as ChainSettings,
)
from .chain_forecast import (
    forecast_chain as forecast_chain,
)
from .laws import LayerLaw as LayerLaw
from .residual_adjoint import ResidualDeviation as ResidualDeviation
from .residual_adjoint import residual_functional_deviation as residual_functional_deviation
from .residual_expansion import residual_flow as residual_flow
from .scaling import LearningRates as LearningRates
from .scaling import learning_rates as learning_rates
from .skip_growth import residual_growth as residual_growth
from .universality import Criticality as Criticality
from .universality import criticality as criticality
