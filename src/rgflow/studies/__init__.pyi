from .checking import check as check
from .compiling import Compiled as Compiled
from .compiling import compile_expression as compile_expression
from .describing import describe as describe
from .tuning import Tuned as Tuned
from .tuning import tune as tune
from .verifying import verify as verify
