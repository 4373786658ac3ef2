"""The house's rules as programs: sizes, layers, typing, units, no sleeping, nothing of this machine in the tree.

Each rule is a function from parsed files to the places that break it; each test says what to do about them, and
`test_rules_bite` shows every rule one file that breaks it, so that no rule can go blind unnoticed.
"""

import ast
import io
import re
import statistics
import subprocess
import tokenize
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
Function = ast.FunctionDef | ast.AsyncFunctionDef

# Each module imports only from rows above its own, and within its row from modules to its left.
LAYERS = (
    "errors clock logs issuer spreadsheet whole",
    "event fields taxonomy rights",
    "problems slips yamltext masks yamlmarks shifts",
    "alarms explain credentials profiles canonical signing sections alarmrules rulebook scope acts rules rulewords",
    "charge contacts cards checks rulecheck config revisions site arguments documents desired orders feedback samples",
    "drawings driver archive pushed access peer packets listeners mqtt tls target schemas asyncapi",
    "normalize measures spans escalation states groups veil privacy loss",
    "folder vault identity packing journal batch database",
    "facts roster erase letters salvage writer store pictures plans",
    "replay outbox pipeline audit alarmview proofs waits reports reporting reportview browse",
    "lockout passwords setupcode sessions deeds tokens people signin duty covers outages notify plea courier callout",
    "casebook evidence witness incidents notices dossiers dead losses retention timekeeper ledger",
    "holes newcomers backup restore disclosure forget",
    "retained posters turns commands clerk desk parts board flight delivery uplink pulse supervisor moves renewal",
    "doings linkage health systemd watchdog house bundle chores",
    "questions steps asks reportasks peopleasks inquiry feeds control",
    "web build",
    "app",
    "demo cli __main__",
)
RANK = {name: place for place, name in enumerate(" ".join(LAYERS).split())}
FOR_DRIVERS = {"clock", "driver", "errors", "event", "fields", "taxonomy"}  # all of the gateway that a driver sees
FOR_DRIVERS |= {"mqtt", "peer", "tls"}  # and the one MQTT client there is, for those that are subscribers themselves
FOR_DRIVERS |= {"listeners"}  # and who may connect, for those that are called
THREADS_IN = {
    "gateway/store.py",
    "gateway/writer.py",
    "gateway/mqtt.py",
    "gateway/passwords.py",
    "gateway/web/openapi.py",
}  # the database's; paho-mqtt and FastAPI's description, which only know blocking code; a password's hash


def words(text: str) -> frozenset[str]:
    """A set of words, as one writes them down."""
    return frozenset(text.split())


TOP_LEVEL = words(
    """.ci .gitignore CHANGELOG.md CONTRIBUTING.md LICENSE Makefile README.md README.zh-CN.md SECURITY.md
    config deploy docs drivers gateway pyproject.toml requirements.lock tests"""
)
QUANTITIES = words(
    """timeout interval delay period duration age ttl deadline backoff pause grace latency elapsed uptime lag
    size rate quota budget"""
)
UNITS = words(
    """s ms us ns seconds minutes hours days min h d bytes kib mib gib mb kb bits chars lines rows events messages items
    hz per percent ratio baud registers devices entries count attempts"""
)
HOSTS = re.compile(r"\b(pypi|pythonhosted|npmjs|debian|piwheels|raspbian)\.(org|com|net)\b(?!\S*@)")
MACHINE_PATHS = re.compile(r"(?<![\w.:/-])/(?:work|root|home/\w+|opt/pypi)/\w")


@dataclass(frozen=True)
class Module:
    """One Python file: its path from the root, its text and its tree."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """Parsed once."""
        return ast.parse(self.text)

    @property
    def name(self) -> str:
        """As it is imported."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def lines(self) -> int:
        """Lines of the file."""
        return self.text.count("\n")

    @cached_property
    def functions(self) -> list[Function]:
        """All of them, nested ones too."""
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    def at(self, node: ast.stmt | ast.expr | ast.ExceptHandler | ast.arg) -> str:
        """`file:line`."""
        return f"{self.path}:{node.lineno}"


def read(*folders: str) -> list[Module]:
    """Every Python file under these folders of the project."""
    found = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return [Module(path.relative_to(ROOT).as_posix(), path.read_text("utf-8")) for path in found]


SOURCE = read("gateway", "drivers")
TESTS = read("tests")


def tracked() -> list[Path]:
    """The files under version control; all that is not hidden where there is no repository (a tarball)."""
    command = ["git", "-c", "safe.directory=*", "-C", str(ROOT), "ls-files", "-z"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    kept = [path for path in ROOT.iterdir() if path.name in TOP_LEVEL]
    return [path for top in kept for path in ([top] if top.is_file() else top.rglob("*")) if path.is_file()]


def refuse(broken: list[str], advice: str) -> None:
    """Fail with every place that breaks the rule, and what to do."""
    assert not broken, f"{advice}\n  " + "\n  ".join(broken)


# --- sizes -----------------------------------------------------------------------------------------------------------


def length(function: Function) -> int:
    """Lines from `def` to the end."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def depth(node: ast.AST, at: int = 0) -> int:
    """How deep compound statements stand in each other; `elif` does not count again, nor does a nested function."""
    deepest = at
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, Function | ast.ClassDef):
                continue
            chained = name == "orelse" and isinstance(child, ast.If) and isinstance(node, ast.If) and len(value) == 1
            compound = isinstance(child, ast.If | ast.For | ast.AsyncFor | ast.While | ast.With | ast.AsyncWith)
            compound = compound or isinstance(child, ast.Try | ast.TryStar | ast.Match)
            deepest = max(deepest, depth(child, at + (compound and not chained)))
    return deepest


def long_files(modules: list[Module], most: int) -> list[str]:
    """Files with more than `most` lines."""
    return [f"{module.path}: {module.lines} lines" for module in modules if module.lines > most]


def long_functions(modules: list[Module], most: int) -> list[str]:
    """Functions with more than `most` lines."""
    sized = [(module, function, length(function)) for module in modules for function in module.functions]
    return [f"{module.at(function)} {function.name}: {n} lines" for module, function, n in sized if n > most]


def deep_functions(modules: list[Module]) -> list[str]:
    """Functions that nest 4 deep or more."""
    return [f"{m.at(f)} {f.name}: {depth(f)} deep" for m in modules for f in m.functions if depth(f) >= 4]


def wide_classes(modules: list[Module]) -> list[str]:
    """Classes with more than 15 methods."""
    classes = [(m, c) for m in modules for c in ast.walk(m.tree) if isinstance(c, ast.ClassDef)]
    sized = [(m, c, sum(isinstance(part, Function) for part in c.body)) for m, c in classes]
    return [f"{m.at(c)} {c.name}: {n} methods" for m, c, n in sized if n > 15]


def test_no_file_is_long() -> None:
    refuse(long_files(SOURCE, 500) + long_files(TESTS, 600), "Split by noun: sources 500 lines, tests 600 at most.")


def test_files_are_short_as_a_rule() -> None:
    median = statistics.median(module.lines for module in SOURCE)
    assert median <= 150, f"Half the files have more than {median} lines; the budget is 150. Split the longest by noun."


def test_no_function_is_long() -> None:
    refuse(long_functions(SOURCE, 60) + long_functions(TESTS, 80), "One idea a function: sources 60 lines, tests 80.")


def test_functions_are_short_as_a_rule() -> None:
    lengths = sorted(length(function) for module in SOURCE for function in module.functions)
    median, p90 = statistics.median(lengths), lengths[len(lengths) * 9 // 10]
    assert (median <= 10, p90 <= 30) == (True, True), f"Median {median} (budget 10), p90 {p90} (budget 30): split some."


def test_nesting_is_rare() -> None:
    deep, total = deep_functions(SOURCE), sum(len(module.functions) for module in SOURCE)
    refuse(deep if len(deep) >= total / 100 else [], f"Nested 4 deep: under 1 % of {total} functions. Return early.")


def test_no_class_is_wide() -> None:
    refuse(wide_classes(SOURCE + TESTS), "At most 15 methods a class: it does two jobs, give each its own.")


# --- typing and words ------------------------------------------------------------------------------------------------


def untyped(modules: list[Module]) -> list[str]:
    """Functions with a parameter or a result that has no type."""
    broken = []
    for module in modules:
        for function in module.functions:
            every = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
            every += [rest for rest in (function.args.vararg, function.args.kwarg) if rest]
            bare = [arg.arg for arg in every if arg.annotation is None and arg.arg not in {"self", "cls"}]
            if bare or function.returns is None:
                broken.append(f"{module.at(function)} {function.name}({', '.join(bare)})")
    return broken


def speechless(modules: list[Module]) -> list[str]:
    """Modules without a docstring."""
    return [module.path for module in modules if module.text.strip() and not ast.get_docstring(module.tree)]


def public_functions(modules: list[Module]) -> Iterator[tuple[Module, Function]]:
    """Functions and methods whose own name, and whose class's name, have no underscore in front."""
    for module in modules:
        classes = [node for node in module.tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_"]
        for body in [module.tree.body, *(node.body for node in classes)]:
            yield from ((module, node) for node in body if isinstance(node, Function) and node.name[0] != "_")


def test_every_function_is_typed() -> None:
    refuse(untyped(SOURCE + TESTS), "Give every parameter and every result a type.")


def test_every_module_says_what_it_is() -> None:
    refuse(speechless(SOURCE + TESTS), "Begin the file with one sentence: what it is, and the standard's clause.")


def test_public_functions_are_described() -> None:
    public = list(public_functions(SOURCE))
    bare = [f"{module.at(function)} {function.name}" for module, function in public if not ast.get_docstring(function)]
    refuse(bare if len(bare) > len(public) * 0.3 else [], f"70 % of {len(public)} public functions need a docstring.")


# --- units -----------------------------------------------------------------------------------------------------------


def is_number(annotation: ast.expr | None) -> bool:
    """`int`, `float`, or one of them or None."""
    return annotation is not None and bool(re.fullmatch(r"(int|float)( \| None)?", ast.unparse(annotation)))


def is_literal(value: ast.expr | None) -> bool:
    """A number, or arithmetic on numbers."""
    if isinstance(value, ast.BinOp):
        return is_literal(value.left) and is_literal(value.right)
    return isinstance(value, ast.Constant) and type(value.value) in {int, float}


def numbers(module: Module) -> Iterator[tuple[ast.arg | ast.stmt, str]]:
    """Every name that holds a plain number: parameters, annotated fields, constants."""
    for node in ast.walk(module.tree):
        match node:
            case ast.arg(arg=name, annotation=annotation) if is_number(annotation):
                yield node, name
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation) if is_number(annotation):
                yield node, name
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name.isupper() and is_literal(value):
                yield node, name


def unitless(modules: list[Module]) -> list[str]:
    """Numbers that mean time, size or rate, and carry no unit in their name."""
    broken = []
    for module in modules:
        for node, name in numbers(module):
            words = set(name.lower().split("_"))
            if words & QUANTITIES and not words & UNITS:
                broken.append(f"{module.path}:{node.lineno} {name}")
    return broken


def test_numbers_carry_units() -> None:
    refuse(unitless(SOURCE), "Say the unit in the name (timeout_s, size_bytes, rate_per_s) or use a type that has one.")


# --- layers ----------------------------------------------------------------------------------------------------------


def imports(module: Module, known: set[str]) -> Iterator[tuple[ast.stmt, str]]:
    """Modules of ours that this one imports, wherever in the file it does so."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = module.path.split("/")[: -node.level] if node.level else []
            base = ".".join([*package, *filter(None, [node.module])])
            for alias in node.names:
                yield node, f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base


def ours(modules: list[Module]) -> Iterator[tuple[Module, ast.stmt, str]]:
    """(module, statement, imported module of ours)."""
    known = {module.name for module in modules}
    for module in modules:
        for node, target in imports(module, known):
            if target.split(".")[0] in {"gateway", "drivers", "tests"}:
                yield module, node, target


def room(name: str) -> str:
    """`gateway.web.api` → `web`: a folder is one room."""
    return f"{name}.".split(".")[1]


def core_breaks(module: Module, target: str) -> bool:
    """Does this import of a module of the gateway point down or sideways?"""
    if target.startswith("drivers."):  # the demonstration starts simulators; nothing else knows a driver's name
        return not (room(module.name) in {"demo", "cli"} and target.startswith("drivers.sim"))
    if target in {"gateway", "drivers"} or room(target) == room(module.name):
        return False
    return RANK.get(room(target), 0) > RANK.get(room(module.name), len(RANK))


def driver_breaks(module: Module, target: str) -> bool:
    """Does this import of a driver reach further than its one page, plumbing and, for a simulator, the drivers?"""
    if target.startswith("gateway"):
        return room(target) not in FOR_DRIVERS
    return not (target == "drivers" or room(target).startswith("_") or module.name.startswith("drivers.sim"))


def layer_breaks(modules: list[Module]) -> list[str]:
    """Imports against the layers."""
    rules = {"gateway": core_breaks, "drivers": driver_breaks}
    found = [(m, node, target) for m, node, target in ours(modules) if m.name.split(".")[0] in rules]
    return [f"{m.at(node)} imports {target}" for m, node, target in found if rules[m.name.split(".")[0]](m, target)]


def cycles(modules: list[Module]) -> list[str]:
    """Modules that import each other: what is left when all that lead nowhere are taken away, from both ends."""
    edges = {(m.name, target) for m, _, target in ours(modules) if m.name != target}
    edges = {(a, b) for a, b in edges if b in {module.name for module in modules}}
    while True:
        sources, targets = {a for a, _ in edges}, {b for _, b in edges}
        kept = {(a, b) for a, b in edges if b in sources and a in targets}
        if kept == edges:
            return sorted(f"{a} → {b}" for a, b in edges)
        edges = kept


def test_every_module_has_a_layer() -> None:
    rooms = {room(module.name) for module in SOURCE if module.name.startswith("gateway.")}
    refuse(sorted(rooms - set(RANK)), "Put the module into a row of LAYERS: under all that it imports.")


def test_imports_point_up_the_layers() -> None:
    refuse(layer_breaks(SOURCE), "Import only from rows above (LAYERS); a driver sees gateway.driver and its words.")


def test_no_import_cycles() -> None:
    refuse(cycles(SOURCE), "Import cycle: move what both need into a module of a row above.")


# --- habits ----------------------------------------------------------------------------------------------------------


def broad_excepts(modules: list[Module]) -> list[tuple[str, bool]]:
    """(where, has a reason) of each place that swallows any Exception: the reason is a comment on its line.

    A handler that ends in a bare `raise` tidies up and swallows nothing.
    """
    found = []
    for module in modules:
        comments = comment_lines(module.text)
        for node in ast.walk(module.tree):
            match node:
                case ast.ExceptHandler(body=[*_, ast.Raise(exc=None)]):
                    continue
                case ast.ExceptHandler(type=caught):
                    swallowed = ast.unparse(caught) if caught else "Exception"
                case ast.Call(func=ast.Attribute(attr="suppress") | ast.Name(id="suppress"), args=args):
                    swallowed = " ".join(map(ast.unparse, args))
                case _:
                    continue
            if re.search(r"\b(Base)?Exception\b", swallowed):
                found.append((f"{module.path}:{node.lineno}", node.lineno in comments))
    return found


def comment_lines(text: str) -> set[int]:
    """Lines with a comment that says more than `noqa`."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    said = [(token.start[0], re.sub(r"#\s*(noqa|type: ignore)[^#]*", "", token.string)) for token in tokens]
    return {line for line, comment in said if comment.startswith("#") and comment.strip("# ")}


def threads(modules: list[Module]) -> list[str]:
    """Threads made outside the store."""
    words = re.compile(r"\b(import threading|from threading|concurrent\.futures|to_thread|run_in_executor)\b")
    lines = [(m.path, n, line) for m in modules for n, line in enumerate(m.text.splitlines(), 1)]
    return [f"{path}:{n} {line.strip()}" for path, n, line in lines if words.search(line) and path not in THREADS_IN]


def sleeps(modules: list[Module], names: str) -> list[str]:
    """Calls of a sleep of these modules (a regular expression), however imported."""
    found = []
    for module in modules:
        for node in ast.walk(module.tree):
            match node:
                case ast.Call(func=called) if re.fullmatch(rf"({names})\.sleep", ast.unparse(called)):
                    found.append(module.at(node))
                case ast.ImportFrom(module=str(origin), names=taken) if re.fullmatch(names, origin):
                    found += [module.at(node) for alias in taken if alias.name == "sleep"]
    return found


def test_broad_excepts_are_few_and_explained() -> None:
    found = broad_excepts(SOURCE)
    refuse([place for place, _ in found] if len(found) > 3 else [], "Catch what you can name; 3 broad ones at most.")
    refuse([place for place, reason in found if not reason], "Say on the line why it must catch everything.")


def test_no_threads_but_the_database_s() -> None:
    refuse(threads(SOURCE), "Everything runs in the one event loop; only the database has threads.")


def test_nothing_sleeps_that_should_wait() -> None:
    refuse(sleeps(SOURCE, "time"), "time.sleep stops the whole daemon: await clock.sleep.")
    refuse(sleeps(TESTS, "time|asyncio|anyio|trio"), "Wait for what should happen, under asyncio.timeout; never sleep.")


def test_there_are_as_many_test_lines_as_source_lines() -> None:
    """Simulators and demo are on neither side: the other end of the wires, which plays no part on a box."""
    other_end = ("drivers/sim/", "gateway/demo/")
    tests = sum(module.lines for module in TESTS)
    source = sum(module.lines for module in SOURCE if not module.path.startswith(other_end))
    assert tests >= source, f"{tests} lines of tests, {source} of source: {source - tests} to write."


# --- the tree --------------------------------------------------------------------------------------------------------


def matches(pattern: re.Pattern[str], files: dict[str, str]) -> list[str]:
    """`file:line text` of every line that the pattern finds."""
    lines = [(name, n, line) for name, text in files.items() for n, line in enumerate(text.splitlines(), 1)]
    return [f"{name}:{n} {line.strip()[:100]}" for name, n, line in lines if pattern.search(line)]


def texts() -> dict[str, str]:
    """Every tracked text file by its path."""
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8", "replace") for path in tracked()}


def unlocked(lock: str, wanted: list[str]) -> list[str]:
    """What is wrong with a lock: no exact version, no hash, an address, or a dependency that it lacks."""
    entries = [entry for entry in re.split(r"\n(?=\S)", lock) if entry and not entry.startswith("#")]
    broken = [entry.split("\n")[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry]
    names = {re.split(r"[=\s\[]", entry)[0] for entry in entries}
    missing = [name for name in wanted if re.sub(r"[._]", "-", name.lower()) not in names]
    return broken + [f"lacks {name}" for name in missing] + re.findall(r"\S*://\S*|^-.*$", lock, re.MULTILINE)


def test_no_registry_hosts_and_no_machine_paths() -> None:
    files = texts()
    refuse(matches(HOSTS, files), "Name no package host: pip and apt take the index from the machine's settings.")
    refuse(matches(MACHINE_PATHS, files), "This path exists on one machine only: make it relative, or a setting.")


def test_the_top_level_holds_only_what_was_decided() -> None:
    top = {path.relative_to(ROOT).parts[0] for path in tracked()}
    refuse(sorted(top - TOP_LEVEL), "Nothing more at the top: find its room (docs/, deploy/, tests/).")


@pytest.mark.parametrize("name", ["requirements.lock", "deploy/onvif.lock", "tests/requirements.lock"])
def test_locks_are_complete_and_name_no_address(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = project["project"]["dependencies"] + project["project"]["optional-dependencies"]["demo"]
    wanted += (name != "requirements.lock") * project["project"]["optional-dependencies"]["onvif"]
    wanted += project["dependency-groups"]["build"] + name.startswith("tests") * project["dependency-groups"]["test"]
    names = [re.split(r"[^\w.-]", requirement)[0] for requirement in wanted]
    refuse(unlocked((ROOT / name).read_text("utf-8"), names), f"Run `make lock`: {name}")


# --- the rules themselves --------------------------------------------------------------------------------------------

BREAKERS: dict[str, tuple[Callable[[list[Module]], object], str, str]] = {
    "long file": (lambda m: long_files(m, 500), "gateway/x.py", "\n" * 501),
    "long function": (lambda m: long_functions(m, 60), "gateway/x.py", "def f():\n" + " 1\n" * 60),
    "nesting": (deep_functions, "gateway/x.py", "def f():\n if 1:\n  for x in y:\n   with z:\n    while 1: pass\n"),
    "wide class": (wide_classes, "gateway/x.py", "class C:\n" + "".join(f" def m{n}(s): 1\n" for n in range(16))),
    "untyped parameter": (untyped, "gateway/x.py", "def f(a) -> None: 1"),
    "untyped result": (untyped, "gateway/x.py", "def f(a: int): 1"),
    "no docstring": (speechless, "gateway/x.py", "A = 1"),
    "parameter without unit": (unitless, "gateway/x.py", "def f(timeout: float) -> None: 1"),
    "field without unit": (unitless, "gateway/x.py", "class C:\n retry_delay: int | None = 3"),
    "constant without unit": (unitless, "gateway/x.py", "MAX_SIZE = 64 * 1024"),
    "down the layers": (layer_breaks, "gateway/store.py", "import gateway.app"),
    "core names a driver": (layer_breaks, "gateway/app.py", "from drivers.osdp import DRIVER"),
    "driver knows the core": (layer_breaks, "drivers/x.py", "from gateway.store import Store"),
    "driver knows a driver": (layer_breaks, "drivers/x.py", "import drivers.osdp"),
    "driver knows its simulator": (layer_breaks, "drivers/x.py", "from drivers.sim.x import Sim"),
    "cycle": (cycles, "gateway/x.py", "import gateway.x\nimport gateway.y"),
    "broad except": (broad_excepts, "gateway/x.py", "try: 1\nexcept (OSError, Exception): 2"),
    "bare except": (broad_excepts, "gateway/x.py", "try: 1\nexcept: 2"),
    "suppress": (broad_excepts, "gateway/x.py", "with contextlib.suppress(Exception): 1"),
    "thread": (threads, "gateway/x.py", "import threading"),
    "executor": (threads, "drivers/x.py", "await loop.run_in_executor(None, f)"),
    "sleep": (lambda m: sleeps(m, "time|asyncio"), "tests/x.py", "asyncio.sleep(0)"),
    "imported sleep": (lambda m: sleeps(m, "time|asyncio"), "tests/x.py", "from time import sleep"),
    "host": (lambda m: matches(HOSTS, {"x": m[0].text}), "x.py", "# from np" + "mjs.com"),
    "machine path": (lambda m: matches(MACHINE_PATHS, {"x": m[0].text}), "x.py", "# see /wo" + "rk/main"),
    "lock with address": (lambda m: unlocked(m[0].text, []), "x.py", "a==1 \\\n --hash=sha256:0\n# file:///x"),
    "lock without hash": (lambda m: unlocked(m[0].text, []), "x.py", "a==1"),
    "lock that lacks one": (lambda m: unlocked(m[0].text, ["B.c"]), "x.py", "a==1 \\\n --hash=sha256:0"),
}


@pytest.mark.parametrize("rule", BREAKERS)
def test_rules_bite(rule: str) -> None:
    check, path, text = BREAKERS[rule]
    other = Module("gateway/y.py", "import gateway.x\n")
    assert check([Module(path, text), other] if rule == "cycle" else [Module(path, text)])


def test_relative_imports_are_followed() -> None:
    modules = [
        Module("gateway/web/api.py", "from . import pages\nfrom ..store import Store"),
        Module("gateway/web/pages.py", ""),
    ]
    assert [target for _, _, target in ours(modules)] == ["gateway.web.pages", "gateway.store"]


def test_a_reason_is_more_than_noqa() -> None:
    head = "try: 1\nexcept Exception:  # noqa: BLE001"
    assert broad_excepts([Module("x.py", f"{head}\n 2")]) == [("x.py:2", False)]
    assert broad_excepts([Module("x.py", f"{head}  # a driver of a third party\n 2")]) == [("x.py:2", True)]
    assert broad_excepts([Module("x.py", "try: 1\nexcept OSError: 2")]) == []
    assert broad_excepts([Module("x.py", "try: 1\nexcept BaseException:\n undo()\n raise")]) == []
