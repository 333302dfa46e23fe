"""The house keeps its order: imports point inwards, files and functions stay short, docstrings begin as they should."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import protoseg

PACKAGE = Path(protoseg.__file__).parent
APP = Path(__file__).resolve().parents[2] / "monailabel_app"
# From the inside out; a room imports from those before it alone. Rooms of one line may import each other's files.
ORDER = (
    {"errors", "moved"},
    {"files", "labels"},
    {"ops"},
    {"matching"},
    {"networks"},
    {"losses", "sam"},
    {"engine"},
    {"data"},
    {"workflows"},
    {"segmentation"},
    {"session"},
    {"api"},
    {"commands", "cli", "napari", "__main__"},
)
FLOOR = {room: floor for floor, rooms in enumerate(ORDER) for room in rooms}
BESIDE = {"synthesis": {"errors", "files", "ops", "synthesis"}}  # rooms off the ladder, and all that they know
TESTS, SCRIPTS = Path(__file__).resolve().parents[1], APP.parent / "scripts"
LONGEST_FILE, LONGEST_FUNCTION = 300, 60
# Words that no verb is, and that a docstring is tempted to begin with.
NO_VERBS = {"a", "all", "an", "as", "both", "how", "in", "its", "no", "of", "one", "some", "the", "two", "what", "when"}
NO_VERBS |= {"along", "behind", "between", "for", "from", "three", "up", "where", "whether", "which", "while", "who"}
# Words that no noun phrase begins with, such as "of the image" for `width`.
NO_NOUNS = NO_VERBS - {"a", "all", "an", "both", "its", "no", "one", "some", "the", "three", "two"}
NO_NOUNS |= {"if", "is", "not", "on", "see", "so", "that", "to", "was", "when", "whose", "with", "without"}
NO_NOUNS |= {"gives", "let", "makes", "tells", "try"}


def sources(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*.py")) if "_bundle" not in path.parts]


def modules() -> dict[str, set[str]]:
    """By module of the package, the modules of it that it imports, also within functions."""
    files = {
        ".".join(("protoseg", *path.relative_to(PACKAGE).with_suffix("").parts)): path for path in sources(PACKAGE)
    }
    names = {name.removesuffix(".__init__"): path for name, path in files.items()}
    imported: dict[str, set[str]] = {}
    for name, path in names.items():
        imported[name] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("protoseg"):
                whole = {f"{node.module}.{alias.name}" for alias in node.names}
                imported[name] |= {one if one in names else node.module for one in whole}
            elif isinstance(node, ast.Import):
                imported[name] |= {alias.name for alias in node.names if alias.name in names}
    return imported


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_every_room_has_its_place():
    rooms = {room(module) for module in modules()} - {""}
    assert rooms == FLOOR.keys() | BESIDE.keys()


def test_imports_point_inwards():
    for module, imported in modules().items():
        for other in imported:
            here, there = room(module), room(other)
            if not here or not there or here == there:
                continue
            if here in BESIDE:
                assert there in BESIDE[here], f"{module} imports {other}"
            elif there not in BESIDE:
                assert FLOOR[there] < FLOOR[here] or FLOOR[there] == FLOOR[here] == len(ORDER) - 1, (
                    f"{module} imports {other}"
                )
            else:
                assert FLOOR[here] >= FLOOR["data"], f"{module} imports {other}"


def test_no_module_imports_itself_by_way_of_others():
    imported = modules()
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module in done:
            return
        for other in imported.get(module, ()):
            if other != "protoseg":  # imports its way in only when that is asked for
                visit(other, (*path, module))
        done.add(module)

    for module in imported:
        if module != "protoseg":
            visit(module, ())


@pytest.mark.parametrize("path", [*sources(PACKAGE), *sources(APP)], ids=lambda path: path.name)
def test_files_and_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < LONGEST_FUNCTION, node.name


def test_tests_and_scripts_are_short():
    long = {
        path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in [*sources(TESTS), *sources(SCRIPTS)]
    }
    assert {name: lines for name, lines in long.items() if lines > LONGEST_FILE} == {}


def public_functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions and methods that others may call; a property is named after what it is."""
    for node in getattr(tree, "body", []):
        if getattr(node, "name", "_").startswith("_"):
            continue
        if isinstance(node, ast.ClassDef):
            yield from public_functions(node)
        elif not any(ast.unparse(mark).endswith("property") for mark in node.decorator_list):
            yield node


def test_docstrings_do_not_begin_with_what_is_no_verb():
    wrong = {
        f"{path}:{function.lineno}"
        for path in [*sources(PACKAGE), *sources(APP)]
        for function in public_functions(ast.parse(path.read_text(encoding="utf-8")))
        if (ast.get_docstring(function) or "Do").split()[0].lower() in NO_VERBS
    }
    assert wrong == set()


def test_arguments_are_noun_phrases():
    wrong = set()
    for path in [*sources(PACKAGE), *sources(APP), *sources(SCRIPTS)]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                _, _, arguments = (ast.get_docstring(node) or "").partition("\nArgs:\n")
                entries = re.findall(r"^ {4}([*\w, ]+): ([\w']+)", arguments.partition("\n\n")[0], re.MULTILINE)
                wrong |= {f"{path}: {node.name}, {name}" for name, word in entries if word.lower() in NO_NOUNS}
    assert wrong == set()
