from .geometry import Lattice as Lattice
from .samples import MeasuredObservable as MeasuredObservable
from .samples import Samples as Samples
from .sampling import sample as sample
from .spin_models import Ising as Ising
from .spin_models import PSpin as PSpin
from .spin_models import SpinGlass as SpinGlass
