"""The sections of the report, a file per question that a reader has."""
