"""The rules of the house as functions: the text of a file in, a list of offences out.

Each is tested on planted offenders in `test_rules.py` and applied to the package in `test_house.py`.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterable

__all__ = [
    "code_lines",
    "forbidden_words",
    "long_functions",
    "many_positional",
    "name_offences",
    "title_offence",
    "unpinned",
    "vague_name",
]

# Spelled in halves so that this file does not offend against itself.
_MARKERS = [r"\bTO" r"DO\b", r"\bFIX" r"ME\b", r"\bXX" r"X\b", r"\bHA" r"CK\b", r"\bNotImplemented" r"Error\b"]
_PLACES = [r"/wo" r"rk/", r"/ro" r"ot/", r"/ho" r"me/", r"/tm" r"p/"]
_FORBIDDEN = re.compile("|".join(_MARKERS + _PLACES))
_VAGUE = re.compile(r"_?(utils?|common|helpers?|misc|tools?|stuff)\d*")
_SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Documented = _Function | ast.ClassDef | ast.Module


def code_lines(text: str) -> int:
    """Return the number of lines that hold code: no blank lines, comments or docstrings."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _SILENT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, _Documented):
            lines -= set(_docstring_lines(node))
    return len(lines)


def long_functions(text: str, *, limit: int) -> list[str]:
    """Return the functions with more than `limit` lines from `def` to the end, docstring left out."""
    offences = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, _Function):
            length = (node.end_lineno or node.lineno) - node.lineno + 1 - len(_docstring_lines(node))
            if length > limit:
                offences.append(f"{node.name} has {length} lines, allowed are {limit}")
    return offences


def many_positional(text: str, *, limit: int) -> list[str]:
    """Return the public functions of a module that take more than `limit` positional arguments."""
    tree = ast.parse(text)
    public, offences = _public_names(tree) or [], []
    for node in tree.body:
        if isinstance(node, _Function) and node.name in public:
            arguments = node.args.posonlyargs + node.args.args
            if len(arguments) > limit:
                offences.append(f"{node.name} takes {len(arguments)} positional arguments, allowed are {limit}")
    return offences


def title_offence(text: str) -> str | None:
    """Return what is wrong with a module's title, the first line of its docstring: a sentence of four words or more."""
    docstring = ast.get_docstring(ast.parse(text))
    if not docstring:
        return "no docstring"
    title = docstring.splitlines()[0].strip()
    if len(title.split()) < 4 or title[-1] not in ".:;,":
        return f"the title {title!r} is no sentence of at least four words"
    return None


def name_offences(text: str) -> list[str]:
    """Return what is wrong with a module's public names: no `__all__`, names it lacks, public things undocumented.

    An `__all__` that is computed (a package that loads its names lazily) has nothing to say here.
    """
    tree = ast.parse(text)
    public = _public_names(tree)
    if public is None:
        return ["no __all__"]
    body = [inner for node in tree.body for inner in (node.body if isinstance(node, ast.With) else [node])]
    defined = {name: node for node in body for name in _bound_names(node)}
    offences = [f"{name} is in __all__ but not defined" for name in public if name not in defined]
    for name in public:
        offences += _undocumented(defined.get(name), name=name)
    return offences


def forbidden_words(text: str) -> list[str]:
    """Return the lines with marks of unfinished work, or with places of one machine."""
    return [f"line {n}: {line.strip()}" for n, line in enumerate(text.splitlines(), 1) if _FORBIDDEN.search(line)]


def vague_name(stem: str) -> bool:
    """Whether a module is named after nothing in particular."""
    return _VAGUE.fullmatch(stem) is not None


def unpinned(requirements: Iterable[str], *, constraints: str) -> list[str]:
    """Return the requirements without an exact pin, and the lines of `constraints` that are no exact pin."""
    lines = [line.split("#")[0].strip() for line in constraints.splitlines()]
    pins = [re.fullmatch(r"([A-Za-z0-9._-]+)==[0-9][^*\s]*", line) for line in lines if line]
    loose = [line for line, pin in zip([x for x in lines if x], pins, strict=True) if pin is None]
    pinned = {_normal(pin[1]) for pin in pins if pin is not None}
    names = [re.match(r"[A-Za-z0-9._-]+", requirement) for requirement in requirements]
    missing = [name[0] for name in names if name is not None and _normal(name[0]) not in pinned]
    return [f"{name} has no pin" for name in missing] + [f"{line!r} is no exact pin" for line in loose]


def _normal(name: str) -> str:
    """Return a distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _docstring_lines(node: _Documented) -> range:
    first = node.body[0] if node.body else None
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return range(first.lineno, (first.end_lineno or first.lineno) + 1) if first is not None and is_text else range(0)


def _public_names(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if value is not None and "__all__" in _bound_names(node):
            return list(ast.literal_eval(value)) if isinstance(value, ast.List | ast.Tuple) else []
    return None


def _bound_names(node: ast.stmt) -> list[str]:
    if isinstance(node, _Function | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).split(".")[0] for alias in node.names]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [
        name.id for target in targets if target is not None for name in ast.walk(target) if isinstance(name, ast.Name)
    ]


def _undocumented(node: ast.stmt | None, *, name: str) -> list[str]:
    """Return a public function or class without docstring, and the public methods of the class without one."""
    if not isinstance(node, _Function | ast.ClassDef):
        return []  # a constant or an alias: the comment or docstring of its module speaks for it
    offences = [] if ast.get_docstring(node) else [f"{name} has no docstring"]
    if isinstance(node, ast.ClassDef):
        methods = [m for m in node.body if isinstance(m, _Function) and not m.name.startswith("_")]
        offences += [f"{name}.{m.name} has no docstring" for m in methods if not ast.get_docstring(m)]
    return offences
