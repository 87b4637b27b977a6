"""The command lines of `python -m bench`."""

import argparse


def parser_of(name: str, text: str | None) -> argparse.ArgumentParser:
    """Return a command's parser; its help is the module's docstring, unchanged."""
    return argparse.ArgumentParser(
        prog=f"python -m bench {name}",
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
