"""The verbs, one module each. They import the packages they need inside their functions."""
