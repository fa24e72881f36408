from .pseudo_likelihood import TermsFit as TermsFit
from .pseudo_likelihood import fit_terms as fit_terms
from .pseudo_likelihood import log_pseudo_likelihood as log_pseudo_likelihood
from .terms import Terms as Terms
