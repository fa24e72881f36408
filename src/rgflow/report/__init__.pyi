from .check_report import (
    CheckData as CheckData,
    CheckModel as CheckModel,
    CheckReport as CheckReport,
    LearningRateLimit as LearningRateLimit,
    Tally as Tally,
)
from .files import check_writable as check_writable, write_complete as write_complete
from .page import to_html as to_html, write_html as write_html
from .schema import json_schema as json_schema, to_json as to_json
from .text import print_report as print_report, to_text as to_text
from .comparison import comparison_table as comparison_table
from .tuning import changes_table as changes_table
