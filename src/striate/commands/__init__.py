"""The verbs of the command line, one module each, thin over the Python interface."""
