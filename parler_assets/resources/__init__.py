"""What assets share, as Dagster resources."""
