from .chain import Chain as Chain, NotAChain as NotAChain, recognise_chain as recognise_chain
from .equality import (
    cloned_layers as cloned_layers,
    enclosing_blocks as enclosing_blocks,
    tied_parameters as tied_parameters,
)
from .factories import Factory as Factory, as_factory as as_factory, load_factory as load_factory
from .guard import untouched as untouched
from .laws import ParameterLaw as ParameterLaw, initial_laws as initial_laws
from .mean_field import MeanFieldResult as MeanFieldResult, forecast_rows as forecast_rows
from .measure import measure_ensemble as measure_ensemble
from .redraw import Draws as Draws, draw_networks as draw_networks
from .stability import CurvatureMeasurement as CurvatureMeasurement, curvature_top as curvature_top
from .trial import Trial as Trial, run_trial as run_trial
