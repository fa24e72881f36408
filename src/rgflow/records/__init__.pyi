from .architecture import MLP as MLP
from .comparison import Arm as Arm, Comparison as Comparison
from .dataset import Dataset as Dataset, Task as Task
from .estimate import ErrorKind as ErrorKind, Estimate as Estimate, Quantity as Quantity
from .layer import Finding as Finding, LayerReport as LayerReport, Severity as Severity, Source as Source
from .measurement import (
    EnsembleMeasurement as EnsembleMeasurement,
    RowForecast as RowForecast,
    RowIdentity as RowIdentity,
)
from .tuning import LayerChange as LayerChange
