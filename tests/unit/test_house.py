"""The house keeps its order: imports point inwards, files and functions stay short."""

import ast
from pathlib import Path

import pytest

import protoseg

PACKAGE = Path(protoseg.__file__).parent
APP = Path(__file__).resolve().parents[2] / "monailabel_app"
# From the inside out; a room imports from those before it alone. Rooms of one line may import each other's files.
ORDER = (
    {"errors", "moved"},
    {"files"},
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
    {"commands", "cli", "napari"},
)
FLOOR = {room: floor for floor, rooms in enumerate(ORDER) for room in rooms}
BESIDE = {"synthesis": {"errors", "files", "ops", "synthesis"}}  # rooms off the ladder, and all that they know
LONGEST_FILE, LONGEST_FUNCTION = 300, 60


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
