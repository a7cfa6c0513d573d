"""Export: the network in the formats of other runtimes. Each format has its own module."""
