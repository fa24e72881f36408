from .architecture import MLP as MLP
from .comparison import Arm as Arm
from .comparison import Comparison as Comparison
from .dataset import Dataset as Dataset
from .dataset import Task as Task
from .estimate import ErrorKind as ErrorKind
from .estimate import Estimate as Estimate
from .estimate import Quantity as Quantity
from .flow import Flow as Flow
from .hamiltonian import Hamiltonian as Hamiltonian
from .hamiltonian import VariableKind as VariableKind
from .layer import Finding as Finding
from .layer import LayerReport as LayerReport
from .layer import Severity as Severity
from .layer import Source as Source
from .measurement import (
    EnsembleMeasurement as EnsembleMeasurement,
)
from .measurement import (
    RowForecast as RowForecast,
)
from .measurement import (
    RowIdentity as RowIdentity,
)
from .tuning import LayerChange as LayerChange
