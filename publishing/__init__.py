"""A plan or an output -> what the world sees of it: its card, its lineage, its repository."""
