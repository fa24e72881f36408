from .continuous_fit import ContinuousFit as ContinuousFit
from .continuous_fit import continuous_terms as continuous_terms
from .continuous_fit import fit_continuous as fit_continuous
from .continuous_fit import score_rows as score_rows
from .continuous_monomials import ContinuousTerms as ContinuousTerms
from .continuous_standard import Standardisation as Standardisation
from .continuous_standard import standardisation as standardisation
from .terms import Terms as Terms
