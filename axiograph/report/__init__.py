"""The report: one HTML page, figures and LaTeX tables from what a run, a replication or a comparison left."""
