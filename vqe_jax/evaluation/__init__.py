"""Reports: what models gain on a data set or a pair of files, and whether the gain lasts.

``run.evaluate`` does it for models (``models``), clips (``clips``) and metrics (``metrics``);
``report.write_report`` writes what came out.
"""
