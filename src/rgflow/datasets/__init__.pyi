from .arrays import as_dataset as as_dataset
from .bundled import BUNDLED as BUNDLED
from .census import FeatureCensus as FeatureCensus
from .census import feature_census as feature_census
from .named import load as load
from .sampling import Splits as Splits
from .sampling import batch_of as batch_of
from .sampling import splits as splits
