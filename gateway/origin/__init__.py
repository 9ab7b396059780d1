"""The protected servers: pools, balancing, health."""
