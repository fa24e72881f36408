from .chain import Chain as Chain
from .chain import NotAChain as NotAChain
from .chain import recognise_chain as recognise_chain
from .equality import (
    cloned_layers as cloned_layers,
)
from .equality import (
    enclosing_blocks as enclosing_blocks,
)
from .equality import (
    tied_parameters as tied_parameters,
)
from .factories import Factory as Factory
from .factories import as_factory as as_factory
from .factories import load_factory as load_factory
from .guard import untouched as untouched
from .laws import ParameterLaw as ParameterLaw
from .laws import initial_laws as initial_laws
from .mean_field import MeanFieldResult as MeanFieldResult
from .mean_field import forecast_rows as forecast_rows
from .measure import measure_ensemble as measure_ensemble
from .redraw import Draws as Draws
from .redraw import draw_networks as draw_networks
from .stability import CurvatureMeasurement as CurvatureMeasurement
from .stability import curvature_top as curvature_top
from .trial import Trial as Trial
from .trial import run_trial as run_trial
