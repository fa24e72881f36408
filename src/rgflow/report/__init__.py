"""Records in, text table, JSON (schema rgflow.check/1) and one self-contained HTML page out."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "check_report": ["CheckData", "CheckModel", "CheckReport", "LearningRateLimit", "Tally"],
        "page": ["write_html"],
        "schema": ["to_json"],
        "text": ["to_text"],
    },
)
