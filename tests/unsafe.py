"""Finds, in source code, what could run a program that is hidden in a file or a text.

Seen are names: called, handed on or imported, under whatever alias. Not seen is what a name computed at run time means,
nor programs inside strings.
"""

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase

FORBIDDEN = (
    *(
        "pickle.load*",
        "pickle.Unpickler",
        "pickle._*",
        "_pickle.*",
        "cPickle.*",
        "dill.*",
        "cloudpickle.*",
        "joblib.load",
    ),
    *("marshal.*", "shelve.*", "pandas.read_pickle", "sklearn.externals.*", "mlflow.*load_model", "runpy.*"),
    *("torch.jit.load", "torch.hub.load*", "torch.package.*", "torch.serialization.*", "torch.load", "numpy.load"),
    *("torch.export.load", "torch.export.pt2_archive.*"),  # they unpickle what an archive says is to be unpickled
    *("yaml.load*", "yaml.full_load*", "yaml.unsafe_load*", "yaml.*Loader"),
    *("builtins.eval", "builtins.exec", "builtins.compile", "builtins.__import__"),
)
MODULES = {pattern.split(".")[0] for pattern in FORBIDDEN}
BUILTINS = {name: f"builtins.{name}" for name in ("eval", "exec", "compile", "__import__")}


def findings(source: str) -> Iterator[tuple[str, str]]:
    """Where a file may run what it reads: function or class at its top (or ""), and name of what is used there."""
    tree = ast.parse(source)
    names = _aliases(tree)
    guarded = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call) and _is_guarded(node, names)}
    for top in tree.body:
        for node in ast.walk(top):
            if id(node) not in guarded:
                for name in _mentioned(node, names):
                    if any(fnmatchcase(name, pattern) for pattern in FORBIDDEN):
                        yield getattr(top, "name", ""), name


def _aliases(tree: ast.AST) -> dict[str, str]:
    """What the names of a file stand for: after `import torch as t`, "t" stands for "torch"."""
    names = dict(BUILTINS)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            whole = {one.asname: one.name for one in node.names if one.asname}
            names |= {one.name.split(".")[0]: one.name.split(".")[0] for one in node.names if not one.asname} | whole
        elif isinstance(node, ast.ImportFrom):
            names |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and (value := _dotted(node.value, names))
        ):
            names.setdefault(node.targets[0].id, value)
    return names


def _mentioned(node: ast.AST, names: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom):
        for one in node.names:
            everything = one.name == "*" and str(node.module).split(".")[0] in MODULES
            yield "builtins.exec" if everything else f"{node.module}.{one.name}"
    elif name := _dotted(node, names):
        yield name


def _dotted(node: ast.AST, names: dict[str, str]) -> str | None:
    """What `t.load`, `getattr(t, "load")` or `import_module("torch").load` stands for."""
    match node:
        case ast.Name(id=name):
            return names.get(name)
        case ast.Attribute(value=before, attr=last):
            pass
        case ast.Call(func=ast.Name(id="getattr"), args=[before, ast.Constant(value=str(last)), *_]):
            pass
        case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(module)), *_]):
            return module
        case ast.Call(func=ast.Name(id="import_module"), args=[ast.Constant(value=str(module)), *_]):
            return module
        case _:
            return None
    module = _dotted(before, names)
    return f"{module}.{last}" if module else None


def _is_guarded(call: ast.Call, names: dict[str, str]) -> bool:
    """Whether a call of `torch.load` or `numpy.load` says itself that nothing is unpickled."""
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    match _dotted(call.func, names):
        case "torch.load":
            return given.get("weights_only") == "True" and "pickle_module" not in given and len(call.args) < 3
        case "numpy.load":
            return given.get("allow_pickle", "False") == "False" and None not in given and len(call.args) < 3
    return False
