"""What the commands of `python -m bench` understand."""

import argparse


def parser_of(name: str, text: str | None) -> argparse.ArgumentParser:
    """Return a command's parser; its help shows a module's text as it stands there."""
    return argparse.ArgumentParser(
        prog=f"python -m bench {name}",
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
