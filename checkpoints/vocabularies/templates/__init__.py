"""Chat templates that a recipe names: `NAME.jinja`."""
