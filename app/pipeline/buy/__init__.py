"""Placing an order at the supplier, with the transaction boundaries of the lifecycle (section 6).

claim     T1: one worker takes the purchase
preflight P:  everything is asked again, no transaction open
commit    T3: the point of no return, one transaction
send      T4: one call, one connection, no retry
outcome   T5: what was answered is recorded, journal first
"""

from app.pipeline.buy.step import run

__all__ = ["run"]
