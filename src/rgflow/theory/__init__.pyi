from .chain_forecast import (
    ChainForecast as ChainForecast,
)
from .chain_forecast import (
    ChainSettings as ChainSettings,
)
from .chain_forecast import (
    forecast_chain as forecast_chain,
)
from .gram_matrix import Gram as Gram
from .gram_matrix import gram as gram
from .gram_planning import GramPlan as GramPlan
from .gram_planning import gram_plan as gram_plan
from .gram_tiles import GramTile as GramTile
from .gram_tiles import gram_tile as gram_tile
from .laws import LayerLaw as LayerLaw
from .scaling import LearningRates as LearningRates
from .scaling import learning_rates as learning_rates
from .universality import Criticality as Criticality
from .universality import criticality as criticality
