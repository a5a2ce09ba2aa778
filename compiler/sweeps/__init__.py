"""Graph -> Components, programs and sweeps: what is computed together, in how many walks."""
