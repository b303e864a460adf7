"""The MLflow record, without Dagster."""
