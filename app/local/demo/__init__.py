"""`make demo`: a handful of orders through the whole way, told as it happens and checked at the end."""
