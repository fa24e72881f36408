from .chain_forecast import (
    ChainForecast as ChainForecast,
    ChainSettings as ChainSettings,
    forecast_chain as forecast_chain,
)
from .laws import LayerLaw as LayerLaw
from .scaling import LearningRates as LearningRates, learning_rates as learning_rates
from .universality import Criticality as Criticality, criticality as criticality
