from .checking import check as check
from .tune import Tuned as Tuned, tune as tune
from .verify import verify as verify
