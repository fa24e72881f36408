from .checking import check as check
from .tuning import Tuned as Tuned
from .tuning import tune as tune
from .verifying import verify as verify
