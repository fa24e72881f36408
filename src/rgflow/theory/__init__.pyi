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
from .gram_on_disk import open_gram as open_gram
from .gram_planning import GramPlan as GramPlan
from .gram_planning import gram_plan as gram_plan
from .gram_tiles import GramTile as GramTile
from .gram_tiles import gram_tile as gram_tile
from .laws import LayerLaw as LayerLaw
from .regression_in_memory import KernelRegression as KernelRegression
from .regression_in_memory import Prediction as Prediction
from .regression_in_memory import kernel_regression as kernel_regression
from .regression_on_tiles import IterativeRegression as IterativeRegression
from .regression_on_tiles import iterative_regression as iterative_regression
from .scaling import LearningRates as LearningRates
from .scaling import learning_rates as learning_rates
from .stored_matrix import StoredMatrix as StoredMatrix
from .universality import Criticality as Criticality
from .universality import criticality as criticality
