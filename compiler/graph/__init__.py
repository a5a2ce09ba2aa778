"""The tensor graph: its nodes, its text form, its verifier and its passes."""
