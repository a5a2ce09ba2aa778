"""The parts of binding, which `compiler.bind` puts together: see there."""
