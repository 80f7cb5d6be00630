"""One file per family of models. Each ends in the registry entry, or entries, that it provides."""
