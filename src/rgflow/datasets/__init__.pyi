from .arrays import as_dataset as as_dataset
from .bundled import BUNDLED as BUNDLED
from .census import FeatureCensus as FeatureCensus, feature_census as feature_census
from .named import load as load
from .sampling import Splits as Splits, batch_of as batch_of, splits as splits
