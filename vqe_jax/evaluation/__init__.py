"""Reports: what models gain on a data set or a pair of files, and whether the gain lasts.

``run.evaluate`` does it for models (``subjects``), clips (``material``) and metrics (``judges``);
``report.write_report`` writes what came out.
"""
