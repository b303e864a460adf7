-- MLflow keeps its own migrations: sharing Dagster's database would mix them up.
CREATE DATABASE mlflow;
