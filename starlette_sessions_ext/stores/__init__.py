"""The stores, one module each; a module imports its own driver and no other."""
