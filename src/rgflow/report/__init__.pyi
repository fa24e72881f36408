from .check_report import (
    CheckData as CheckData,
)
from .check_report import (
    CheckModel as CheckModel,
)
from .check_report import (
    CheckReport as CheckReport,
)
from .check_report import (
    LearningRateLimit as LearningRateLimit,
)
from .check_report import (
    Tally as Tally,
)
from .comparison import comparison_table as comparison_table
from .compile_report import CompileReport as CompileReport
from .data_json import data_schema as data_schema
from .data_report import DataReport as DataReport
from .files import check_writable as check_writable
from .files import write_complete as write_complete
from .page import to_html as to_html
from .page import write_html as write_html
from .schema import json_schema as json_schema
from .schema import to_json as to_json
from .text import print_report as print_report
from .text import to_text as to_text
from .tuning import changes_table as changes_table
