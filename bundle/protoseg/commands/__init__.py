"""Sub-commands of `protoseg` that have arguments of their own."""
