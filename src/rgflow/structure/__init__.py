"""How simple a dataset is: its Hamiltonian from samples, the ladder of simplicity, locality, geometry and symmetry.

Convention: p(x) = exp(-H(x)) / Z; couplings are in nats; every index stands beside nulls.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
