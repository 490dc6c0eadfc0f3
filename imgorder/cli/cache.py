"""``imgorder cache``: what runs over trees of photos keep for the next one."""

from __future__ import annotations

from imgorder.cli._options import Commands
from imgorder.cli._terminal import one_line_errors
from imgorder.names import show, word_count

cache = Commands(name="cache", help="What runs over trees of photos keep, so that photos are read once.")


@cache.command("info", epilog="Example: imgorder cache info")
@one_line_errors
def info() -> None:
    """Show where the cache is and how large."""
    from imgorder.library.cache import MOST_BYTES, cache_folder, measure

    folder = cache_folder()
    usage = measure(folder)
    print(
        f"{show(folder)}: {word_count(usage.files, 'file')}, {usage.bytes / 1e6:.1f} MB; "
        f"at most {MOST_BYTES / 1e9:.1f} GB are kept"
    )


@cache.command("clear", epilog="Example: imgorder cache clear")
@one_line_errors
def clear() -> None:
    """Empty the cache. The next run reads all photos again; nothing else is lost."""
    from imgorder.library.cache import cache_folder
    from imgorder.library.cache import clear as clear_cache

    folder = cache_folder()
    usage = clear_cache(folder)
    print(f"{show(folder)}: {word_count(usage.files, 'file')} removed, {usage.bytes / 1e6:.1f} MB")
