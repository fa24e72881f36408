from .parsing import parse as parse
