"""`fuselip-datagen fetch`: pictures by a list of URLs, as webdataset tars, with a manifest of every row."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import click

from fuselip.core.console import debug_option


@click.command()
@click.argument("list_", metavar="LIST", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the pictures.")
@click.option("--url-col", default="", help="Column of the URLs.  [default: found by its name, or by what is in it]")
@click.option("--caption-col", default="", help="Column of the captions.  [default: likewise]")
@click.option(
    "--image-size", type=click.IntRange(16), default=512, show_default=True, help="Larger: shorter side cut to."
)
@click.option("--quality", type=click.IntRange(1, 100), default=95, show_default=True, help="JPEG, where re-encoded.")
@click.option("--shard-rows", type=click.IntRange(10), default=1000, show_default=True, help="Rows a tar.")
@click.option("--processes", type=click.IntRange(1), help="[default: one a core]")
@click.option("--threads", type=click.IntRange(1), default=32, show_default=True, help="Downloads at once, a process.")
@click.option("--timeout", type=click.IntRange(1), default=10, show_default=True, help="Seconds without an answer.")
@click.option(
    "--max-mb", type=click.FloatRange(0.001), default=32.0, show_default=True, help="Larger files are refused."
)
@click.option(
    "--retries", type=click.IntRange(0, 100), default=2, show_default=True, help="Further tries, failed rows only."
)
@click.option("--retry", multiple=True, default=("transient",), help="Which failures: transient, or http-403, ...")
@click.option(
    "--min-success", type=click.FloatRange(0, 1), default=0.25, show_default=True, help="Stop below this share."
)
@click.option("--allow-private", is_flag=True, help="Also this machine's own network, and proxies of the environment.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@debug_option
def fetch(
    list_: Path,
    out: Path,
    url_col: str,
    caption_col: str,
    image_size: int,
    quality: int,
    shard_rows: int,
    processes: int | None,
    threads: int,
    timeout: int,
    max_mb: float,
    retries: int,
    retry: tuple[str, ...],
    min_success: float,
    allow_private: bool,
    as_json: bool,
) -> None:
    """Fetch the pictures of LIST: CC3M's or CC12M's list, or any .tsv, .csv or .parquet of URLs and captions.

    Give the same command again to go on; failed rows with tries left are then tried again.
    """
    from datagen.fetch import run
    from datagen.fetch.guard import Limits
    from datagen.progress import Progressing

    options = run.Options(
        image_size=image_size,
        quality=quality,
        shard_rows=shard_rows,
        processes=processes or os.cpu_count() or 1,
        threads=threads,
        timeout=timeout,
        retries=retries,
        retry=run.check_reasons(retry),
        min_success=min_success,
    )
    limits = Limits(allow_private, int(max_mb * 1e6), 3.0 * timeout)
    with Progressing("fetch") as shown:

        def progress(done: int, total: int, counts: Counter[str]) -> None:
            shown.steps(done, total)

        state = run.fetch(list_, out, options, limits, url_col=url_col, caption_col=caption_col, progress=progress)
    click.echo(run.as_json(state) if as_json else run.to_text(state, out), nl=as_json)
