"""What an asset's page shows."""
