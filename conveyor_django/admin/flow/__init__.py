"""The page of a flow: its tree and timeline as one list."""
