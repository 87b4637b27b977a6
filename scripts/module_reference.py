"""The page of modules: the first sentence of each package and of each module.

Nothing is imported for it. The sentences are read from the sources as text.
"""

import inspect
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("bridge", "crm", "dsp")
KINDS = (".py", ".pyx", ".pxd")
PAGE = """\
<!-- Written by scripts/write_references.py: change it there. -->

# Every module

Each package with what it owns, and each of its modules with the first sentence of the
module itself. [The map of the house](contributing.md#the-map-of-the-house) shows which
package may import which. [Where is …?](where-is.md) starts from what is to be changed.

A `.pyx` file is a compiled module. A `.pxd` file holds the types and kernels that
compiled modules include.
"""
_DOCSTRING = re.compile(r'\s*"""(.*?)"""', re.DOTALL)
_COMMENT = re.compile(r"(?:#.*\n)+")
# A paragraph ends before an empty line, and before an indented one.
_PARAGRAPH_END = re.compile(r"\n\s*\n|\n(?= )")
# To a full stop that ends no initial and no "et al.", or to the paragraph's end.
_SENTENCE = re.compile(r".+?(?<!\b[A-Z])(?<!\bal)\.(?= |$)|.+")


def modules_page() -> str:
    """Return docs/modules.md."""
    return PAGE + "".join(map(_section, packages()))


def packages() -> list[Path]:
    """Return the folders of all packages, in order of their names."""
    inits = (path for name in PACKAGES for path in (ROOT / name).rglob("__init__.py"))
    return sorted(path.parent for path in inits)


def modules_of(package: Path) -> list[Path]:
    """Return a package's source files, without those of the packages within it."""
    files = (path for path in package.iterdir() if path.suffix in KINDS)
    return sorted(path for path in files if path.stem != "__init__")


def paragraphs_of(source: str) -> list[str]:
    """Return the paragraphs of a source's docstring, or of the comment it begins with.

    Raises ValueError where there is neither.
    """
    if docstring := _DOCSTRING.match(source):
        text = inspect.cleandoc(docstring[1])
    elif comment := _COMMENT.match(source):
        text = re.sub(r"^# ?", "", comment[0], flags=re.MULTILINE)
    else:
        raise ValueError("a source file says nothing about itself")
    return [" ".join(part.split()) for part in _PARAGRAPH_END.split(text)]


def first_sentence(paragraph: str) -> str:
    """Return the first sentence; what would introduce a formula ends with it."""
    found = _SENTENCE.match(paragraph)
    return found[0].removesuffix(":").removesuffix(".") + "." if found else ""


def _section(package: Path) -> str:
    paragraphs = paragraphs_of((package / "__init__.py").read_text())
    told = [paragraphs[0], *(one for one in paragraphs if one.startswith("Owns "))]
    about = textwrap.fill(" ".join(map(first_sentence, told)), 88)
    rows = [f"| `{path.name}` | {_line(path)} |\n" for path in modules_of(package)]
    table = ["\n| Module | What it is |\n| --- | --- |\n", *rows] if rows else []
    return f"\n## {package.relative_to(ROOT)}\n\n{about}\n{''.join(table)}"


def _line(path: Path) -> str:
    return first_sentence(paragraphs_of(path.read_text())[0]).replace("|", r"\|")
