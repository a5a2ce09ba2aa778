"""Results of the compiler's phases -> text and plain data for people and scripts."""
