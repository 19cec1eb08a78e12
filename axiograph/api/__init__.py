"""The face for notebooks and scripts, and what the command line is written on: `import axiograph as ax`.

Everything is a function from a study, a run or a table to an object that holds the numbers (Polars frames,
figures, names instead of column numbers) and shows itself: as text when printed, as HTML in a notebook.
The names of `axiograph` come from here; the objects that they give are classes of these modules.
"""
