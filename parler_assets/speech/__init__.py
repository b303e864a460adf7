"""Clips to tags, bins, descriptions and codes. A plain library: it knows nothing of Dagster or MLflow."""
