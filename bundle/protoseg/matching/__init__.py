"""From a support's features to a query's probabilities: kernel matching, adaptive prototypes, coresets."""
