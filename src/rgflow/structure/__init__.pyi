from .terms import Terms as Terms
