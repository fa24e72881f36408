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
from .scaling import LearningRates as LearningRates
from .scaling import learning_rates as learning_rates
from .universality import Criticality as Criticality
from .universality import criticality as criticality
