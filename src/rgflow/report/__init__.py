"""Records in, text table, JSON (schema rgflow.check/1) and one self-contained HTML page out."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "check_report": ["CheckData", "CheckModel", "CheckReport", "LearningRateLimit", "Tally"],
        "files": ["check_writable", "write_complete"],
        "page": ["to_html", "write_html"],
        "schema": ["json_schema", "to_json"],
        "text": ["print_report", "to_text"],
    },
)
