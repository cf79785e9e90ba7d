"""What a storefront and a supplier must be able to do. Connectors import this package and nothing else of app."""
